// Opens the page: the project, the person, the views, the keys, the pulse. Never here: what a view does.

import { button, count, dialog, dialogIsOpen, duration, h, plural, put, say } from './dom.js';
import { ApiError, get, query, signIn } from './api.js';
import { emit, on, prefs, setCounts, setPerson, setProject, state, store } from './state.js';
import { counted, flush, outbox, unsent } from './outbox.js';
import { meetTabs } from './tabs.js';
import { inTurn, isBusy, waiting } from './turns.js';
import { meaning, readLayout } from './keys.js';
import { toggleSuggestions, undo, view as label } from './label.js';
import { view as browse } from './grid.js';
import { view as map } from './map.js';
import { view as review } from './review.js';
import { view as classes } from './classes.js';
import { view as progress } from './progress.js';
import { view as exchange } from './exchange.js';
import { toggleGuide } from './guide.js';
import { help } from './help.js';

const views = new Map(
  [label, browse, map, review, classes, progress, exchange].map((view) => [view.id, { view, root: null }]),
);
let open = null;
let before = 'browse';
const main = document.getElementById('main');

function route({ focus = true } = {}) {
  const [name, parameters] = location.hash.slice(1).split('?');
  // Anything else in the address is a place on the page, not a view.
  if (!views.has(name) && open) return;
  const id = views.has(name) ? name : 'label';
  const entry = views.get(id);
  if (open && open !== id) {
    views.get(open).view.hide?.();
    views.get(open).root.hidden = true;
    before = open;
  }
  const first = !entry.root;
  if (first) {
    entry.root = h('section', { className: `view ${id}`, id: `view-${id}` });
    main.append(entry.root);
    entry.view.mount(entry.root);
  }
  entry.root.hidden = false;
  const changed = open !== id;
  open = id;
  for (const link of document.querySelectorAll('.views a')) {
    if (link.dataset.view === id) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${entry.view.title} · ${state.project.name} · vabal`;
  entry.view.show?.(new URLSearchParams(parameters ?? ''));
  if (changed && focus) entry.root.querySelector('h1')?.focus({ preventScroll: true });
}

/** From the views' links to what the view is about. */
function skip(event) {
  event.preventDefault();
  const all = ['#grid', '.map-canvas', '.review-list', '.stage', 'h1'].map((one) => views.get(open)?.root.querySelector(one));
  (all.find((one) => one?.offsetParent) ?? main).focus();
}

async function askName() {
  const first = state.person === '';
  const name = await dialog(
    first ? 'Who is labelling?' : 'Your name',
    (close) => {
      const input = h('input', {
        type: 'text',
        id: 'person-input',
        name: 'person',
        maxlength: '80',
        autocomplete: 'name',
        required: true,
        autofocus: true,
        list: 'people',
        value: state.person || (state.project.person ?? ''),
      });
      return [
        h(
          'form',
          {
            on: {
              submit: (event) => {
                event.preventDefault();
                if (input.value.trim()) close(input.value.trim());
              },
            },
          },
          h('label', { for: 'person-input' }, 'Your name, kept with each of your answers'),
          input,
          h(
            'datalist',
            { id: 'people' },
            state.people.map((one) => h('option', { value: one })),
          ),
          h(
            'p',
            { className: 'hint' },
            'Several people can label at once: each gets other images. The name stays in this browser and in the project.',
          ),
          h(
            'div',
            { className: 'row end' },
            h('button', { type: 'submit', className: 'main' }, first ? 'Start' : 'Save'),
          ),
        ),
      ];
    },
    { dismissable: !first },
  );
  if (name) setPerson(name);
}

function showPerson() {
  document.getElementById('person-name').textContent = state.person;
}

function showCounts() {
  const { counts, training } = state;
  if (!counts) return;
  const parts = [`${count(counts.labelled)} of ${count(counts.images)} labelled`];
  if (training.state === 'running')
    parts.push(`training${training.seconds_left ? `, ${duration(training.seconds_left)} left` : ''}`);
  else if (training.state === 'failed') parts.push('training failed: see Progress');
  else if (state.round > 0) parts.push(`round ${state.round}`);
  if (waiting() > 0) parts.unshift(`${plural(waiting(), 'key')} waiting`);
  document.getElementById('count-line').textContent = parts.join(' · ');
  const badge = document.getElementById('review-badge');
  badge.hidden = !counts.conflict;
  badge.textContent = counts.conflict ? String(counts.conflict) : '';
  badge.setAttribute('aria-label', `${plural(counts.conflict, 'conflict')}`);
}

// What stands in the way, in plain words, until it is gone.
let lost = null;
function showTrouble() {
  const box = document.getElementById('trouble');
  const kept = unsent();
  // The pulse is the newer word: a server that was away may by now be there, and want something else.
  const error = lost ?? outbox.error;
  const lines = [];
  if (error) {
    lines.push(
      h(
        'p',
        {},
        h('b', {}, error.message),
        kept.all > 0
          ? ` ${counted(kept)} not saved yet: kept in this browser and sent again by ${kept.all === 1 ? 'itself' : 'themselves'}.`
          : '',
      ),
    );
  }
  for (const { error: why, body } of outbox.refused)
    lines.push(
      h(
        'p',
        {},
        `${plural(body.answers.length, 'answer')} (${body.answers
          .map((one) => `image ${one.image}: ${one.act}`)
          .slice(0, 3)
          .join(', ')}) refused by the server. ${why.message}`,
      ),
    );
  const text = lines.map((line) => line.textContent).join('\n');
  if (box.dataset.text === text) return;
  box.dataset.text = text;
  put(box, lines.length === 0 ? null : h('div', { className: 'trouble' }, h('div', { className: 'grow' }, lines), wayOut(error)));
}

/** What can be done about the trouble. */
function wayOut(error) {
  if (!error)
    return button('I have read this', {
      on: {
        click: () => {
          outbox.refused.length = 0;
          showTrouble();
        },
      },
    });
  if (error.status !== 401) return button('Try now', { on: { click: () => pulse() } });
  const input = h('input', {
    type: 'text',
    'aria-label': 'The address that vabal label printed',
    placeholder: 'http://…/?token=…',
    autocomplete: 'off',
    required: true,
  });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await signIn(input.value);
      await (state.project ? pulse() : null);
    } catch (failure) {
      if (!(failure instanceof ApiError)) throw failure;
      say(failure.status === 401 ? 'The server does not know this address: copy it whole.' : failure.message, { bad: true });
    }
  };
  return h('form', { className: 'row', on: { submit } }, input, h('button', { type: 'submit', className: 'main' }, 'Sign in'));
}

let beating = false;
let beats = 0;
let read = '';
async function pulse() {
  if (beating) return;
  beating = true;
  try {
    const {
      round,
      counts,
      training,
      labels_until_training: until,
    } = await get(`/api/pulse${query({ since: state.round })}`, { wait: 10_000 });
    if (lost) {
      lost = null;
      emit('trouble');
      say('The server answers again.');
    }
    if (until !== undefined) state.until = until;
    setCounts(counts);
    state.training = training ?? { state: 'idle' };
    emit('training');
    if (unsent().all > 0 || outbox.error) await flush();
    if (round !== state.round) {
      state.round = round;
      say(`Round ${round} is ready: new suggestions.`);
      emit('round');
      await reload();
    }
    // Labels of others appear in the list of classes now and then.
    beats += 1;
    if (beats % 10 === 0 && read !== JSON.stringify(counts)) {
      read = JSON.stringify(counts);
      await reload();
    }
    emit('pulse');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    lost = error;
    emit('trouble');
  } finally {
    beating = false;
  }
}

/** Reads project and classes anew: others may have changed them. */
export async function reload() {
  const { round } = state;
  try {
    setProject(await get('/api/project'));
  } catch {
    return;
  }
  state.round = Math.max(round, state.project.round);
}

// Commands that need the image before the eyes; those that a held key repeats.
const SEEING = ['accept', 'change', 'later', 'unsure', 'discard'];
const REPEATED = ['previous', 'next', 'zoomIn', 'zoomOut', 'darker', 'brighter', 'lessContrast', 'moreContrast'];

function keydown(event) {
  if (event.defaultPrevented || event.isComposing || dialogIsOpen() || !open) return;
  const { target } = event;
  const typing =
    target instanceof HTMLElement &&
    (target.isContentEditable ||
      target.matches(
        'textarea, select, input:not([type=checkbox], [type=radio], [type=range], [type=button], [type=submit], [type=file], [type=color])',
      ));
  if (typing) {
    if (event.key === 'Escape') target.blur();
    return;
  }
  const found = meaningHere(event);
  const sees = Boolean(found && (found.class || SEEING.includes(found.command)));
  if (!isBusy(sees)) {
    if (act(event, found)) event.preventDefault();
    return;
  }
  if (!found && !/^(Arrow|Page|Home$|End$|Escape$)/.test(event.code)) return;
  event.preventDefault();
  // A held key is no further press.
  if (!event.repeat) inTurn(() => (dialogIsOpen() ? typeInto(event) : act(event, meaningHere(event))), { sees });
}

/** What a key means where the focus is; null where the browser's own meaning holds, or none. */
function meaningHere(event) {
  const { target } = event;
  if (target instanceof HTMLElement) {
    if (target.matches('button, a, summary, input') && ['Enter', 'Space', 'NumpadEnter'].includes(event.code)) return null;
    if (target.matches('input[type=range], input[type=radio]') && event.code.startsWith('Arrow')) return null;
  }
  const found = meaning(event);
  if (!prefs.singleKeys && !event.ctrlKey && !event.metaKey && event.key.length === 1 && event.code !== 'Space')
    return null;
  return found;
}

/** Carries out what a key means. False where it means nothing here. */
function act(event, found) {
  const { view } = views.get(open);
  if (view.keydown?.(event)) return true;
  if (!found) return false;
  if (event.repeat && !REPEATED.includes(found.command)) return true;
  return (found.class ? (view.choose?.(found.class) ?? false) : command(found.command, view)) !== false;
}

/** A key that had to wait, and meanwhile its predecessor has opened a dialog: it is written there. */
function typeInto({ key, code, ctrlKey, metaKey }) {
  const { activeElement: field } = document;
  if (key.length === 1 && !ctrlKey && !metaKey && field instanceof HTMLInputElement) {
    field.value += key;
    field.dispatchEvent(new Event('input', { bubbles: true }));
  } else field?.dispatchEvent(new KeyboardEvent('keydown', { key, code, bubbles: true, cancelable: true }));
}

function command(id, view) {
  switch (id) {
    case 'help':
      help();
      return true;
    case 'undo':
      // Only where answers are given: elsewhere nobody would see what came back.
      if (!view.undone) return false;
      undo();
      return true;
    case 'grid':
      location.hash = open === 'browse' ? (before === 'review' ? 'review' : 'label') : 'browse';
      return true;
    case 'hide':
      toggleSuggestions();
      return true;
    case 'guide':
      toggleGuide();
      return true;
    default:
      return view.command?.(id) ?? false;
  }
}

function nextTheme() {
  const order = ['auto', 'light', 'dark'];
  const now = store.get('vabal.theme') ?? 'auto';
  const theme = order[(order.indexOf(now) + 1) % order.length];
  store.set('vabal.theme', theme);
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  showTheme();
  emit('theme');
  say({ auto: 'Theme as the system has it', light: 'Light theme', dark: 'Dark theme' }[theme]);
}
function showTheme() {
  const theme = store.get('vabal.theme') ?? 'auto';
  const text = `Theme: ${{ auto: 'as the system', light: 'light', dark: 'dark' }[theme]}`;
  const element = document.getElementById('theme-button');
  element.setAttribute('aria-label', text);
  element.title = text;
}

async function start() {
  await readLayout();
  for (;;) {
    try {
      setProject(await get('/api/project'));
      break;
    } catch (error) {
      lost = error;
      showTrouble();
      await new Promise((resolve) => {
        setTimeout(resolve, 2000);
      });
    }
  }
  lost = null;
  showTrouble();
  meetTabs();
  document.getElementById('project-name').textContent = state.project.name;
  document.getElementById('person-button').addEventListener('click', askName);
  document.getElementById('theme-button').addEventListener('click', nextTheme);
  document.querySelector('.skip').addEventListener('click', skip);
  document.getElementById('help-button').addEventListener('click', help);
  on('person', showPerson);
  on('counts', showCounts);
  on('training', showCounts);
  on('waiting', showCounts);
  on('trouble', showTrouble);
  on('stale', pulse);
  on('undone', (images) => views.get(open).view.undone?.(images));
  showPerson();
  showTheme();
  showCounts();
  window.addEventListener('hashchange', () => route());
  document.addEventListener('keydown', keydown);
  window.addEventListener('beforeunload', (event) => {
    if (unsent().all > 0) event.preventDefault();
  });
  if (!state.person) await askName();
  if (unsent().all > 0) flush();
  route({ focus: false });
  await pulse();
  // Hidden windows ask less often; they are asked at once when they come to the front.
  let ticks = 0;
  setInterval(() => {
    ticks += 1;
    if (!document.hidden || ticks % 5 === 0) pulse();
  }, 2000);
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) pulse();
  });
}

start();
