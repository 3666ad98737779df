// The view of many images at once: find, select, label together. Never here: how answers travel (outbox.js).

import { button, count, fileName, h, icon, later, percent, plural, put, say } from './dom.js';
import { get, query, thumbAddress, ApiError } from './api.js';
import { emit, on, prefs, setPref, state, suggestionsShown, className, classOf } from './state.js';
import { submit } from './outbox.js';
import { actButtons, ClassList, findClass, STATE_NAMES, stateMark } from './pick.js';
import { details } from './details.js';

const LIMIT = 100;
// One request may carry this many answers; more are sent as several gestures.
const TOGETHER = 4000;
const CAPTION = 46;
const GAP = 8;

let items = [];
let index = new Map();
let next = null;
let total = null;
let serial = 0;
let loading = null;
let columns = 1;
let tileWidth = 128;
let tiles = new Map();
const selected = new Set();
let cursor = 0;
let anchor = 0;
let refs;
let visible = false;
let loaded = false;
let fields;

export const view = { id: 'browse', title: 'Browse', mount, show, hide: () => { visible = false; }, command, choose, keydown, undone: (images) => update(images) };

function select(name, label, options) {
  return h('label', { className: 'field' }, h('span', {}, label), fields[name] = h('select', { name }, options));
}

function mount(root) {
  fields = {};
  const any = () => h('option', { value: '' }, 'any');
  const number = (name, label) => h('label', { className: 'field narrow' }, h('span', {}, label), fields[name] = h('input', { type: 'number', name, min: '0', max: '100', step: '5', placeholder: name === 'low' ? '0' : '100', inputmode: 'numeric' }));
  const changed = () => { remember(); load(); };
  refs = {
    form: h('form', { className: 'filter', role: 'search', 'aria-label': 'Filter', on: { submit: (event) => { event.preventDefault(); changed(); }, change: changed } },
      h('label', { className: 'field wide-field' }, h('span', {}, 'Search'), fields.search = h('input', { type: 'search', name: 'search', placeholder: 'Part of the file name', autocomplete: 'off', on: { input: later(changed, 250) } })),
      select('state', 'State', [any(), ...[...STATE_NAMES, 'missing'].map((one) => h('option', { value: one }, one))]),
      select('class', 'Class', [any()]), select('predicted', 'Suggested', [any()]),
      number('low', 'Sure from %'), number('high', 'to %'),
      select('sort', 'Order', [['id', 'as imported'], ['path', 'by name'], ['confidence', 'least sure first'], ['doubt', 'most doubted first'], ['recent', 'last answered first']].map(([value, text]) => h('option', { value }, text))),
      h('label', { className: 'field size-field' }, h('span', {}, 'Tile size'), fields.tile = h('input', { type: 'range', min: '72', max: '320', step: '8', value: String(prefs.tile), on: { input: (event) => { event.stopPropagation(); setPref('tile', Number(fields.tile.value)); measure(true); }, change: (event) => event.stopPropagation() } })),
      button('Clear', { on: { click: () => { for (const [name, one] of Object.entries(fields)) if (name !== 'tile') one.value = name === 'sort' ? 'id' : ''; changed(); } } })),
    space: h('div', { className: 'grid-space', role: 'none' }),
    found: h('p', { className: 'found', role: 'status' }),
    none: h('div', { className: 'empty', hidden: true }),
    chosen: h('h2', {}, 'Nothing selected'),
    hint: h('p', { className: 'hint' }),
    acts: h('div', { className: 'acts' }),
    accept: h('button', { type: 'button', className: 'accept-many', on: { click: () => { command('accept'); focusGrid(); } } }),
    fresh: h('button', { type: 'button', className: 'pill', hidden: true, on: { click: () => load() } }, 'New suggestions: refresh'),
    rest: h('button', { type: 'button', hidden: true, on: { click: loadAll } }),
  };
  refs.filterBox = h('details', { className: 'filter-box' }, h('summary', {}, 'Filter and order'), refs.form);
  refs.grid = h('div', { className: 'grid', id: 'grid', role: 'listbox', tabindex: '0', 'aria-multiselectable': 'true', 'aria-label': 'Images', on: { scroll: () => draw(), click, dblclick: () => { if (items[cursor]) details(items[cursor]); }, focus: () => reveal(false) } }, refs.space);
  refs.classes = new ClassList((one) => { choose(one); focusGrid(); });
  refs.panel = h('aside', { className: 'panel', 'aria-label': 'The selection' }, refs.chosen, refs.hint,
    h('div', { className: 'row bulk' }, button('Label as…', { className: 'label-as', on: { click: () => command('find') } }), refs.accept,
      button('Select all', { on: { click: () => { selectAll(); focusGrid(); } } }), button('None', { on: { click: () => { selected.clear(); draw(true); showSelection(); focusGrid(); } } }),
      h('button', { type: 'button', className: 'only-icon', 'aria-label': 'History and details', title: 'History and details', on: { click: () => command('details') } }, icon('info'))),
    refs.rest, refs.classes.root, refs.acts);
  root.append(h('div', { className: 'browse-head' }, h('h1', { tabindex: '-1' }, 'Browse'), refs.found, refs.fresh), refs.filterBox, h('div', { className: 'grid-box' }, refs.grid, refs.none), refs.panel);
  const keys = () => put(refs.acts, ...actButtons((name) => { answer(name); focusGrid(); }));
  keys();
  fillClasses();
  on('classes', () => { fillClasses(); draw(true); });
  on('keys', keys);
  on('prefs', (name) => { if (name === 'suggestions') { draw(true); showSelection(); } });
  on('images', update);
  on('round', () => { refs.fresh.hidden = !loaded; });
  new ResizeObserver(() => measure(true)).observe(refs.grid);
  refs.filterBox.open = matchMedia('(min-width: 56rem)').matches;
}

function focusGrid() { refs.grid.focus({ preventScroll: true }); }

function fillClasses() {
  for (const name of ['class', 'predicted']) {
    const { value } = fields[name];
    fields[name].replaceChildren(h('option', { value: '' }, 'any'), ...state.classes.map((one) => h('option', { value: String(one.id) }, one.name)));
    fields[name].value = value;
  }
}

function show(parameters) {
  visible = true;
  const given = [...parameters].length > 0;
  if (given) {
    for (const [name, one] of Object.entries(fields)) if (name !== 'tile') one.value = parameters.get(name) ?? (name === 'sort' ? 'id' : '');
    if (asText() !== wanted) load();
  } else {
    remember();
    if (!loaded) load();
  }
  measure(false);
}

const values = () => Object.fromEntries(Object.entries(fields).filter(([name]) => name !== 'tile').map(([name, one]) => [name, one.value]));
const asText = () => { const all = values(); if (all.sort === 'id') all.sort = ''; return query(all); };
let wanted = null;
function remember() { history.replaceState(null, '', `#browse${asText()}`); }

async function load() {
  serial += 1;
  wanted = asText();
  loading = null;
  loaded = true;
  refs.fresh.hidden = true;
  selected.clear();
  cursor = 0;
  anchor = 0;
  next = null;
  await fetchPage(true);
  refs.grid.scrollTop = 0;
  draw(true);
  showSelection();
}

function fetchPage(first = false) {
  if (!first && (next === null || loading)) return loading ?? Promise.resolve();
  const mine = serial;
  const all = values();
  for (const name of ['low', 'high']) if (all[name] !== '') all[name] = String(Math.min(100, Math.max(0, Number(all[name]))) / 100);
  loading = get(`/api/images${query({ ...all, after: first ? null : next, limit: LIMIT })}`).then((result) => {
    if (mine !== serial) return;
    if (first) { items = []; index = new Map(); total = result.total ?? null; }
    for (const image of result.images) if (!index.has(image.id)) { index.set(image.id, items.length); items.push(image); }
    next = result.next ?? null;
    showFound();
  }).catch((error) => {
    if (!(error instanceof ApiError)) throw error;
    if (mine !== serial) return;
    say(error.message, { bad: true });
    if (first) { items = []; index = new Map(); next = null; showFound(error.message); }
  }).finally(() => { if (mine === serial) { loading = null; measure(first); } });
  return loading;
}

async function loadAll() {
  while (next !== null && items.length < 20_000) await fetchPage();
  selectAll();
  focusGrid();
}

function showFound(trouble = null) {
  const known = total ?? (next === null ? items.length : null);
  refs.found.textContent = known === null ? `more than ${plural(items.length, 'image')}` : plural(known, 'image');
  refs.none.hidden = items.length > 0;
  refs.grid.hidden = items.length === 0;
  if (items.length === 0) put(refs.none, h('p', {}, trouble ?? 'No image fits this filter.'));
}

function measure(redraw) {
  if (!visible || refs.grid.hidden) return;
  const width = refs.grid.clientWidth - GAP;
  const wide = Math.min(prefs.tile, Math.max(72, width / 2 - GAP));
  columns = Math.max(1, Math.floor(width / (wide + GAP)));
  tileWidth = width / columns - GAP;
  draw(redraw);
}

const rowHeight = () => tileWidth + CAPTION + GAP;

// Only the rows in sight are in the page, however many images there are.
function draw(anew = false) {
  if (!visible || refs.grid.hidden) return;
  const rows = Math.ceil(items.length / columns);
  refs.space.style.height = `${rows * rowHeight() + GAP}px`;
  const top = Math.max(0, Math.floor(refs.grid.scrollTop / rowHeight()) - 2);
  const bottom = Math.ceil((refs.grid.scrollTop + refs.grid.clientHeight) / rowHeight()) + 2;
  const from = top * columns;
  const to = Math.min(items.length, bottom * columns);
  if (anew) { for (const one of tiles.values()) one.remove(); tiles = new Map(); }
  for (const [place, one] of tiles) if (place < from || place >= to) { one.remove(); tiles.delete(place); }
  const fresh = [];
  for (let place = from; place < to; place += 1) {
    if (!tiles.has(place)) { const one = tile(place); tiles.set(place, one); fresh.push(one); }
  }
  refs.space.append(...fresh);
  mark();
  if (next !== null && to > items.length - columns * 6) fetchPage();
}

function tile(place) {
  const image = items[place];
  const guess = suggestionsShown() && image.state !== 'labelled' ? classOf(image.suggestion?.class) : null;
  const size = tileWidth > 256 ? 512 : 256;
  const picture = h('img', { src: thumbAddress(image, size), alt: '', decoding: 'async', draggable: 'false' });
  if (Math.max(image.width, image.height) <= 128) picture.classList.add('sharp');
  picture.addEventListener('error', () => picture.replaceWith(h('span', { className: 'no-picture' }, icon('conflict'), 'cannot be shown')));
  const one = h('div', {
    className: `tile ${image.state}`, role: 'option', id: `tile-${image.id}`, 'aria-selected': 'false', 'aria-setsize': String(total ?? -1), 'aria-posinset': String(place + 1), title: image.path, dataset: { place: String(place) },
  }, h('div', { className: 'tile-picture' }, picture, h('span', { className: 'tick' }, icon('labelled'))),
  h('div', { className: 'tile-text' }, guess ? h('span', { className: 'visually-hidden' }, `${fileName(image.path)}, `) : null, stateMark(image), h('span', { className: 'visually-hidden' }, guess ? ', suggested ' : ', '), guess ? h('span', { className: 'tile-guess' }, h('span', { className: 'class-name' }, `${guess.name}?`), h('span', { className: 'number' }, percent(image.suggestion.confidence))) : h('span', { className: 'tile-guess class-name' }, fileName(image.path))));
  const { style } = one;
  style.left = `${GAP + (place % columns) * (tileWidth + GAP)}px`;
  style.top = `${GAP + Math.floor(place / columns) * rowHeight()}px`;
  style.width = `${tileWidth}px`;
  style.height = `${tileWidth + CAPTION}px`;
  style.setProperty('--tile', `${tileWidth}px`);
  return one;
}

function mark() {
  for (const [place, one] of tiles) {
    const chosen = selected.has(items[place].id);
    one.classList.toggle('selected', chosen);
    one.setAttribute('aria-selected', String(chosen));
    one.classList.toggle('cursor', place === cursor);
  }
  const here = items[cursor];
  if (here && tiles.has(cursor)) refs.grid.setAttribute('aria-activedescendant', `tile-${here.id}`);
  else refs.grid.removeAttribute('aria-activedescendant');
}

function reveal(scroll = true) {
  const top = Math.floor(cursor / columns) * rowHeight();
  if (scroll) {
    if (top < refs.grid.scrollTop) refs.grid.scrollTop = top;
    else if (top + rowHeight() + GAP > refs.grid.scrollTop + refs.grid.clientHeight) refs.grid.scrollTop = top + rowHeight() + GAP - refs.grid.clientHeight;
  }
  draw();
}

function range(from, to) {
  for (let place = Math.min(from, to); place <= Math.max(from, to); place += 1) selected.add(items[place].id);
}

function click(event) {
  const one = event.target.closest('.tile');
  if (!one) return;
  const place = Number(one.dataset.place);
  const { id } = items[place];
  cursor = place;
  const touch = event.pointerType === 'touch';
  if (event.shiftKey) { selected.clear(); range(anchor, place); } else {
    anchor = place;
    if (event.ctrlKey || event.metaKey || touch) { if (!selected.delete(id)) selected.add(id); } else { selected.clear(); selected.add(id); }
  }
  mark();
  showSelection();
}

function keydown(event) {
  if (items.length === 0 || !(event.target === refs.grid || event.target === document.body || event.target.id === 'main' || event.target.tagName === 'H1')) return false;
  if (event.altKey || event.metaKey) return false;
  const rows = Math.max(1, Math.floor(refs.grid.clientHeight / rowHeight()));
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, PageUp: -columns * rows, PageDown: columns * rows, Home: -Infinity, End: Infinity }[event.code];
  if (event.code === 'Space' && event.ctrlKey) {
    const { id } = items[cursor];
    if (!selected.delete(id)) selected.add(id);
    anchor = cursor;
  } else if (event.code === 'Escape') selected.clear();
  else if (step === undefined) return false;
  else {
    if (event.target !== refs.grid) focusGrid();
    // The first arrow only takes the cursor up.
    const to = selected.size === 0 && !event.ctrlKey && cursor === 0 && Math.abs(step) !== Infinity ? 0 : Math.max(0, Math.min(items.length - 1, cursor + step));
    cursor = to;
    if (event.shiftKey) { selected.clear(); range(anchor, cursor); } else if (!event.ctrlKey) { selected.clear(); selected.add(items[cursor].id); anchor = cursor; }
  }
  reveal();
  mark();
  showSelection();
  return true;
}

function selectAll() {
  for (const one of items) selected.add(one.id);
  mark();
  showSelection();
  say(next === null ? `${plural(selected.size, 'image')} selected` : `${plural(selected.size, 'image')} selected, of ${total === null ? 'more' : count(total)}: scroll for the rest, or load them all`);
}

const chosen = () => [...selected].map((id) => items[index.get(id)]).filter(Boolean);

function showSelection() {
  const n = selected.size;
  refs.chosen.textContent = n === 0 ? 'Nothing selected' : `${plural(n, 'image')} selected`;
  const [only] = n === 1 ? chosen() : [];
  refs.hint.textContent = only ? only.path : n === 0 ? 'Arrows select, Shift takes a range, Ctrl A takes all; then a class key labels them.' : 'A class key labels them all. Undo takes it back as a whole.';
  const guesses = suggestionsShown() ? chosen().filter((image) => image.suggestion && classOf(image.suggestion.class)) : [];
  refs.accept.hidden = guesses.length === 0;
  put(refs.accept, icon('labelled'), h('span', {}, guesses.length === 1 ? `Accept ${className(guesses[0].suggestion.class)}` : `Accept ${count(guesses.length)} suggestions`), h('kbd', { 'aria-hidden': 'true' }, 'Enter'));
  refs.panel.classList.toggle('idle', n === 0);
  refs.rest.hidden = next === null || n < items.length || n === 0;
  refs.rest.textContent = total === null ? 'Load and select the rest' : `Load and select all ${count(Math.min(total, 20_000))}`;
}

function update(images) {
  if (!loaded) return;
  let seen = false;
  for (const image of images) {
    const place = index.get(image.id);
    if (place === undefined) continue;
    Object.assign(items[place], image);
    seen = true;
    if (tiles.has(place)) { const one = tile(place); tiles.get(place).replaceWith(one); tiles.set(place, one); }
  }
  if (seen) mark();
}

function choose(one) { answer('label', () => one.id, one.name); }

let saving = false;
async function answer(act, classFor = null, name = null) {
  const images = chosen();
  if (images.length === 0) { say('Nothing is selected.'); return; }
  if (saving) return;
  saving = true;
  refs.panel.classList.add('saving');
  try {
    let kept = null;
    for (let from = 0; from < images.length; from += TOGETHER) {
      const part = images.slice(from, from + TOGETHER).map((image) => ({ image: image.id, act, ...(classFor ? { class: classFor(image) } : {}), ...(image.suggestion && suggestionsShown() ? { suggested: image.suggestion.class } : {}) }));
      const outcome = await submit(part);
      if (outcome.refused) { say(`Not saved. ${outcome.refused.message}`, { bad: true }); return; }
      if (outcome.saved) emit('images', outcome.saved.images);
      else {
        kept = outcome.kept;
        emit('images', part.map((one) => ({ id: one.image, state: { label: 'labelled', discard: 'discarded' }[act] ?? act, class: one.class ?? null })));
      }
    }
    const what = act === 'label' ? `labelled ${plural(images.length, 'image')}${name ? ` as ${name}` : ' as suggested'}` : `${plural(images.length, 'image')} ${{ later: 'put off', unsure: 'marked as unsure', discard: 'discarded' }[act]}`;
    say(kept ? `${what}, not saved yet` : `${what}, ${count(state.counts.labelled)} of ${count(state.counts.images)}`);
    // On to what comes after the selection.
    const last = Math.max(...images.map((image) => index.get(image.id)));
    selected.clear();
    cursor = Math.min(items.length - 1, last + 1);
    anchor = cursor;
    reveal();
    mark();
    showSelection();
  } finally {
    saving = false;
    refs.panel.classList.remove('saving');
  }
}

function command(id) {
  switch (id) {
    case 'accept': {
      if (!suggestionsShown()) { say('Suggestions are hidden.'); return true; }
      for (const image of chosen()) if (!image.suggestion || !classOf(image.suggestion.class)) selected.delete(image.id);
      if (selected.size === 0) { say('No suggestion in the selection.'); mark(); showSelection(); return true; }
      const ids = new Set(chosen().map((image) => image.suggestion.class));
      answer('label', (image) => image.suggestion.class, ids.size === 1 ? className([...ids][0]) : null);
      return true;
    }
    case 'later': case 'unsure': case 'discard': answer(id); return true;
    case 'all': selectAll(); return true;
    case 'find': if (selected.size > 0) findClass(`Label ${plural(selected.size, 'image')} as`).then((one) => { if (one) choose(one); }); else say('Nothing is selected.'); return true;
    case 'details': if (items[cursor]) details(items[cursor]); return true;
    case 'zoomIn': case 'zoomOut':
      setPref('tile', Math.max(72, Math.min(320, prefs.tile + (id === 'zoomIn' ? 24 : -24))));
      fields.tile.value = String(prefs.tile);
      measure(true);
      reveal();
      return true;
    default: return false;
  }
}
