// The view of many images at once: find, select, label together. Never here: how tiles are drawn (tiles.js), how answers
// travel (outbox.js).

import { button, count, fileName, h, icon, iconButton, later, plural, put, say } from './dom.js';
import { get, query, ApiError } from './api.js';
import { classOf, className, emit, on, prefs, setPref, state, suggestionsShown } from './state.js';
import { submit } from './outbox.js';
import { hold, inTurn, refuse } from './turns.js';
import { actButtons, ClassList, findClass, STATE_NAMES } from './pick.js';
import { alike, alikeButton } from './alike.js';
import { details } from './details.js';
import { chosenCount } from './chosen.js';
import { flag } from './guide.js';
import { Tiles } from './tiles.js';

const LIMIT = 100;
// One request may carry this many answers; more are sent as several gestures.
const TOGETHER = 4000;
// As many as can be loaded and selected at once.
const MOST = 20_000;

let next = null;
let serial = 0;
let loading = null;
let loaded = false;
let wanted = null;
// The image that those listed are to be like: its id as text, its name once it is known.
let like = '';
let likeName = null;
let fields;
let refs;
let tiles;

export const view = {
  id: 'browse',
  title: 'Browse',
  mount,
  show,
  command,
  choose,
  keydown,
  undone: (images) => update(images),
};

function filterForm(changed) {
  fields = {};
  const select = (name, label, options) =>
    h('label', { className: 'field' }, h('span', {}, label), (fields[name] = h('select', { name }, options)));
  const any = () => h('option', { value: '' }, 'any');
  const number = (name, label, placeholder) =>
    h(
      'label',
      { className: 'field narrow' },
      h('span', {}, label),
      (fields[name] = h('input', {
        type: 'number',
        name,
        min: '0',
        max: '100',
        step: '5',
        placeholder,
        inputmode: 'numeric',
      })),
    );
  const search = h('input', {
    type: 'search',
    name: 'search',
    placeholder: 'Part of the file name',
    autocomplete: 'off',
    on: { input: later(changed, 250) },
  });
  fields.search = search;
  fields.among = h('input', { type: 'hidden', name: 'among' });
  const size = h('input', {
    type: 'range',
    min: '72',
    max: '320',
    step: '8',
    value: String(prefs.tile),
    on: {
      input: (event) => {
        event.stopPropagation();
        setPref('tile', Number(size.value));
        tiles.measure(true);
      },
      change: (event) => event.stopPropagation(),
    },
  });
  on('prefs', (name) => {
    if (name === 'tile') size.value = String(prefs.tile);
  });
  const orders = [
    ['id', 'as imported'],
    ['path', 'by name'],
    ['confidence', 'least sure first'],
    ['doubt', 'most doubted first'],
    ['recent', 'last answered first'],
  ];
  return h(
    'form',
    {
      className: 'filter',
      role: 'search',
      'aria-label': 'Filter',
      on: {
        submit: (event) => {
          event.preventDefault();
          changed();
        },
        change: changed,
      },
    },
    fields.among,
    h('label', { className: 'field wide-field' }, h('span', {}, 'Search'), search),
    select('state', 'State', [any(), ...[...STATE_NAMES, 'missing'].map((one) => h('option', { value: one }, one))]),
    select('class', 'Class', [any()]),
    select('flag', 'Flag', [any(), h('option', { value: 'true' }, 'flagged')]),
    select('predicted', 'Suggested', [any()]),
    number('low', 'Sure from %', '0'),
    number('high', 'to %', '100'),
    select(
      'sort',
      'Order',
      orders.map(([value, text]) => h('option', { value }, text)),
    ),
    h('label', { className: 'field size-field' }, h('span', {}, 'Tile size'), size),
    button('Clear', {
      on: {
        click: () => {
          setFields(new URLSearchParams());
          changed();
        },
      },
    }),
  );
}

function setFields(parameters) {
  setLike(parameters.get('like') ?? '');
  for (const [name, one] of Object.entries(fields)) one.value = parameters.get(name) ?? (name === 'sort' ? 'id' : '');
}

function setLike(id) {
  if (id === like) return;
  like = id;
  likeName = null;
  showLike();
  if (!like) return;
  const known = tiles.items.find((image) => String(image.id) === like);
  const named = (image) => {
    if (String(image.id) !== like) return;
    likeName = fileName(image.path);
    showLike();
  };
  if (known) named(known);
  else
    get(`/api/images/${encodeURIComponent(like)}`)
      .then(({ image }) => named(image))
      .catch((error) => {
        if (!(error instanceof ApiError)) throw error;
      });
}

/** What is searched for, where it is an image; then there is no other order. */
function showLike() {
  refs.like.hidden = !like;
  fields.sort.disabled = Boolean(like);
  put(
    refs.like,
    h('span', {}, `like ${likeName ?? `image ${like}`}`),
    iconButton('close', `Not like ${likeName ?? 'this image'} any more`, {
      className: 'quiet',
      on: {
        click: () => {
          setLike('');
          remember();
          load();
          tiles.focus();
        },
      },
    }),
  );
}

const values = () => Object.fromEntries(Object.entries(fields).map(([name, one]) => [name, one.value]));
const asText = () => {
  const all = values();
  if (all.sort === 'id' || like) all.sort = '';
  return query({ like, ...all });
};
const remember = () => history.replaceState(null, '', `#browse${asText()}`);

function mount(root) {
  tiles = new Tiles({ near: () => fetchPage(), changed: showSelection, opened: details });
  const act = (run) => () => {
    inTurn(run);
    tiles.focus();
  };
  refs = {
    like: h('p', { className: 'chip', hidden: true }),
    found: h('p', { className: 'found', role: 'status' }),
    none: h('div', { className: 'empty', hidden: true }),
    chosen: h('h2', {}, 'Nothing selected'),
    hint: h('p', { className: 'hint' }),
    acts: h('div', { className: 'acts' }),
    accept: h('button', { type: 'button', className: 'accept-many', on: { click: act(() => command('accept')) } }),
    fresh: h(
      'button',
      { type: 'button', className: 'pill', hidden: true, on: { click: () => load() } },
      'New suggestions: refresh',
    ),
    rest: h('button', { type: 'button', hidden: true, on: { click: loadAll } }),
    // The images that were chosen on the map, as a part of the filter that can be taken away.
    among: h('button', {
      type: 'button',
      className: 'pill',
      hidden: true,
      on: {
        click: () => {
          fields.among.value = '';
          remember();
          load();
        },
      },
    }),
    classes: new ClassList((one) => act(() => choose(one))()),
  };
  const filter = h(
    'details',
    { className: 'filter-box' },
    h('summary', {}, 'Filter and order'),
    filterForm(() => {
      remember();
      load();
    }),
  );
  filter.open = matchMedia('(min-width: 56rem)').matches;
  refs.panel = h(
    'aside',
    { className: 'panel', 'aria-label': 'The selection' },
    refs.chosen,
    refs.hint,
    h(
      'div',
      { className: 'row bulk' },
      button('Label as…', { className: 'label-as', on: { click: () => inTurn(() => command('find')) } }),
      refs.accept,
      button('Select all', { on: { click: act(selectAll) } }),
      button('None', { on: { click: act(() => tiles.select([])) } }),
      h(
        'button',
        {
          type: 'button',
          className: 'only-icon',
          'aria-label': 'History and details',
          title: 'History and details',
          on: { click: () => command('details') },
        },
        icon('info'),
      ),
      alikeButton(() => command('alike'), { small: true }),
    ),
    refs.rest,
    refs.classes.root,
    refs.acts,
  );
  root.append(
    h('div', { className: 'browse-head' }, h('h1', { tabindex: '-1' }, 'Browse'), refs.found, refs.among, refs.like, refs.fresh),
    filter,
    h('div', { className: 'grid-box' }, tiles.root, refs.none),
    refs.panel,
  );
  const keys = () => put(refs.acts, ...actButtons((name) => act(() => answer(name))()));
  keys();
  fillClasses();
  on('classes', () => {
    fillClasses();
    tiles.draw(true);
  });
  on('keys', keys);
  on('prefs', (name) => {
    if (name === 'suggestions') {
      tiles.draw(true);
      showSelection();
    }
  });
  on('images', update);
  on('round', () => {
    refs.fresh.hidden = !loaded;
  });
}

function fillClasses() {
  for (const name of ['class', 'predicted']) {
    const { value } = fields[name];
    put(
      fields[name],
      h('option', { value: '' }, 'any'),
      state.classes.map((one) => h('option', { value: String(one.id) }, one.name)),
    );
    fields[name].value = value;
  }
}

function show(parameters) {
  if ([...parameters].length > 0) {
    setFields(parameters);
    if (asText() !== wanted) load();
  } else {
    remember();
    if (!loaded) load();
  }
  tiles.measure(true);
}

async function load() {
  serial += 1;
  wanted = asText();
  showAmong();
  loading = null;
  loaded = true;
  refs.fresh.hidden = true;
  next = null;
  await fetchPage(true);
}

function fetchPage(first = false) {
  if (!first && (next === null || loading)) return loading ?? Promise.resolve();
  const mine = serial;
  const all = values();
  for (const name of ['low', 'high'])
    if (all[name] !== '') all[name] = String(Math.min(100, Math.max(0, Number(all[name]))) / 100);
  const asked = like
    ? { ...all, sort: null, like }
    : { ...all, after: first ? null : next, limit: LIMIT };
  loading = get(`/api/images${query(asked)}`)
    .then((result) => {
      if (mine !== serial) return;
      if (first) {
        tiles.clear();
        tiles.total = result.total ?? null;
      }
      tiles.add(result.images);
      next = result.next ?? null;
      showFound();
    })
    .catch((error) => {
      if (!(error instanceof ApiError)) throw error;
      if (mine !== serial) return;
      say(error.message, { bad: true });
      if (first) {
        tiles.clear();
        next = null;
        showFound(error.message);
      }
    })
    .finally(() => {
      if (mine !== serial) return;
      loading = null;
      if (first) {
        tiles.root.scrollTop = 0;
        showSelection();
      }
      tiles.measure(first);
    });
  return loading;
}

function showAmong() {
  const { value } = fields.among;
  const known = value ? chosenCount(value) : null;
  const text = known === null ? 'Images from the map' : `${count(known)} from the map`;
  refs.among.hidden = !value;
  put(refs.among, h('span', {}, text), h('span', { className: 'visually-hidden' }, ': take this away'), icon('close'));
}

async function loadAll() {
  while (next !== null && tiles.items.length < MOST) {
    const before = tiles.items.length;
    await fetchPage();
    if (tiles.items.length === before) break;
  }
  selectAll();
  tiles.focus();
}

function showFound(trouble = null) {
  const n = tiles.items.length;
  const known = tiles.total ?? (next === null ? n : null);
  refs.found.textContent = known === null ? `more than ${plural(n, 'image')}` : plural(known, 'image');
  refs.none.hidden = n > 0;
  tiles.root.hidden = n === 0;
  if (n === 0) put(refs.none, h('p', {}, trouble ?? 'No image fits this filter.'));
}

function keydown(event) {
  const { target } = event;
  const here = target === tiles.root || target === document.body || target.id === 'main' || target.tagName === 'H1';
  return here && tiles.keydown(event);
}

function selectAll() {
  tiles.select(tiles.items.map((image) => image.id));
  const n = tiles.selected.size;
  say(
    next === null
      ? `${plural(n, 'image')} selected`
      : `${plural(n, 'image')} selected, of ${tiles.total === null ? 'more' : count(tiles.total)}: scroll for the rest, or load them all`,
  );
}

// A label or a discard of a person is not overwritten by a guess, however many are selected.
const guessed = (images) =>
  images.filter((image) => !['labelled', 'discarded'].includes(image.state) && classOf(image.suggestion?.class));

function showSelection() {
  const { chosen, total } = tiles;
  const n = chosen.length;
  refs.chosen.textContent = n === 0 ? 'Nothing selected' : `${plural(n, 'image')} selected`;
  refs.hint.textContent =
    n === 1
      ? chosen[0].path
      : n === 0
        ? 'Arrows select, Shift takes a range, Ctrl A takes all; then a class key labels them.'
        : 'A class key labels them all. Undo takes it back as a whole.';
  const guesses = suggestionsShown() ? guessed(chosen) : [];
  refs.accept.hidden = guesses.length === 0;
  put(
    refs.accept,
    icon('labelled'),
    h(
      'span',
      {},
      guesses.length === 1
        ? `Accept ${className(guesses[0].suggestion.class)}`
        : `Accept ${count(guesses.length)} suggestions`,
    ),
    h('kbd', { 'aria-hidden': 'true' }, 'Enter'),
  );
  refs.panel.classList.toggle('idle', n === 0);
  refs.rest.hidden = next === null || n === 0 || n < tiles.items.length || n >= MOST;
  refs.rest.textContent =
    total === null ? 'Load and select the rest' : `Load and select all ${count(Math.min(total, MOST))}`;
}

function update(images) {
  if (loaded) tiles.update(images);
}

function choose(one) {
  answer('label', () => one.id, one.name);
}

const answer = (...how) => hold(save(...how));

async function save(act, classFor = null, name = null) {
  const images = tiles.chosen;
  if (images.length === 0) {
    say('Nothing is selected.');
    return;
  }
  refs.panel.classList.add('saving');
  try {
    let kept = null;
    for (let from = 0; from < images.length; from += TOGETHER) {
      const part = images.slice(from, from + TOGETHER).map((image) => ({
        image: image.id,
        act,
        ...(classFor ? { class: classFor(image) } : {}),
        ...(image.suggestion && suggestionsShown() ? { suggested: image.suggestion.class } : {}),
      }));
      const outcome = await submit(part);
      if (outcome.refused) {
        refuse(`Not saved. ${outcome.refused.message}`);
        return;
      }
      kept = outcome.kept ?? kept;
      emit(
        'images',
        outcome.saved?.images ??
          part.map((one) => ({
            id: one.image,
            state: { label: 'labelled', discard: 'discarded' }[act] ?? act,
            class: one.class ?? null,
          })),
      );
    }
    const what =
      act === 'label'
        ? `labelled ${plural(images.length, 'image')}${name ? ` as ${name}` : ' as suggested'}`
        : `${plural(images.length, 'image')} ${{ later: 'put off', unsure: 'marked as unsure', discard: 'discarded' }[act]}`;
    say(kept ? `${what}, not saved yet` : `${what}, ${count(state.counts.labelled)} of ${count(state.counts.images)}`);
    tiles.passBy(images);
  } finally {
    refs.panel.classList.remove('saving');
  }
}

function accept() {
  if (!suggestionsShown()) {
    say('Suggestions are hidden.');
    return;
  }
  const found = guessed(tiles.chosen);
  if (found.length === 0) {
    say('No suggestion in the selection.');
    return;
  }
  tiles.select(found.map((image) => image.id));
  const ids = new Set(found.map((image) => image.suggestion.class));
  answer('label', (image) => image.suggestion.class, ids.size === 1 ? className([...ids][0]) : null);
}

function command(id) {
  switch (id) {
    case 'accept':
      accept();
      return true;
    case 'later':
    case 'unsure':
    case 'discard':
      answer(id);
      return true;
    case 'all':
      selectAll();
      return true;
    case 'find':
      if (tiles.selected.size === 0) say('Nothing is selected.');
      else
        findClass(`Label ${plural(tiles.selected.size, 'image')} as`).then((one) => {
          if (one) inTurn(() => choose(one));
        });
      return true;
    case 'flag':
      if (tiles.items[tiles.cursor]) hold(flag(tiles.items[tiles.cursor]));
      return true;
    case 'alike':
      if (tiles.items[tiles.cursor]) alike(tiles.items[tiles.cursor]);
      return true;
    case 'details':
      if (tiles.items[tiles.cursor]) details(tiles.items[tiles.cursor]);
      return true;
    case 'zoomIn':
    case 'zoomOut':
      setPref('tile', Math.max(72, Math.min(320, prefs.tile + (id === 'zoomIn' ? 24 : -24))));
      tiles.measure(true);
      tiles.reveal();
      return true;
    default:
      return false;
  }
}
