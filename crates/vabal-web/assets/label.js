// The view for one image after another: a key labels, saves and moves on. Never here: how answers travel (outbox.js).

import { button, count, fileName, h, plural, put, say } from './dom.js';
import { get, query, ApiError } from './api.js';
import { emit, on, prefs, setPref, state, suggestionsShown, className, classOf } from './state.js';
import { submit, takeBack, unsentFor } from './outbox.js';
import { hold, holdAnswers, inTurn, refuse } from './turns.js';
import { alone, elsewhere, hold as holdImages } from './tabs.js';
import { shownCommand } from './keys.js';
import { caption, prefetch, Viewer } from './viewer.js';
import { findClass, stateText } from './pick.js';
import { ACT_STATE, Panel } from './panel.js';
import { details } from './details.js';
import { alike } from './alike.js';
import { flag, GuidePanel } from './guide.js';

const AHEAD = 12;
// Images that a request may name.
const HELD = 900;
const DECODED = 5;

// The trail: what was shown, what is shown, what comes. An entry is {image, shown, answered, since, spent}.
const trail = [];
let at = -1;
let asking = null;
let dry = false;
let failed = null;
let earlier = false;
let visible = false;
let refs;

const current = () => trail[at] ?? null;
const unanswered = () => trail.filter((entry) => !entry.answered);

export const view = { id: 'label', title: 'Label', mount, show, hide, command, choose, undone };

function mount(root) {
  const viewer = new Viewer();
  const panel = new Panel({
    choose: (one) => {
      inTurn(() => choose(one));
      toStage();
    },
    command: (id) => {
      inTurn(() => command(id));
      toStage();
    },
    back: (place) => {
      inTurn(() => move(place));
      toStage();
    },
  });
  refs = {
    viewer,
    panel,
    stage: h('div', { className: 'stage', tabindex: '-1', role: 'group', 'aria-label': 'The image' }, viewer.root),
    empty: h('div', { className: 'empty', hidden: true }),
  };
  refs.stage.append(new GuidePanel().root);
  root.append(h('h1', { className: 'visually-hidden', tabindex: '-1' }, 'Label'), refs.stage, panel.root, refs.empty);
  on('noted', (image) => {
    const entry = trail.find((one) => one.image.id === image.id);
    if (!entry) return;
    Object.assign(entry.image, { note: image.note, flag: image.flag });
    viewer.describe(entry.image, caption(entry.image));
  });
  on('classes', () => panel.showRecent(trail, at));
  on('round', newRound);
  on('pulse', () => {
    if (dry || failed) more();
  });
  on('person', () => {
    trail.splice(at + 1);
    dry = false;
    more();
  });
  on('images', (images) => {
    for (const { id, state: now, class: one } of images)
      for (const entry of trail) if (entry.image.id === id) Object.assign(entry.image, { state: now, class: one });
    // What was answered elsewhere meanwhile, or as a copy, is not asked any more.
    const done = new Set(images.filter((image) => image.state !== 'open').map((image) => image.id));
    for (let place = trail.length - 1; place > at; place -= 1)
      if (!trail[place].shown && done.has(trail[place].image.id)) trail.splice(place, 1);
    if (visible) {
      refs.panel.mark();
      refs.panel.showRecent(trail, at);
    }
  });
  document.addEventListener('visibilitychange', () => clock(!document.hidden && visible));
}

// After a click the keys act on the image again; who goes by Tab stays where they are.
function toStage() {
  const { activeElement } = document;
  if (visible && activeElement !== document.body && !activeElement.matches(':focus-visible'))
    refs.stage.focus({ preventScroll: true });
}

function show(parameters) {
  visible = true;
  if (parameters?.has('image')) hold(openImage(Number(parameters.get('image'))));
  else if (current()) display();
  else more();
  clock(true);
}

function hide() {
  visible = false;
  clock(false);
}

// Time counts while the image is on the screen and the window in front.
function clock(run) {
  const entry = current();
  if (!entry) return;
  if (entry.since !== null) {
    entry.spent += performance.now() - entry.since;
    entry.since = null;
  }
  if (run && !document.hidden) entry.since = performance.now();
}

const fresh = (image) => ({ image, shown: false, answered: null, since: null, spent: 0 });

async function openImage(id) {
  history.replaceState(null, '', '#label');
  try {
    const { image } = await get(`/api/images/${id}`);
    const known = trail.findIndex((entry) => entry.image.id === id);
    if (known >= 0) {
      Object.assign(trail[known].image, image);
      move(known);
    } else {
      trail.splice(at + 1, 0, fresh(image));
      move(at + 1);
    }
  } catch (error) {
    say(error.message, { bad: true });
    if (current()) display();
    else more();
  }
}

/** Asks for questions when few are left. */
function more() {
  if (!state.person) return Promise.resolve();
  asking ??= alone(async () => {
    // Also those passed over without an answer: what is not named here is handed out again first.
    const own = unanswered()
      .map((entry) => entry.image.id)
      .slice(-HELD);
    const have = [...own, ...elsewhere()].slice(0, HELD);
    try {
      const { questions, round } = await get(
        `/api/next${query({ person: state.person, n: AHEAD, have: have.join(',') })}`,
      );
      failed = null;
      const held = new Set(trail.filter((entry) => !entry.answered).map((entry) => entry.image.id));
      const added = questions.filter((image) => !held.has(image.id) && !unsentFor(image.id));
      trail.push(...added.map(fresh));
      holdImages(unanswered().map((entry) => entry.image.id).slice(-HELD));
      dry = added.length === 0;
      if (round > state.round) emit('stale');
      if (trail.length > 400) {
        const cut = Math.min(at - 100, trail.length - 300);
        if (cut > 0) {
          trail.splice(0, cut);
          at -= cut;
        }
      }
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failed = error;
    }
  }).finally(() => {
    asking = null;
    // At the end of the trail nothing was on the screen: what has come is shown.
    if (at < 0 || at >= trail.length || (visible && !refs.empty.hidden)) move(Math.min(Math.max(at, 0), trail.length));
    else ahead();
  });
  return asking;
}

// A round has ended: what was not shown yet is asked anew; what is on the screen stays as it is.
function newRound() {
  const last = trail.findLastIndex((entry) => entry.shown);
  trail.splice(Math.max(last, at) + 1);
  dry = false;
  more();
}

function ahead() {
  prefetch(trail.slice(at + 1, at + 1 + DECODED).map((entry) => entry.image));
  if (!asking && !dry && trail.length - at - 1 < AHEAD / 2) more();
}

function move(to) {
  clock(false);
  at = Math.max(0, Math.min(trail.length, to));
  if (visible) display();
  if (at >= trail.length && !dry) holdAnswers(more());
}

function display() {
  const entry = current();
  refs.empty.hidden = entry !== null;
  refs.stage.hidden = entry === null;
  refs.panel.root.hidden = entry === null;
  if (!entry) {
    showEmpty();
    return;
  }
  const { image } = entry;
  entry.shown = true;
  holdAnswers(refs.viewer.show(image, caption(image)));
  clock(visible);
  refs.panel.show(image);
  refs.panel.showRecent(trail, at);
  ahead();
}

function showEmpty() {
  const passed = unanswered();
  const rest = Math.max(0, (state.counts?.open ?? 0) - passed.length);
  let text = 'Fetching the next images…';
  if (failed) text = failed.message;
  else if (dry && rest > 0)
    text = `${plural(rest, 'image')} ${rest === 1 ? 'is' : 'are'} open, and with somebody else just now. New ones appear here by themselves.`;
  else if (dry)
    text =
      passed.length > 0
        ? 'Every other image has an answer.'
        : state.counts?.images
          ? 'Every image has an answer.'
          : 'There are no images in this project yet: they appear here when they are imported.';
  put(
    refs.empty,
    h(
      'h2',
      {},
      failed
        ? 'No images just now'
        : dry && !state.counts?.images
          ? 'No images yet'
          : dry && rest === 0 && passed.length === 0
            ? 'All done'
            : dry
              ? 'Nothing more just now'
              : 'One moment',
    ),
    h('p', {}, text),
    dry && !failed
      ? h(
          'p',
          { className: 'row' },
          h('a', { href: '#review' }, 'Review doubts'),
          h('a', { href: '#progress' }, 'See the progress'),
          h('a', { href: '#exchange' }, 'Take the labels out'),
        )
      : null,
    passed.length > 0
      ? button(`Show ${passed.length === 1 ? 'the one' : `the ${count(passed.length)}`} you passed over`, {
          className: 'main',
          on: { click: () => move(trail.indexOf(passed[0])) },
        })
      : null,
    at > 0 ? button('Back to the last image', { on: { click: () => move(at - 1) } }) : null,
    failed ? button('Try again', { on: { click: () => more() } }) : null,
  );
}

function choose(one) {
  return answer('label', one.id);
}

const answer = (act, id = null) => hold(save(act, id));

/** Answers the image on the screen: saved first, then the next one. */
async function save(act, id) {
  const entry = current();
  if (!entry) {
    refuse('There is no image to answer.');
    return;
  }
  clock(true);
  const { image } = entry;
  // Nobody labels what they do not see; the other acts may be meant for just that.
  if (act === 'label' && !refs.viewer.shows(image)) {
    refuse(
      `${fileName(image.path)} is not on the screen: it cannot be labelled, but put off, marked as unsure or discarded.`,
    );
    return;
  }
  const one = { image: image.id, act, seconds: Math.round(entry.spent) / 1000 };
  if (id !== null) one.class = id;
  if (image.suggestion && suggestionsShown()) one.suggested = image.suggestion.class;
  const slow = setTimeout(() => refs.panel.root.classList.add('saving'), 150);
  try {
    const outcome = await submit([one], { duplicates: prefs.duplicates && image.duplicates > 0 });
    if (outcome.refused) {
      refuse(`${fileName(image.path)} is not saved. ${outcome.refused.message}`);
      return;
    }
    // An answer to an image seen before replaces the old one in the list of answers.
    Object.assign(image, { state: ACT_STATE[act], class: id });
    entry.answered = { act, class: id };
    entry.spent = 0;
    entry.since = null;
    if (outcome.saved) emit('images', outcome.saved.images);
    const what =
      act === 'label'
        ? `labelled ${fileName(image.path)} as ${className(id)}`
        : {
            later: `put off ${fileName(image.path)}`,
            unsure: `${fileName(image.path)} marked as unsure`,
            discard: `discarded ${fileName(image.path)}`,
          }[act];
    const more = outcome.saved ? outcome.saved.images.length - 1 : 0;
    const total = state.counts ? `, ${count(state.counts.labelled)} of ${count(state.counts.images)}` : '';
    const conflict = outcome.saved?.images[0]?.state === 'conflict' ? '; others say something else: see Review' : '';
    say(
      outcome.kept
        ? `${what}, not saved yet`
        : `${what}${more > 0 ? ` and ${plural(more, 'copy', 'copies')}` : ''}${total}${conflict}`,
    );
    move(at + 1);
  } finally {
    clearTimeout(slow);
    refs.panel.root.classList.remove('saving');
  }
}

/** Takes back the person's last answer and shows its image again. */
export const undo = () => hold(undoLast());

async function undoLast() {
  try {
    const { undone: result, kept, images: ids } = await takeBack();
    if (result) {
      emit('images', result.images);
      emit('undone', result.images);
      const [first] = result.images;
      say(
        result.images.length > 1
          ? `Undone: ${plural(result.images.length, 'image')} as before`
          : `Undone: ${first ? `${fileName(first.path)} is ${stateText(first)} again` : 'your last answer'}`,
      );
      return;
    }
    const open = ids.map((id) => ({ id, state: 'open', class: null }));
    emit('images', open);
    emit('undone', open);
    if (!kept) say('Took back an answer that was not saved yet');
    else if (open.length > 0) say('Undone, not saved yet');
    else say('Your undo is kept: it is carried out when the server answers again.');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.status === 404 ? 'There is nothing to undo.' : error.message, { bad: error.status !== 404 });
  }
}

/** Shows suggestions, or hides them so as not to sway. */
export function toggleSuggestions() {
  setPref('suggestions', !suggestionsShown());
  say(suggestionsShown() ? 'Suggestions are shown' : 'Suggestions are hidden');
}

/** Goes back to the first of these images. */
function undone(images) {
  const [image] = images;
  if (!image) return;
  const known = trail.findLastIndex((entry) => entry.image.id === image.id);
  if (known >= 0) {
    Object.assign(trail[known].image, image);
    trail[known].answered = null;
    move(known);
  } else if (image.path) {
    trail.splice(Math.max(at, 0), 0, fresh(image));
    move(Math.max(at, 0));
  }
}

// Before the first image of this visit lie the images answered in earlier ones.
async function back() {
  if (at > 0) {
    move(at - 1);
    return;
  }
  if (earlier) {
    say('This is the first image.');
    return;
  }
  try {
    const { images } = await get(`/api/images${query({ sort: 'recent', limit: 50 })}`);
    earlier = true;
    const known = new Set(trail.map((entry) => entry.image.id));
    const older = images
      .filter((image) => image.state !== 'open' && !known.has(image.id))
      .reverse()
      .map((image) => ({ ...fresh(image), shown: true, answered: { act: image.state, class: image.class } }));
    if (older.length === 0) {
      say('This is the first image.');
      return;
    }
    trail.unshift(...older);
    at += older.length;
    move(at - 1);
  } catch (error) {
    say(error.message, { bad: true });
  }
}

function command(id) {
  const entry = current();
  switch (id) {
    case 'accept': {
      const guess = entry?.image.suggestion;
      if (!suggestionsShown()) say(`Suggestions are hidden: ${shownCommand('hide')} shows them.`);
      else if (guess && classOf(guess.class)) answer('label', guess.class);
      else if (entry) say('There is no suggestion for this image.');
      return true;
    }
    case 'later':
    case 'unsure':
    case 'discard':
      answer(id);
      return true;
    case 'find':
      if (entry)
        findClass('Label as').then((one) => {
          if (one) inTurn(() => choose(one));
        });
      return true;
    case 'previous':
      hold(back());
      return true;
    case 'next':
      if (at < trail.length) move(at + 1);
      else say('There is no further image.');
      return true;
    case 'undo':
      undo();
      return true;
    case 'hide':
      toggleSuggestions();
      return true;
    case 'flag':
      if (entry) hold(flag(entry.image));
      return true;
    case 'alike':
      if (entry) alike(entry.image);
      return true;
    case 'details':
      if (entry) details(entry.image);
      return true;
    default:
      return refs.viewer.command(id);
  }
}
