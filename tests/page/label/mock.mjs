// A server in memory that speaks the page's JSON API over images made on the spot, so that the page can be looked at and
// checked without a project. Never here: the rules of the store in full; those are tested where they are kept.
//
//   node label/mock.mjs [--port 8765] [--images 360] [--token mock] [--empty]

import { createServer } from 'node:http';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { draw, draws } from './pictures.mjs';

const ASSETS = fileURLToPath(new URL('../../../crates/vabal-web/assets/', import.meta.url));
const FONTS = fileURLToPath(new URL('../../../crates/vabal/src/experiment/report/assets/', import.meta.url));
const TYPES = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  ttf: 'font/ttf',
};
const NAMES = [
  'crazing',
  'inclusion',
  'patches',
  'pitted surface',
  'rolled-in scale',
  'scratches',
  'spots',
  'grinding marks',
  'inclusion, long and grey',
];
const SHARES = [0.3, 0.2, 0.16, 0.12, 0.08, 0.06, 0.04, 0.03, 0.01];
const COLOURS = ['#0072b2', '#d55e00', '#00875f', '#b0478a', '#a37600', '#1d91a8', '#6b4fbb', '#6a737d', '#e69f00'];
// Keys that classes get by themselves, as the store gives them.
const KEYS = [
  ...[...'1234567890'].map((one) => `Digit${one}`),
  ...[...'QWETYIOPASFJKLZXCVBNM'].map((one) => `Key${one}`),
];
const HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
};

/** Starts the server. Resolves to {url, close}. */
export function start({ port = 0, images: n = 360, token = 'mock', empty = false, classes: c = NAMES.length } = {}) {
  const random = draws(7);
  const classes = Array.from({ length: c }, (_, i) => ({
    id: i,
    name: NAMES[i] ?? `defect ${i + 1}`,
    key: KEYS[i] ?? null,
    colour: COLOURS[i % COLOURS.length],
    place: i,
    merged: null,
  }));
  const kinds = [];
  const images = Array.from({ length: n }, (_, i) => {
    let share = random();
    const kind = Math.max(
      0,
      SHARES.findIndex((one) => {
        share -= one;
        return share < 0;
      }),
    );
    // An even number before: among those of the past below both or neither, so that some copies are open.
    const copy = i > 20 && i % 37 === 0 ? i - 6 : null;
    kinds.push(copy === null ? kind : kinds[copy]);
    const [width, height] = i % 11 === 3 ? [480, 320] : i % 7 === 2 ? [200, 200] : [64, 64];
    const from = copy ?? i;
    return {
      id: i + 1,
      path: `coil ${1 + Math.floor(i / 60)}/${['surface', 'plate', 'strip'][i % 3]}_${String(i + 1).padStart(4, '0')}.png`,
      seed: from,
      kind: kinds[i],
      width,
      height,
      hash: createHash('sha256').update(`image ${from}`).digest('hex'),
      holdout: draws(from * 31)() < 0.2,
      missing: i === 41,
    };
  });
  for (const image of images)
    if (image.seed !== image.id - 1)
      Object.assign(image, { width: images[image.seed].width, height: images[image.seed].height });
  const copies = new Map();
  for (const image of images) copies.set(image.hash, [...(copies.get(image.hash) ?? []), image.id]);
  const answers = [];
  const tokens = new Map();
  const leases = new Map();
  const rounds = [];
  const settings = {
    images: 'steel/',
    name: 'Steel coils',
    strategy: 'vabal',
    budget: 100,
    first: 50,
    retrain_every: 50,
    size: 64,
    colour: 'auto',
    holdout: 0.2,
    holdout_target: 200,
    holdout_every: 5,
    answers_wanted: 1,
    seed: 1,
    hide_suggestions: false,
  };
  const training = { state: 'idle', phase: null, done: 0, total: 0, seconds_left: null, error: null, needs: null };
  let predictions = new Map();
  let queue = [];
  let timer = null;

  const image = (id) => images[id - 1];
  const target = (id) => {
    let one = classes[id];
    while (one && one.merged !== null) one = classes[one.merged];
    return one?.id ?? null;
  };
  const byImage = new Map();
  function stateOf(id) {
    const last = new Map();
    for (const one of byImage.get(id) ?? [])
      if (!one.undone && one.act !== 'undo') {
        last.delete(one.person);
        last.set(one.person, one);
      }
    const live = [...last.values()];
    const review = live
      .filter((one) => one.source === 'review')
      .sort((a, b) => a.answer - b.answer)
      .at(-1);
    const decisive = review ? [review] : live.filter((one) => one.act === 'label' || one.act === 'discard');
    if (decisive.length > 0) {
      const said = new Set(decisive.map((one) => (one.act === 'label' ? `c${target(one.class)}` : 'discard')));
      if (said.size > 1) return { state: 'conflict', class: null };
      const [one] = decisive;
      return one.act === 'label'
        ? { state: 'labelled', class: target(one.class) }
        : { state: 'discarded', class: null };
    }
    const latest = live.sort((a, b) => a.answer - b.answer).at(-1);
    return { state: latest?.act ?? 'open', class: null };
  }
  const states = new Map();
  const now = (id) => states.get(id) ?? { state: 'open', class: null };
  function record(one) {
    const row = { answer: answers.length + 1, at: Date.now(), undone: false, ...one };
    answers.push(row);
    if (!byImage.has(row.image)) byImage.set(row.image, []);
    byImage.get(row.image).push(row);
    states.set(row.image, stateOf(row.image));
    leases.delete(row.image);
  }
  const labelsOf = () => {
    const found = new Map();
    for (const { state, class: one } of states.values())
      if (state === 'labelled') found.set(one, (found.get(one) ?? 0) + 1);
    return found;
  };
  const listed = () => {
    const labels = labelsOf();
    return classes
      .filter((one) => one.merged === null)
      .map(({ id, name, key, colour, place }) => ({ id, name, key, colour, place, labels: labels.get(id) ?? 0 }))
      .sort((a, b) => a.place - b.place);
  };
  function counts() {
    const all = {
      images: images.length,
      open: 0,
      labelled: 0,
      later: 0,
      unsure: 0,
      discarded: 0,
      conflict: 0,
      missing: images.filter((one) => one.missing).length,
      holdout: { images: images.filter((one) => one.holdout).length, labelled: 0 },
    };
    for (const [id, { state }] of states) {
      all[state] += 1;
      if (state === 'labelled' && image(id).holdout) all.holdout.labelled += 1;
    }
    all.open = images.length - all.labelled - all.later - all.unsure - all.discarded - all.conflict;
    return all;
  }
  const labelled = () => counts().labelled;
  const until = () => Math.max(0, (rounds.at(-1)?.labels ?? 0) + settings.retrain_every - labelled());

  function predict(round) {
    const skill = Math.min(0.9, 0.4 + round * 0.12);
    predictions = new Map();
    const list = listed();
    for (const one of images) {
      const draw = draws(one.seed * 977 + round);
      const right = draw() < skill;
      const guess = right ? target(one.kind) : list[Math.floor(draw() * list.length)].id;
      const confidence = 0.35 + draw() * (right ? 0.64 : 0.3);
      const rest = (1 - confidence) / Math.max(1, list.length - 1);
      predictions.set(one.id, {
        class: guess ?? list[0].id,
        confidence,
        p: list.map(({ id }) => ({ class: id, p: id === guess ? confidence : rest })),
      });
    }
    queue = images
      .filter((one) => !one.holdout && now(one.id).state === 'open')
      .sort((a, b) => predictions.get(a.id).confidence - predictions.get(b.id).confidence)
      .slice(0, settings.budget)
      .map((one) => one.id);
  }
  function show(one, extra = {}) {
    const guess = one.holdout ? null : predictions.get(one.id);
    const rank = queue.indexOf(one.id);
    return {
      id: one.id,
      path: one.path,
      width: one.width,
      height: one.height,
      hash: one.hash,
      ...now(one.id),
      holdout: one.holdout,
      missing: one.missing,
      duplicates: copies.get(one.hash).length - 1,
      suggestion: guess ? { class: guess.class, confidence: guess.confidence } : null,
      rank: rank < 0 ? null : rank + 1,
      why: why(one, guess),
      ...extra,
    };
  }
  function why(one, guess) {
    if (one.holdout) return [{ kind: 'holdout', text: 'drawn at random', strength: 0.5 }];
    if (!guess)
      return [{ kind: 'coverage', text: 'stands for a part of the folder nobody has labelled yet', strength: 0.8 }];
    const name = classes[guess.class].name;
    const reasons = [];
    if (guess.class > 5)
      reasons.push({ kind: 'rare-class', text: `looks like ${name}, of which there are few labels`, strength: 0.9 });
    if (guess.confidence < 0.6)
      reasons.push({
        kind: 'unsure',
        text: `the model gives ${name} only ${Math.round(guess.confidence * 100)} %`,
        strength: 1 - guess.confidence,
      });
    if (one.id % 3 === 0)
      reasons.push({ kind: 'hard-class', text: `${name} is often taken for another class`, strength: 0.6 });
    if (one.id % 5 === 0) reasons.push({ kind: 'unusual', text: 'unlike the rest of its class', strength: 0.4 });
    return reasons.length > 0
      ? reasons
      : [{ kind: 'random', text: 'the queue is used up: drawn at random', strength: 0.2 }];
  }
  function train() {
    Object.assign(training, {
      state: 'running',
      phase: 'the classifier',
      done: 0,
      total: 20,
      seconds_left: 8,
      error: null,
      needs: null,
    });
    const labels = labelled();
    timer = setInterval(() => {
      training.done += 1;
      training.seconds_left = Math.ceil((20 - training.done) * 0.25);
      if (training.done > 12) training.phase = 'choosing the next images';
      if (training.done < 20) return;
      clearInterval(timer);
      finish(labels);
    }, 250);
  }
  function finish(labels) {
    const round = rounds.length + 1;
    const b = 0.35 + 0.5 * (1 - Math.exp(-labels / 150));
    const holdout = counts().holdout.labelled;
    const wide = holdout > 0 ? 1.96 * Math.sqrt(0.2 / Math.max(4, holdout)) * 0.6 : 0.3;
    rounds.push({
      round,
      strategy: 'vabal',
      labels,
      finished: Date.now(),
      seconds: 74,
      accuracy: b + 0.06,
      accuracy_low: Math.max(0, b + 0.06 - wide),
      accuracy_high: Math.min(1, b + 0.06 + wide),
      balanced_accuracy: b,
      balanced_low: Math.max(0, b - wide * 1.3),
      balanced_high: Math.min(1, b + wide * 1.3),
      holdout,
      agreement: round > 1 ? 0.7 + round * 0.03 : null,
    });
    Object.assign(training, { state: 'idle', phase: null, done: 0, total: 0, seconds_left: null });
    predict(round);
  }
  function status() {
    const all = listed();
    const last = rounds.at(-1);
    const smallest = Math.min(...all.filter((one) => one.labels > 0).map((one) => one.labels));
    const held = new Map();
    for (const [id, { state, class: one }] of states)
      if (state === 'labelled' && image(id).holdout) held.set(one, (held.get(one) ?? 0) + 1);
    return {
      counts: counts(),
      imbalance: Number.isFinite(smallest) ? Math.max(...all.map((one) => one.labels)) / smallest : null,
      rounds,
      training: { ...training, needs: labelled() < 10 ? `at least 10 labels, now ${labelled()}` : null },
      classes: all.map((one, i) => ({
        id: one.id,
        name: one.name,
        labels: one.labels,
        train: one.labels - (held.get(one.id) ?? 0),
        holdout: held.get(one.id) ?? 0,
        difficulty: last ? 0.9 - 0.09 * i : null,
        prior: last ? (SHARES[i] ?? 0.01) : null,
        recall: last && held.get(one.id) ? 0.95 - 0.06 * i : null,
        recall_low: last ? 0.7 - 0.06 * i : null,
        recall_high: last ? 0.99 - 0.03 * i : null,
        expected_next: last ? Math.round(4 + i * 2.2) : null,
      })),
      next: {
        n: 100,
        per_class: last ? all.map((one, i) => ({ id: one.id, expected: 4 + i * 2.2 })) : [],
        gain: rounds.length > 1 ? 0.021 : null,
        text:
          rounds.length > 1 ? 'About 2 points of balanced accuracy, by the last rounds.' : 'Too few rounds to tell.',
      },
      stopping: {
        reasonable: rounds.length > 5,
        text:
          rounds.length > 5
            ? 'The last three rounds changed little: stopping is reasonable.'
            : 'Not yet: each round still brings more than its uncertainty.',
      },
    };
  }

  // A past to look at: three people, some rounds, conflicts, all states.
  if (!empty) {
    const past = Math.min(images.length, 170);
    for (let round = 0; round < 4; round += 1) {
      for (let i = (round * past) / 4; i < ((round + 1) * past) / 4; i += 1) {
        const one = images[(Math.floor(i) * 2) % images.length];
        if (now(one.id).state !== 'open') continue;
        const draw = random();
        const person = random() < 0.7 ? 'Ada' : 'Grace';
        if (draw < 0.03) record({ image: one.id, person, act: 'later', source: 'page' });
        else if (draw < 0.06) record({ image: one.id, person, act: 'unsure', source: 'page' });
        else if (draw < 0.08) record({ image: one.id, person, act: 'discard', source: 'page' });
        else
          record({
            image: one.id,
            person,
            act: 'label',
            class: draw < 0.15 ? Math.floor(random() * 9) : one.kind,
            source: 'page',
            seconds: 1 + random() * 3,
          });
        if (i % 29 === 3)
          record({
            image: one.id,
            person: person === 'Ada' ? 'Grace' : 'Ada',
            act: 'label',
            class: (one.kind + 1) % 9,
            source: 'page',
          });
      }
      finish(labelled());
    }
  }

  const failure = (status, what, more = {}) =>
    Object.assign(new Error(what), { status, body: { error: { what, ...more } } });
  function page(list, after, limit, key = (one) => one.id) {
    const from = after === null ? 0 : list.findIndex((one) => String(key(one)) === after) + 1;
    const part = list.slice(from, from + limit);
    return { part, next: from + limit < list.length && part.length > 0 ? String(key(part.at(-1))) : null };
  }
  const doubt = (id) => {
    const { state, class: one } = now(id);
    return state === 'labelled' ? 1 - (predictions.get(id)?.p.find(({ class: c2 }) => c2 === one)?.p ?? 1) : 0;
  };

  function api(method, url, body) {
    const path = url.pathname;
    const param = (name) => url.searchParams.get(name) || null;
    const number = (name, fallback) => (param(name) === null ? fallback : Number(param(name)));
    let found;
    if (method === 'GET' && path === '/api/project')
      return {
        name: settings.name,
        images: settings.images,
        classes: listed(),
        settings,
        counts: counts(),
        round: rounds.length,
        people: [...new Set(answers.map((one) => one.person))],
      };
    if (method === 'PUT' && path === '/api/settings') {
      for (const key of Object.keys(body)) if (!(key in settings)) throw failure(400, `there is no setting "${key}"`);
      return Object.assign(settings, body);
    }
    if (method === 'POST' && path === '/api/classes') {
      if (listed().some((one) => one.name === body.name)) throw failure(409, `there is a class "${body.name}" already`);
      const id = classes.length;
      classes.push({
        id,
        name: body.name,
        key: body.key ?? KEYS.find((key) => !classes.some((one) => one.key === key)) ?? null,
        colour: body.colour ?? COLOURS[id % COLOURS.length],
        place: Math.max(-1, ...classes.map((one) => one.place)) + 1,
        merged: null,
      });
      return listed().find((one) => one.id === id);
    }
    if (method === 'PATCH' && (found = /^\/api\/classes\/(\d+)$/.exec(path))) {
      const one = classes[Number(found[1])];
      if (!one) throw failure(404, 'there is no such class');
      if (body.name !== undefined && listed().some((other) => other.name === body.name && other.id !== one.id))
        throw failure(409, `there is a class "${body.name}" already`);
      if (body.key && listed().some((other) => other.key === body.key && other.id !== one.id))
        throw failure(409, `the key ${body.key} is taken`);
      if (body.place !== undefined) {
        const order = listed()
          .map(({ id }) => classes[id])
          .filter((other) => other !== one);
        order.splice(body.place, 0, one);
        order.forEach((other, place) => {
          other.place = place;
        });
      }
      const { place, ...rest } = body;
      Object.assign(one, rest);
      return listed().find(({ id }) => id === one.id);
    }
    if (method === 'POST' && (found = /^\/api\/classes\/(\d+)\/merge$/.exec(path))) {
      Object.assign(classes[Number(found[1])], { merged: body.into, key: null });
      for (const id of states.keys()) states.set(id, stateOf(id));
      return { classes: listed() };
    }
    if (method === 'GET' && path === '/api/next') {
      const have = new Set((param('have') ?? '').split(',').map(Number));
      const person = param('person');
      const until = Date.now() + 600_000;
      const free = (id) =>
        now(id).state === 'open' &&
        !have.has(id) &&
        (!leases.has(id) || leases.get(id).person === person || leases.get(id).until < Date.now());
      for (const [id, lease] of leases) if (lease.person === person && !have.has(id)) leases.delete(id);
      const n2 = number('n', 12);
      let ids = queue.filter(free).slice(0, n2);
      for (const { id } of images) {
        if (ids.length >= n2) break;
        if (free(id) && !ids.includes(id)) ids.push(id);
      }
      if (ids.length === 0 && have.size <= 1)
        ids = images
          .filter((one) => now(one.id).state === 'later' && !have.has(one.id))
          .map((one) => one.id)
          .slice(0, number('n', 12));
      for (const id of ids) leases.set(id, { person, until });
      return {
        questions: ids.map((id) => show(image(id))),
        round: rounds.length,
        left: queue.filter((id) => now(id).state === 'open').length,
      };
    }
    if (method === 'POST' && path === '/api/answers') {
      if (!tokens.has(body.token)) {
        const touched = new Set();
        for (const one of body.answers) {
          if (!image(one.image)) throw failure(404, `there is no image ${one.image}`);
          if (one.act === 'label' && target(one.class) === null) throw failure(400, `there is no class ${one.class}`);
        }
        body.answers.forEach((one, n2) => {
          record({ ...one, person: body.person, source: body.source ?? 'page', gesture: `${body.token}/${n2}` });
          touched.add(one.image);
          if (body.duplicates)
            for (const id of copies.get(image(one.image).hash))
              if (id !== one.image) {
                record({
                  ...one,
                  image: id,
                  person: body.person,
                  source: 'duplicate',
                  gesture: `${body.token}/d${id}`,
                });
                touched.add(id);
              }
        });
        tokens.set(body.token, [...touched]);
        if (training.state === 'idle' && until() === 0) train();
      }
      return {
        images: tokens.get(body.token).map((id) => ({ id, ...now(id) })),
        classes: listed().map(({ id, labels }) => ({ id, labels })),
        counts: counts(),
        labels_until_training: until(),
      };
    }
    if (method === 'POST' && path === '/api/undo') {
      if (body.token && tokens.has(body.token)) return tokens.get(body.token);
      const last = answers.findLast((one) => one.person === body.person && !one.undone && one.act !== 'undo');
      if (!last) throw failure(404, 'there is nothing to undo');
      const gesture = last.gesture?.split('/')[0];
      const undone = answers.filter(
        (one) => !one.undone && (one === last || (gesture && one.gesture?.split('/')[0] === gesture)),
      );
      for (const one of undone) {
        one.undone = true;
        record({ image: one.image, person: body.person, act: 'undo', undoes: one.answer, source: 'page' });
      }
      const result = {
        images: [...new Set(undone.map((one) => one.image))].map((id) => show(image(id))),
        act: last.act,
        classes: listed().map(({ id, labels }) => ({ id, labels })),
        counts: counts(),
      };
      if (body.token) tokens.set(body.token, result);
      return result;
    }
    if (method === 'GET' && path === '/api/images') {
      const state = param('state');
      let list = images.filter((one) => one.missing === (state === 'missing'));
      if (state && state !== 'missing') list = list.filter((one) => now(one.id).state === state);
      if (param('class')) list = list.filter((one) => now(one.id).class === Number(param('class')));
      if (param('predicted'))
        list = list.filter((one) => !one.holdout && predictions.get(one.id)?.class === Number(param('predicted')));
      if (param('low'))
        list = list.filter((one) => !one.holdout && predictions.get(one.id)?.confidence >= Number(param('low')));
      if (param('high'))
        list = list.filter((one) => !one.holdout && predictions.get(one.id)?.confidence <= Number(param('high')));
      if (param('search')) list = list.filter((one) => one.path.toLowerCase().includes(param('search').toLowerCase()));
      const sort = param('sort');
      if (sort === 'confidence')
        list = list
          .filter((one) => !one.holdout && predictions.has(one.id))
          .sort((a, b) => (predictions.get(a.id)?.confidence ?? 0) - (predictions.get(b.id)?.confidence ?? 0));
      if (sort === 'doubt') list = [...list].sort((a, b) => doubt(b.id) - doubt(a.id));
      if (sort === 'path') list = [...list].sort((a, b) => (a.path < b.path ? -1 : 1));
      if (sort === 'recent')
        list = [...list]
          .filter((one) => byImage.has(one.id))
          .sort((a, b) => byImage.get(b.id).at(-1).answer - byImage.get(a.id).at(-1).answer);
      const { part, next } = page(list, param('after'), number('limit', 100));
      return { images: part.map((one) => show(one)), next, total: param('after') ? null : list.length };
    }
    if (method === 'GET' && (found = /^\/api\/images\/(\d+)$/.exec(path))) {
      const one = image(Number(found[1]));
      if (!one) throw failure(404, 'there is no such image');
      return {
        image: show(one),
        history: (byImage.get(one.id) ?? []).map(({ answer, person, at, act, class: c2, source, undone }) => ({
          answer,
          person,
          at,
          act,
          class: c2 ?? null,
          source,
          undone,
        })),
        probabilities: one.holdout ? null : (predictions.get(one.id)?.p ?? null),
      };
    }
    if (method === 'GET' && path === '/api/review') {
      const conflict = param('kind') === 'conflict';
      const list = images
        .filter((one) =>
          conflict
            ? now(one.id).state === 'conflict'
            : doubt(one.id) > 0.5 && !(byImage.get(one.id) ?? []).some((row) => row.source === 'review' && !row.undone),
        )
        .sort((a, b) => doubt(b.id) - doubt(a.id));
      const { part, next } = page(list, param('after'), number('limit', 50));
      return {
        images: part.map((one) =>
          show(one, {
            doubt: conflict ? null : doubt(one.id),
            answers: (byImage.get(one.id) ?? [])
              .filter((row) => !row.undone && row.act !== 'undo')
              .map(({ person, act, class: c2 }) => ({ person, act, class: c2 ?? null })),
          }),
        ),
        next,
        total: list.length,
      };
    }
    if (method === 'GET' && path === '/api/duplicates') {
      const groups = [...copies.values()]
        .filter((ids) => ids.length > 1)
        .map((ids) => ({ id: ids[0], images: ids.map((id) => show(image(id))) }));
      const { part, next } = page(groups, param('after'), number('limit', 20));
      return { groups: part.map(({ images: all }) => ({ images: all, count: all.length })), next };
    }
    if (method === 'GET' && path === '/api/status') return status();
    if (method === 'POST' && path === '/api/train') {
      if (training.state === 'running') throw failure(409, 'a training runs already');
      if (labelled() < 10)
        throw failure(409, 'there are too few labels to train', { expected: 'at least 10', got: labelled() });
      train();
      return { started: true };
    }
    if (method === 'POST' && path === '/api/train/stop') {
      clearInterval(timer);
      Object.assign(training, { state: 'idle', phase: null, seconds_left: null });
      return {};
    }
    if (method === 'GET' && path === '/api/pulse')
      return {
        round: rounds.length,
        counts: counts(),
        labels_until_training: until(),
        training: { ...training, needs: labelled() < 10 ? `at least 10 labels, now ${labelled()}` : null },
      };
    if (method === 'POST' && path === '/api/import') {
      const lines = String(body).trim().split('\n');
      const unknown = [];
      const fresh = [];
      let added = 0;
      let same = 0;
      for (const line of lines.slice(1)) {
        const [, file, name] = /^([^,]*),[^,]*,(.*)$/
          .exec(line)
          .map((one) => one.replace(/^"(.*)"$/, '$1').replaceAll('""', '"'));
        const one = images.find((other) => other.path === file);
        if (!one) {
          unknown.push(file);
          continue;
        }
        let known = classes.find((other) => other.name === name && other.merged === null);
        if (!known && name) {
          api('POST', new URL('http://x/api/classes'), { name });
          known = classes.at(-1);
          fresh.push(name);
        }
        if (!known) continue;
        if (now(one.id).class === known.id) same += 1;
        else {
          record({ image: one.id, person: param('person') ?? 'file', act: 'label', class: known.id, source: 'import' });
          added += 1;
        }
      }
      return { added, same, unknown_paths: unknown.slice(0, 20), unknown: unknown.length, new_classes: fresh };
    }
    throw failure(404, 'there is no such address');
  }

  const drawn = new Map();
  const server = createServer(async (request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    const send = (code, type, body, more = {}) => {
      response.writeHead(code, { ...HEADERS, 'Content-Type': type, ...more });
      response.end(body);
    };
    try {
      if (url.searchParams.get('token') === token && url.pathname === '/') {
        send(303, 'text/plain', '', {
          'Set-Cookie': `vabal-token=${token}; HttpOnly; SameSite=Strict; Path=/`,
          Location: '/',
        });
        return;
      }
      if (!(request.headers.cookie ?? '').includes(`vabal-token=${token}`))
        throw failure(401, 'this page is not signed in', { hint: 'open the address that `vabal label` printed' });
      if (url.pathname === '/') {
        send(200, TYPES.html, readFileSync(`${ASSETS}index.html`), { 'Cache-Control': 'no-store' });
        return;
      }
      const asset = /^\/assets\/([\w-]+\.(js|css|ttf))$/.exec(url.pathname);
      if (asset) {
        send(200, TYPES[asset[2]], readFileSync(`${asset[2] === 'ttf' ? FONTS : ASSETS}${asset[1]}`), {
          'Cache-Control': 'no-store',
        });
        return;
      }
      const picture = /^\/(?:image|thumb)\/(\d+)$/.exec(url.pathname);
      if (picture) {
        const one = image(Number(picture[1]));
        if (!one || one.missing)
          throw failure(404, 'the file is gone', { where: one?.path, hint: 'put it back, or discard the image' });
        if (drawn.size > 2000) drawn.clear();
        if (!drawn.has(one.id)) drawn.set(one.id, draw(one.width, one.height, one.kind, one.seed + 1));
        send(200, 'image/png', drawn.get(one.id), { 'Cache-Control': 'max-age=60' });
        return;
      }
      if (request.method === 'GET' && url.pathname === '/api/export') {
        const format = url.searchParams.get('format');
        const rows = images
          .filter((one) => now(one.id).state === 'labelled')
          .map((one) => ({ path: one.path, state: 'labelled', class: classes[now(one.id).class].name }));
        const text =
          format === 'csv'
            ? `path,state,class\n${rows.map((one) => `${one.path},${one.state},"${one.class.replaceAll('"', '""')}"`).join('\n')}\n`
            : format === 'jsonl'
              ? rows.map((one) => JSON.stringify(one)).join('\n')
              : JSON.stringify(rows);
        send(200, 'text/plain', text, {
          'Content-Disposition': `attachment; filename="steel.${format === 'label-studio' ? 'json' : format}"`,
        });
        return;
      }
      const parts = [];
      for await (const part of request) parts.push(part);
      const text = Buffer.concat(parts).toString();
      const json = url.pathname !== '/api/import' && text !== '';
      send(200, 'application/json', JSON.stringify(api(request.method, url, json ? JSON.parse(text) : text)), {
        'Cache-Control': 'no-store',
      });
    } catch (error) {
      if (!error.status) console.error(error);
      send(error.status ?? 500, 'application/json', JSON.stringify(error.body ?? { error: { what: error.message } }));
    }
  });
  return new Promise((resolve) => {
    server.listen(port, '127.0.0.1', () =>
      resolve({
        url: `http://127.0.0.1:${server.address().port}/?token=${token}`,
        close: () => {
          clearInterval(timer);
          server.closeAllConnections();
          return new Promise((done) => {
            server.close(done);
          });
        },
      }),
    );
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const option = (name, fallback) => {
    const place = process.argv.indexOf(`--${name}`);
    return place < 0 ? fallback : process.argv[place + 1];
  };
  const { url } = await start({
    port: Number(option('port', 8765)),
    images: Number(option('images', 360)),
    token: option('token', 'mock'),
    empty: process.argv.includes('--empty'),
    classes: Number(option('classes', NAMES.length)),
  });
  console.log(url);
}
