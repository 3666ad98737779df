// The view of what deserves a second look: labels the model doubts, answers that differ, copies. Never here: what a doubt is.

import { button, count, fileName, h, icon, percent, plural, put, say } from './dom.js';
import { get, query, thumbAddress, ApiError } from './api.js';
import { classOf, className, emit, on, state, suggestionsShown } from './state.js';
import { submit } from './outbox.js';
import { hold, holdAnswers, inTurn, refuse } from './turns.js';
import { shownCommand } from './keys.js';
import { ClassList, findClass, kbd, stateMark, stateText } from './pick.js';
import { caption, prefetch, Viewer } from './viewer.js';
import { alike, alikeButton } from './alike.js';
import { details } from './details.js';
import { flag, GuidePanel } from './guide.js';

const KINDS = [
  ['doubt', 'Doubts'],
  ['conflict', 'Conflicts'],
  ['copies', 'Copies'],
  ['near', 'Look-alikes'],
];
let kind = 'doubt';
let items = [];
let next = null;
let at = 0;
let serial = 0;
let visible = false;
let refs;

export const view = {
  id: 'review',
  title: 'Review',
  mount,
  show,
  hide: () => {
    visible = false;
  },
  command,
  choose,
  keydown,
  undone,
};

const asGroups = () => kind === 'copies' || kind === 'near';

function mount(root) {
  const viewer = new Viewer();
  refs = {
    viewer,
    tabs: h(
      'div',
      { className: 'segments', role: 'group', 'aria-label': 'What to review' },
      KINDS.map(([id, text]) =>
        button(text, {
          dataset: { kind: id },
          on: {
            click: () => {
              location.hash = `review?kind=${id}`;
            },
          },
        }),
      ),
    ),
    lead: h('p', { className: 'hint lead' }),
    list: h('ul', { className: 'review-list', role: 'listbox', tabindex: '0', 'aria-label': 'Images to review' }),
    more: button('More', { hidden: true, on: { click: () => load(false) } }),
    none: h('div', { className: 'empty', hidden: true }),
    title: h('h2', {}),
    said: h('ul', { className: 'said-list' }),
    keep: h('button', { type: 'button', on: { click: () => inTurn(() => command('accept')) } }),
    accept: h('button', { type: 'button', className: 'accept-many', on: { click: () => inTurn(() => command('change')) } }),
    classes: new ClassList(
      (one) => {
        inTurn(() => choose(one));
        refs.list.focus({ preventScroll: true });
      },
      { counts: false },
    ),
    groups: h('ol', { className: 'groups', hidden: true }),
  };
  refs.discard = h('button', { type: 'button', on: { click: () => inTurn(() => command('discard')) } });
  const stage = h('div', { className: 'stage', role: 'group', 'aria-label': 'The image' }, viewer.root, new GuidePanel().root);
  const panel = h(
    'aside',
    { className: 'panel', 'aria-label': 'Settle it' },
    refs.title,
    refs.said,
    h('div', { className: 'stack-buttons' }, refs.keep, refs.accept),
    refs.classes.root,
    h(
      'div',
      { className: 'stack-buttons' },
      refs.discard,
      h(
        'div',
        { className: 'moves' },
        h(
          'button',
          { type: 'button', className: 'only-icon', 'aria-label': 'Previous image', on: { click: () => inTurn(() => move(at - 1)) } },
          icon('left'),
        ),
        button('Find', { on: { click: () => inTurn(() => command('find')) } }, icon('search')),
        button('Details', { on: { click: () => command('details') } }, icon('info')),
        h(
          'button',
          { type: 'button', className: 'only-icon', 'aria-label': 'Next image', on: { click: () => inTurn(() => move(at + 1)) } },
          icon('right'),
        ),
      ),
      alikeButton(() => command('alike')),
    ),
  );
  refs.detail = h('div', { className: 'review-detail' }, stage, panel);
  refs.side = h('div', { className: 'review-side' }, refs.list, refs.more);
  refs.body = h('div', { className: 'review-body' }, refs.side, refs.detail);
  root.append(
    h('div', { className: 'browse-head' }, h('h1', { tabindex: '-1' }, 'Review'), refs.tabs, refs.lead),
    refs.body,
    refs.none,
    refs.groups,
  );
  on('images', update);
  on('noted', (image) => {
    const known = asGroups() ? null : items.find((one) => one.id === image.id);
    if (!known) return;
    Object.assign(known, { note: image.note, flag: image.flag });
    viewer.describe(known, caption(known));
  });
  on('classes', () => {
    if (visible && items.length > 0 && !asGroups()) {
      drawList();
      display();
    }
  });
  on('keys', () => {
    if (visible && !asGroups()) display();
  });
  on('prefs', (name) => {
    if (name === 'suggestions' && visible && !asGroups()) display();
  });
}

function show(parameters) {
  visible = true;
  const asked = KINDS.some(([id]) => id === parameters.get('kind')) ? parameters.get('kind') : kind;
  if (!parameters.has('kind') && items.length === 0 && state.counts?.conflict > 0) kind = 'conflict';
  else kind = asked;
  for (const one of refs.tabs.children) one.setAttribute('aria-pressed', String(one.dataset.kind === kind));
  load(true);
}

async function load(first) {
  serial += 1;
  const mine = serial;
  const after = first ? null : next;
  try {
    const result = asGroups()
      ? await get(`/api/duplicates${query({ near: kind === 'near' ? 1 : 0, after, limit: 30 })}`)
      : await get(`/api/review${query({ kind, after, limit: 60 })}`);
    if (mine !== serial) return;
    const found = asGroups() ? result.groups : result.images;
    items = first ? found : [...items, ...found];
    next = result.next ?? null;
    if (first) at = 0;
    refs.lead.textContent = {
      doubt: 'Labelled images, those whose label the model doubts most first.',
      conflict: 'Images with answers that differ. Whatever is settled here counts.',
      copies: 'Files with exactly the same content.',
      near: 'Images that look nearly the same.',
    }[kind];
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (mine !== serial) return;
    if (first) items = [];
    next = null;
    say(error.message, { bad: true });
  }
  draw();
}

function draw() {
  const groups = asGroups();
  const empty = items.length === 0;
  refs.none.hidden = !empty;
  refs.body.hidden = empty || groups;
  refs.groups.hidden = empty || !groups;
  if (empty) {
    put(
      refs.none,
      h('h2', {}, { doubt: 'No doubts', conflict: 'No conflicts', copies: 'No copies', near: 'No look-alikes' }[kind]),
      h(
        'p',
        {},
        {
          doubt: state.round === 0 ? 'Doubts appear after the first training.' : 'The model agrees with every label.',
          conflict: 'Nobody contradicts anybody.',
          copies: 'Every file has a content of its own.',
          near: 'No image looks nearly like another.',
        }[kind],
      ),
    );
    return;
  }
  if (groups) {
    drawGroups();
    return;
  }
  refs.more.hidden = next === null;
  drawList();
  display();
}

function drawList() {
  put(
    refs.list,
    ...items.map((image, place) =>
      h(
        'li',
        {
          role: 'option',
          id: `review-${image.id}`,
          'aria-selected': String(place === at),
          className: image.settled ? 'settled' : '',
          on: { click: () => inTurn(() => move(place)) },
        },
        h('img', { src: thumbAddress(image), alt: '', width: 48, height: 48, loading: 'lazy' }),
        h(
          'span',
          { className: 'grow' },
          h('span', { className: 'file class-name' }, fileName(image.path)),
          stateMark(image),
        ),
        image.settled
          ? h('span', { className: 'small' }, icon('labelled'), h('span', { className: 'visually-hidden' }, 'settled'))
          : kind === 'doubt'
            ? h('span', { className: 'number', title: 'Doubt' }, percent(image.doubt))
            : null,
      ),
    ),
  );
}

const ACTS = { later: 'later', unsure: 'unsure', discard: 'discard' };
function display() {
  const image = items[at];
  if (!image) return;
  refs.list.setAttribute('aria-activedescendant', `review-${image.id}`);
  holdAnswers(refs.viewer.show(image, caption(image)));
  prefetch(items.slice(at + 1, at + 4));
  refs.title.textContent = image.settled
    ? `Settled: ${stateText(image)}`
    : kind === 'conflict'
      ? 'Answers differ'
      : `Labelled ${stateText(image)}`;
  const guess = suggestionsShown() ? image.suggestion : null;
  put(
    refs.said,
    ...(image.answers ?? []).map(({ person, act, class: one }) =>
      h('li', {}, h('b', {}, person), h('span', {}, act === 'label' ? className(one) : (ACTS[act] ?? act))),
    ),
    kind === 'doubt'
      ? h(
          'li',
          {},
          h('b', {}, 'Doubt'),
          h('span', {}, `${percent(image.doubt)}: the model gives this label ${percent(1 - image.doubt)}`),
        )
      : null,
    guess
      ? h('li', {}, h('b', {}, 'Model'), h('span', {}, `${className(guess.class)}, ${percent(guess.confidence)}`))
      : null,
  );
  const keep = image.state === 'labelled' ? image.class : null;
  refs.keep.hidden = keep === null;
  put(
    refs.keep,
    icon('labelled'),
    h('span', { className: 'class-name' }, `Keep ${className(keep)}`),
    kbd(shownCommand('accept')),
  );
  const other = guess && guess.class !== image.class && classOf(guess.class);
  refs.accept.hidden = !other;
  if (other)
    put(
      refs.accept,
      icon('right'),
      h('span', { className: 'class-name' }, `${kind === 'conflict' ? 'Settle as' : 'Change to'} ${other.name}`),
      kbd(shownCommand('change')),
    );
  put(refs.discard, icon('discard'), h('span', {}, 'Discard'), kbd(shownCommand('discard')));
  refs.classes.mark(keep);
}

function move(to) {
  at = Math.max(0, Math.min(items.length - 1, to));
  for (const [place, one] of [...refs.list.children].entries()) one.setAttribute('aria-selected', String(place === at));
  refs.list.children[at]?.scrollIntoView({ block: 'nearest', inline: 'nearest' });
  display();
  if (next !== null && at > items.length - 10) load(false);
}

function keydown(event) {
  if (asGroups() || items.length === 0 || event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.target instanceof HTMLElement && event.target.matches('input, select')) return false;
  const step = { ArrowUp: -1, ArrowDown: 1, ArrowLeft: -1, ArrowRight: 1 }[event.code];
  if (event.target === refs.list && (event.code === 'Home' || event.code === 'End')) {
    move(event.code === 'Home' ? 0 : items.length - 1);
    return true;
  }
  if (!step) return false;
  move(at + step);
  return true;
}

const settle = (...how) => hold(save(...how));

async function save(act, one = null) {
  const image = items[at];
  if (!image || asGroups()) return;
  if (act === 'label' && !refs.viewer.shows(image)) {
    refuse(`${fileName(image.path)} is not on the screen: it cannot be settled as a class.`);
    return;
  }
  const outcome = await submit([{ image: image.id, act, ...(one === null ? {} : { class: one }) }], {
    source: 'review',
  });
  if (outcome.refused) {
    refuse(`Not saved. ${outcome.refused.message}`);
    return;
  }
  Object.assign(image, { settled: true, state: act === 'label' ? 'labelled' : 'discarded', class: one });
  if (outcome.saved) emit('images', outcome.saved.images);
  drawList();
  const left = items.filter((other) => !other.settled).length;
  say(
    `${fileName(image.path)} settled: ${act === 'label' ? className(one) : 'discarded'}${outcome.kept ? ', not saved yet' : `, ${count(left)} left here`}`,
  );
  if (at < items.length - 1) move(at + 1);
  else display();
}

function choose(one) {
  if (!asGroups()) settle('label', one.id);
}

function command(id) {
  if (asGroups()) return false;
  const image = items[at];
  switch (id) {
    // The easy key keeps what a person said; to take the model's word needs another.
    case 'accept':
      if (image?.state === 'labelled') settle('label', image.class);
      else if (image)
        say(`There is no one label to keep: choose a class, or ${shownCommand('change')} for the suggestion.`);
      return true;
    case 'change':
      if (image?.suggestion && suggestionsShown() && classOf(image.suggestion.class))
        settle('label', image.suggestion.class);
      else say('There is no suggestion for this image.');
      return true;
    case 'discard':
      settle('discard');
      return true;
    case 'find':
      if (image)
        findClass('Settle as').then((one) => {
          if (one) inTurn(() => choose(one));
        });
      return true;
    case 'flag':
      if (image) hold(flag(image));
      return true;
    case 'alike':
      if (image) alike(image);
      return true;
    case 'details':
      if (image) details(image);
      return true;
    case 'later':
      move(at + 1);
      return true;
    default:
      return refs.viewer.command(id);
  }
}

function update(images) {
  if (asGroups()) {
    let seen = false;
    for (const { id, state: now, class: one } of images)
      for (const group of items)
        for (const image of group.images)
          if (image.id === id) {
            Object.assign(image, { state: now, class: one });
            seen = true;
          }
    if (seen && visible) drawGroups();
    return;
  }
  for (const { id, state: now, class: one } of images) {
    const known = items.find((image) => image.id === id);
    if (known) Object.assign(known, { state: now, class: one });
  }
}

function undone(images) {
  if (asGroups()) return;
  const place = items.findIndex((one) => one.id === images[0]?.id);
  for (const image of images) {
    const known = items.find((one) => one.id === image.id);
    if (known) Object.assign(known, { settled: false, state: image.state, class: image.class });
  }
  if (place >= 0) at = place;
  if (items.length > 0) {
    drawList();
    display();
  }
}

function drawGroups() {
  put(
    refs.groups,
    ...items.map((group, place) => {
      const said = [...new Set(group.images.filter((image) => image.state === 'labelled').map((image) => image.class))];
      const all = (one) => labelGroup(group, one);
      const same = said.length === 1 && group.images.every((image) => image.state === 'labelled');
      return h(
        'li',
        {},
        h(
          'h2',
          {},
          `Group ${place + 1}: ${plural(group.count ?? group.images.length, 'image')}${group.count > group.images.length ? `, the first ${group.images.length} here` : ''}`,
        ),
        h(
          'ul',
          { className: 'group-images' },
          group.images.map((image) =>
            h(
              'li',
              {},
              h(
                'button',
                { type: 'button', title: image.path, on: { click: () => details(image) } },
                h('img', {
                  src: thumbAddress(image, 256),
                  alt: `Image ${image.path}`,
                  loading: 'lazy',
                  width: 96,
                  height: 96,
                }),
              ),
              h('span', { className: 'class-name' }, fileName(image.path)),
              stateMark(image),
            ),
          ),
        ),
        h(
          'div',
          { className: 'row' },
          same
            ? h('p', { className: 'hint' }, 'All have this label.')
            : said.map((one) => button(`All as ${className(one)}`, { on: { click: () => all(one) } })),
          button('All as…', {
            'aria-label': `All as…, group ${place + 1}`,
            on: {
              click: async () => {
                const one = await findClass(`Label ${plural(group.images.length, 'image')} as`);
                if (one) all(one.id);
              },
            },
          }),
        ),
      );
    }),
    next === null ? '' : h('li', {}, button('More', { on: { click: () => load(false) } })),
  );
}

const labelGroup = (group, one) => inTurn(() => hold(saveGroup(group, one)));

async function saveGroup(group, one) {
  const images = group.images.filter((image) => image.state !== 'labelled' || image.class !== one);
  if (images.length === 0) return;
    const outcome = await submit(images.map((image) => ({ image: image.id, act: 'label', class: one })));
  if (outcome.refused) {
    refuse(`Not saved. ${outcome.refused.message}`);
    return;
  }
  emit('images', outcome.saved?.images ?? images.map(({ id }) => ({ id, state: 'labelled', class: one })));
  say(`labelled ${plural(images.length, 'image')} as ${className(one)}${outcome.kept ? ', not saved yet' : ''}`);
}
