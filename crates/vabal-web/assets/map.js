// The view of the map: every image a point, those that look alike together; coloured, looked at, chosen for Browse. Never here: how
// points are drawn (plot.js), what the regions are (regions.js).

import { button, count, doing, fileName, h, later, percent, plural, put, s, say } from './dom.js';
import { bytes, get, paragraph, post, query, sentence, thumbAddress, ApiError } from './api.js';
import { classOf, className, on, prefs, setPref, state, suggestionsShown } from './state.js';
import { stateMark, STATE_NAMES } from './pick.js';
import { details } from './details.js';
import { openInBrowse } from './chosen.js';
import { DIM, OUTLINED, Plot } from './plot.js';
import { Regions } from './regions.js';

const NONE = 65_535;
const HOLDOUT = 128;
const STATES = ['open', 'labelled', 'later', 'unsure', 'discarded', 'conflict'];
const WAYS = [
  ['label', 'Label'],
  ['guess', 'Suggestion'],
  ['doubt', 'Doubt'],
];
// Least doubt first: from blue by yellow to orange, none of them the grey of what is not known, told apart by those who see few colours too.
const DOUBTS = {
  light: ['#b9d3e4', '#6fa8cf', '#d3c05a', '#e0933f', '#b04300'],
  dark: ['#2b4a5e', '#4f8fb8', '#cdbb5e', '#e0933f', '#ffc08a'],
};
const SHAPES = ['circle', 'square', 'triangle', 'diamond'];

let refs;
let plot;
let regions;
// What is known of the map: its tag, and by point the id, the label, the guess, the state, the doubt.
let map = null;
let lasso = null;
let chosen = null;
let marked = null;
let timer = 0;
let shownHere = false;
let counted = '';

export const view = { id: 'map', title: 'Map', mount, show, hide, command, keydown };

function mount(root) {
  const canvas = h('canvas', {
    className: 'map-canvas',
    tabindex: '0',
    role: 'application',
    'aria-label': 'Map of the images. Arrows move it, plus and minus enlarge it, 0 shows all. The table of regions has the same in words.',
  });
  regions = new Regions({
    open: (points) => browse(points),
    mark: (points) => {
      marked = points;
      recolour();
    },
  });
  refs = {
    canvas,
    line: s('svg', { class: 'map-line', 'aria-hidden': 'true' }, s('path', {})),
    card: h('div', { className: 'map-card', hidden: true, 'aria-hidden': 'true' }),
    stage: h('div', { className: 'map-stage' }),
    wait: h('div', { className: 'empty map-wait', hidden: true }),
    ways: h('div', { className: 'segments', role: 'group', 'aria-label': 'Colour by' }),
    legend: h('ul', { className: 'legend map-legend', 'aria-label': 'Legend' }),
    chosen: h('div', { className: 'map-chosen' }),
    chosenText: h('p', { role: 'status' }, ''),
    side: h('aside', { className: 'map-side', 'aria-label': 'Colours, selection, regions', tabindex: '0' }),
    lasso: button('Choose', {
      'aria-pressed': 'false',
      title: 'Draw a line around images; or hold Shift',
      on: { click: () => setTool(refs.lasso.getAttribute('aria-pressed') !== 'true') },
    }),
  };
  const acts = h(
    'div',
    { className: 'row', hidden: true },
    button('Open in Browse', { className: 'main', on: { click: () => browse(chosen) } }),
    button('Clear', { on: { click: () => choosePoints(null) } }),
  );
  refs.acts = acts;
  refs.chosen.append(refs.chosenText, acts);
  refs.stage.append(
    canvas,
    refs.line,
    refs.card,
    h(
      'div',
      { className: 'map-tools' },
      refs.lasso,
      button('+', { 'aria-label': 'Larger', on: { click: () => plot.zoom(1.5) } }),
      button('−', { 'aria-label': 'Smaller', on: { click: () => plot.zoom(1 / 1.5) } }),
      button('All', { 'aria-label': 'Show all', on: { click: () => plot.fit() } }),
    ),
  );
  refs.side.append(refs.ways, refs.legend, refs.chosen, regions.root);
  root.append(h('h1', { className: 'visually-hidden', tabindex: '-1' }, 'Map'), refs.stage, refs.side, refs.wait);
  plot = new Plot(canvas, moved);
  listen(canvas);
  drawWays();
  on('classes', () => map && readColours());
  on('images', take);
  on('pulse', follow);
  on('round', () => (map ? check() : null));
  on('theme', recolour);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', recolour);
  on('prefs', (name) => {
    if (name !== 'suggestions') return;
    drawWays();
    recolour();
  });
}

function show() {
  shownHere = true;
  plot.measure();
  if (map) follow();
  else check();
}

function hide() {
  shownHere = false;
  clearTimeout(timer);
  refs.card.hidden = true;
}

// Is the map there? Where it is not, it is asked for; while it is computed, its progress is shown.

function wait(...content) {
  put(refs.wait, ...content);
  refs.wait.hidden = content.length === 0;
  refs.stage.hidden = content.length > 0;
  refs.side.hidden = content.length > 0;
}

async function check() {
  clearTimeout(timer);
  try {
    const found = await get('/api/map');
    if (found.state === 'ready') {
      if (map?.tag !== found.map) await load(found.map);
      else await readColours();
      return;
    }
    map = null;
    if (found.state === 'impossible') {
      wait(h('h2', {}, 'There is no map yet'), h('p', {}, sentence(found.reason)));
      return;
    }
    if (found.state === 'failed') {
      wait(
        h('h2', {}, 'The map could not be made'),
        h('p', { className: 'bad' }, paragraph(found.work.error)),
        button('Try again', { className: 'main', on: { click: begin } }),
      );
      return;
    }
    if (found.state === 'wanted') {
      await begin();
      return;
    }
    showWork(found.work);
    again();
  } catch (error) {
    failed(error);
  }
}

const again = () => {
  clearTimeout(timer);
  if (shownHere) timer = setTimeout(check, 700);
};

async function begin() {
  try {
    await post('/api/map', {});
    showWork({ phase: null, done: 0, total: 1 });
    again();
  } catch (error) {
    failed(error);
  }
}

function failed(error) {
  if (!(error instanceof ApiError)) throw error;
  say(error.message, { bad: true });
  if (!map) wait(h('p', {}, error.message), button('Try again', { on: { click: check } }));
}

function showWork(work) {
  const bar = refs.wait.querySelector('progress');
  const text = work.phase ? doing(work) : 'Beginning';
  if (bar && !refs.wait.hidden) {
    bar.value = work.done;
    bar.max = Math.max(1, work.total);
    refs.wait.querySelector('.work').textContent = text;
    return;
  }
  wait(
    h('h2', {}, 'The map is being made'),
    h('p', { className: 'work', role: 'status' }, text),
    h('progress', { 'aria-label': 'Progress of the map', max: String(Math.max(1, work.total)), value: String(work.done) }),
    h('p', { className: 'hint' }, 'Images that look alike come to lie together. Label on meanwhile: the map is kept.'),
  );
}

async function load(tag) {
  const buffer = await bytes(`/api/map/points${query({ map: tag })}`);
  const n = new DataView(buffer).getUint32(0, true);
  map = { tag, n, ids: new Uint32Array(buffer, 4, n), at: new Uint16Array(buffer, 4 + 4 * n, 2 * n) };
  map.places = new Map();
  for (let i = 0; i < n; i += 1) map.places.set(map.ids[i], i);
  wait();
  choosePoints(null);
  plot.place(map.at);
  regions.place(map.at);
  plot.measure();
  await readColours();
}

async function readColours() {
  try {
    const asked = map;
    const buffer = await bytes(`/api/map/colours${query({ map: asked.tag })}`);
    if (map !== asked) return;
    const { n } = map;
    map.answer = Number(new DataView(buffer).getBigInt64(0, true));
    map.classes = new Uint16Array(buffer, 12, n);
    map.guesses = new Uint16Array(buffer, 12 + 2 * n, n);
    map.states = new Uint8Array(buffer, 12 + 4 * n, n);
    map.doubts = new Uint8Array(buffer, 12 + 5 * n, n);
    counted = JSON.stringify(state.counts);
    recolour();
  } catch (error) {
    failed(error);
  }
}

// New answers: those of this window at once, those of others when the pulse says that there are some.

function set(point, now, one, doubt) {
  map.states[point] = (map.states[point] & HOLDOUT) | Math.max(0, STATES.indexOf(now));
  map.classes[point] = now === 'labelled' ? (one ?? NONE) : NONE;
  if (doubt !== undefined) map.doubts[point] = doubt === null ? 255 : Math.round(doubt * 254);
}

function take(images) {
  if (!map?.states) return;
  for (const image of images ?? []) {
    const point = map.places.get(image.id);
    if (point !== undefined && image.state) set(point, image.state, image.class);
  }
  repaint();
}

async function follow() {
  if (!map?.states || !shownHere || counted === JSON.stringify(state.counts)) return;
  counted = JSON.stringify(state.counts);
  try {
    const asked = map;
    const { answer, images } = await get(`/api/map/changes${query({ since: asked.answer })}`);
    // Meanwhile another map may have come, or none.
    if (map !== asked) return;
    map.answer = answer;
    if (images === null) {
      await readColours();
      return;
    }
    for (const { id, state: now, class: one, doubt } of images) {
      const point = map.places.get(id);
      if (point !== undefined) set(point, now, one, doubt);
    }
    repaint();
  } catch (error) {
    failed(error);
  }
}

// Colours

const rgb = (text) => {
  const value = Number.parseInt(text.trim().slice(1), 16);
  return [value >> 16, (value >> 8) & 255, value & 255];
};
const isDark = () => getComputedStyle(document.documentElement).colorScheme === 'dark';
const way = () => (suggestionsShown() ? prefs.mapBy : 'label');

const repaint = later(recolour, 60);
function recolour() {
  if (!map?.states || !plot) return;
  const style = getComputedStyle(document.documentElement);
  const ink = (name) => rgb(style.getPropertyValue(`--${name}`));
  plot.edge = ink('text');
  plot.ground = ink('ground');
  const [plain, bad] = [ink('edge'), ink('bad')];
  const by = way();
  const ramp = DOUBTS[isDark() ? 'dark' : 'light'].map(rgb);
  const inks = new Map(state.classes.map((one, place) => [one.id, { ink: rgb(one.colour), shape: place % 4 }]));
  const only = marked ?? chosen;
  const lit = only ? new Uint8Array(map.n) : null;
  for (const i of only ?? []) lit[i] = 1;
  const { classes, guesses, states, doubts } = map;
  for (let i = 0; i < map.n; i += 1) {
    const labelled = classes[i] !== NONE;
    const one = inks.get(by === 'guess' ? guesses[i] : classes[i]);
    let colour = plain;
    if (by === 'doubt') colour = doubts[i] === 255 ? plain : ramp[Math.min(4, Math.floor(doubts[i] / 51))];
    else if (one) colour = one.ink;
    else if (by === 'label' && (states[i] & 127) === 5) colour = bad;
    plot.colours.set(colour, 4 * i);
    plot.colours[4 * i + 3] = 255;
    plot.looks[i] = (one && by !== 'doubt' ? one.shape : 0) | (labelled ? OUTLINED : 0) | (lit && !lit[i] ? DIM : 0);
  }
  plot.paint();
  drawLegend(by, ramp);
  regions.tell({ classes, guesses, shown: suggestionsShown() });
}

function drawWays() {
  put(
    refs.ways,
    WAYS.map(([id, text]) =>
      button(text, {
        'aria-pressed': String(way() === id),
        disabled: id !== 'label' && !suggestionsShown(),
        on: {
          click: () => {
            setPref('mapBy', id);
            for (const one of refs.ways.children) one.setAttribute('aria-pressed', String(one.textContent === text));
            recolour();
          },
        },
      }),
    ),
  );
}

function shape(name, colour, outlined) {
  const drawn = {
    circle: s('circle', { cx: 8, cy: 8, r: 5.5 }),
    square: s('rect', { x: 3, y: 3, width: 10, height: 10 }),
    triangle: s('path', { d: 'M8 2.5L14 13H2z' }),
    diamond: s('path', { d: 'M8 1.5L14.5 8L8 14.5L1.5 8z' }),
  }[name];
  drawn.style.fill = colour;
  return s('svg', { class: outlined ? 'map-shape outlined' : 'map-shape', viewBox: '0 0 16 16', 'aria-hidden': 'true' }, drawn);
}

function drawLegend(by, ramp) {
  const row = (mark, text, n) => h('li', {}, mark, h('span', { className: 'class-name' }, text), h('span', { className: 'number' }, count(n)));
  const rows = [];
  let rest = 0;
  if (by === 'doubt') {
    const counts = [0, 0, 0, 0, 0];
    for (const doubt of map.doubts)
      if (doubt === 255) rest += 1;
      else counts[Math.min(4, Math.floor(doubt / 51))] += 1;
    counts.forEach((n, i) => rows.push(row(shape('circle', `rgb(${ramp[i].join(' ')})`), `${20 * i} to ${20 * (i + 1)} %`, n)));
  } else {
    const counts = new Map();
    for (const one of by === 'guess' ? map.guesses : map.classes)
      if (one === NONE) rest += 1;
      else counts.set(one, (counts.get(one) ?? 0) + 1);
    state.classes.forEach((one, place) => {
      const n = counts.get(one.id) ?? 0;
      if (n > 0) rows.push(row(shape(SHAPES[place % 4], one.colour, by === 'label'), one.name, n));
    });
  }
  const none = { label: 'no label', guess: 'no suggestion, or held out', doubt: 'not known, or held out' }[by];
  if (rest > 0) rows.push(row(shape('circle', 'var(--edge)'), none, rest));
  if (by !== 'label') rows.push(h('li', { className: 'hint' }, shape('circle', 'none', true), 'with an edge: labelled'));
  put(refs.legend, rows);
}

// Choosing

function setTool(isOn) {
  refs.lasso.setAttribute('aria-pressed', String(isOn));
  refs.canvas.classList.toggle('choosing', isOn);
}

function choosePoints(points) {
  chosen = points;
  refs.acts.hidden = !points || points.length === 0;
  refs.chosenText.textContent = points ? `${plural(points.length, 'image')} chosen` : '';
  refs.line.firstChild.setAttribute('d', '');
  recolour();
}

async function browse(points) {
  try {
    await openInBrowse(points.map((i) => map.ids[i]));
  } catch (error) {
    failed(error);
  }
}

// Pointer and keys

function listen(canvas) {
  const pointers = new Map();
  let travelled = 0;
  const at = (event) => {
    const { left, top } = canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  };
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, at(event));
    travelled = pointers.size > 1 ? Infinity : 0;
    refs.card.hidden = true;
    const wanted = event.shiftKey || refs.lasso.getAttribute('aria-pressed') === 'true';
    lasso = wanted && pointers.size === 1 ? [at(event)] : null;
  });
  canvas.addEventListener('pointermove', (event) => {
    const now = at(event);
    const before = pointers.get(event.pointerId);
    if (!before) {
      if (pointers.size === 0) hover(now);
      return;
    }
    travelled += Math.hypot(now.x - before.x, now.y - before.y);
    if (lasso) {
      // A busy browser puts several movements into one event; the line goes through all of them.
      const all = event.getCoalescedEvents?.() ?? [];
      lasso.push(...(all.length > 0 ? all.map(at) : [now]));
      drawLine();
    } else if (pointers.size === 1) {
      if (travelled > 4) plot.pan(now.x - before.x, now.y - before.y);
    } else {
      const [other] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      const size = (place) => Math.max(10, Math.hypot(place.x - other.x, place.y - other.y));
      plot.zoom(size(now) / size(before), other.x, other.y);
    }
    if (travelled > 4 || lasso || pointers.size > 1) pointers.set(event.pointerId, now);
  });
  const end = (event) => {
    if (!pointers.delete(event.pointerId)) return;
    if (lasso) {
      const line = lasso.map(({ x, y }) => plot.unit(x, y));
      lasso = null;
      refs.line.firstChild.setAttribute('d', '');
      if (event.type === 'pointerup' && travelled > 8) {
        choosePoints(plot.within(line));
        setTool(false);
      }
    } else if (event.type === 'pointerup' && travelled <= 4) {
      const place = at(event);
      const point = plot.nearest(place.x, place.y, event.pointerType === 'touch' ? 22 : 12);
      if (point >= 0) open(point);
    }
  };
  canvas.addEventListener('pointerup', end);
  canvas.addEventListener('pointercancel', end);
  canvas.addEventListener('pointerleave', () => hover(null));
  canvas.addEventListener(
    'wheel',
    (event) => {
      event.preventDefault();
      const place = at(event);
      const step = event.deltaMode === 1 ? 30 : 1;
      plot.zoom(Math.exp(-Math.max(-200, Math.min(200, event.deltaY * step)) / 300), place.x, place.y);
    },
    { passive: false },
  );
}

function drawLine() {
  const d = lasso.map(({ x, y }, i) => `${i === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
  refs.line.firstChild.setAttribute('d', `${d}Z`);
}

/** What the view is, for whoever looks from outside, and the card of a point that has moved. */
function moved() {
  const { x, y, scale } = plot.view;
  refs.canvas.dataset.view = `${x} ${y} ${scale}`;
  refs.card.hidden = true;
}

let over = -1;
function hover(place) {
  const point = place && map ? plot.nearest(place.x, place.y, 12) : -1;
  refs.canvas.classList.toggle('over', point >= 0);
  if (point === over && point >= 0 && !refs.card.hidden) return;
  over = point;
  if (point < 0) refs.card.hidden = true;
  else card(point);
}

const known = new Map();
const card = later(async (point) => {
  if (point !== over || !shownHere) return;
  const id = map.ids[point];
  let image = known.get(id);
  try {
    image ??= (await get(`/api/images/${id}`)).image;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return;
  }
  known.set(id, image);
  if (known.size > 500) known.delete(known.keys().next().value);
  if (point !== over) return;
  const now = STATES[map.states[point] & 127];
  const guess = suggestionsShown() && map.guesses[point] !== NONE ? map.guesses[point] : null;
  put(
    refs.card,
    h('img', { src: thumbAddress(image), alt: '' }),
    h(
      'div',
      {},
      h('p', { className: 'class-name' }, fileName(image.path)),
      h('p', {}, stateMark({ ...image, state: now, class: now === 'labelled' ? map.classes[point] : null })),
      guess !== null
        ? h('p', { className: 'hint' }, `suggested: ${className(guess)}`, image.suggestion?.class === guess ? ` ${percent(image.suggestion.confidence)}` : '')
        : null,
      map.states[point] & HOLDOUT ? h('p', { className: 'hint' }, 'of the holdout') : null,
    ),
  );
  const { x, y } = plot.where(point);
  refs.card.hidden = false;
  const { offsetWidth: width, offsetHeight: height } = refs.card;
  refs.card.style.left = `${Math.max(4, Math.min(plot.width - width - 4, x + 14))}px`;
  refs.card.style.top = `${y + 14 + height > plot.height ? Math.max(4, y - height - 14) : y + 14}px`;
}, 60);

async function open(point) {
  refs.card.hidden = true;
  const id = map.ids[point];
  const image = known.get(id) ?? { id, path: `Image ${id}` };
  await details(image);
  known.delete(id);
}

function keydown(event) {
  if (event.altKey || event.ctrlKey || event.metaKey || !map) return false;
  if (event.code === 'Escape' && (chosen || lasso)) {
    lasso = null;
    choosePoints(null);
    return true;
  }
  if (event.target !== refs.canvas) return false;
  const step = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[event.code];
  if (step) {
    plot.pan(...step);
    return true;
  }
  // Like a click on what is in the middle.
  if (event.code === 'Enter') {
    const point = plot.nearest(plot.width / 2, plot.height / 2, Math.max(plot.width, plot.height));
    if (point >= 0) open(point);
    return true;
  }
  return false;
}

function command(id) {
  if (!map) return false;
  if (id === 'zoomIn') plot.zoom(1.5);
  else if (id === 'zoomOut') plot.zoom(1 / 1.5);
  else if (id === 'fit' || id === 'reset') plot.fit();
  else return false;
  return true;
}
