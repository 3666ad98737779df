// The view of the classes: add, rename, colour, key, order, merge. Never here: labelling.

import { button, dialog, h, icon, iconButton, plural, put, say } from './dom.js';
import { get, patch, post, remove, ApiError } from './api.js';
import { describe } from './guide.js';
import { className, on, setProject, state } from './state.js';
import { bindingOf, classKeys, shown, takenBy } from './keys.js';

let refs;
// Changes are made one after another.
let last = Promise.resolve();

export const view = { id: 'classes', title: 'Classes', mount, show: draw };

function mount(root) {
  refs = {
    list: h('ol', { className: 'class-rows' }),
    merged: h('section', { className: 'merged', hidden: true }),
    name: h('input', { type: 'text', id: 'new-class', maxlength: '200', autocomplete: 'off', required: true }),
  };
  const add = async (event) => {
    event.preventDefault();
    const name = refs.name.value.trim();
    if (!name) return;
    if (await change(() => post('/api/classes', { name }), `Added ${name}`)) {
      refs.name.value = '';
      refs.name.focus();
    }
  };
  root.classList.add('page');
  root.append(
    h(
      'div',
      { className: 'page-head' },
      h('h1', { tabindex: '-1' }, 'Classes'),
      h(
        'p',
        { className: 'hint' },
        'The kinds you sort the images into. Names, colours, keys and order can change at any time; labels follow.',
      ),
    ),
    h(
      'form',
      { className: 'row add-class', on: { submit: add } },
      h('label', { for: 'new-class' }, 'New class'),
      refs.name,
      h('button', { type: 'submit', className: 'main' }, icon('plus'), h('span', {}, 'Add')),
    ),
    refs.list,
    refs.merged,
  );
  on('classes', draw);
  on('labels', () => {
    if (!root.hidden && !root.contains(document.activeElement)) draw();
  });
  on('keys', draw);
  draw();
}

/** Carries out a change and reads the classes anew; what went wrong is said. True when it worked. */
function change(run, done) {
  last = last.then(() => make(run, done));
  return last;
}

async function make(run, done) {
  try {
    await run();
    const project = await get('/api/project');
    setProject({ ...project, round: state.round });
    draw();
    say(done);
    return true;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { bad: true });
    draw();
    return false;
  }
}

function draw() {
  if (!refs) return;
  const focus = document.activeElement?.id;
  const keys = new Map(classKeys().map(({ one, code }) => [one.id, code]));
  const end = state.classes.length - 1;
  put(
    refs.list,
    ...state.classes.map((one, place) => {
      const name = h('input', {
        type: 'text',
        id: `class-name-${one.id}`,
        value: one.name,
        maxlength: '200',
        'aria-label': `Name of class ${place + 1}`,
        autocomplete: 'off',
        on: {
          change: async () => {
            const wanted = name.value.trim();
            if (!wanted || wanted === one.name) {
              name.value = one.name;
              return;
            }
            if (
              !(await change(
                () => patch(`/api/classes/${one.id}`, { name: wanted }),
                `${one.name} is now called ${wanted}`,
              ))
            )
              name.value = one.name;
          },
        },
      });
      const colour = h('input', {
        type: 'color',
        id: `class-colour-${one.id}`,
        value: /^#[0-9a-f]{6}$/i.test(one.colour) ? one.colour : '#888888',
        'aria-label': `Colour of ${one.name}`,
        on: {
          change: () =>
            change(() => patch(`/api/classes/${one.id}`, { colour: colour.value }), `${one.name} has a new colour`),
        },
      });
      const code = keys.get(one.id);
      const key = h(
        'button',
        {
          type: 'button',
          id: `class-key-${one.id}`,
          className: 'key-button',
          title: one.key ? 'Its own key; click to change' : 'Given by its place; click to choose',
          'aria-label': `Key of ${one.name}: ${code ? shown(code) : 'none'}. Change`,
          on: { click: () => askKey(one) },
        },
        code ? h('kbd', {}, shown(code)) : h('span', { className: 'hint' }, 'no key'),
      );
      const shift = (by) =>
        change(async () => {
          const now = state.classes.findIndex(({ id }) => id === one.id);
          await patch(`/api/classes/${one.id}`, { place: Math.max(0, now + by) });
        }, `${one.name} is moved ${by < 0 ? 'up' : 'down'}`);
      return h(
        'li',
        {},
        h(
          'div',
          { className: 'order' },
          iconButton('up', `Move ${one.name} up`, {
            id: `class-up-${one.id}`,
            className: 'quiet',
            disabled: place === 0,
            on: { click: () => shift(-1) },
          }),
          iconButton('down', `Move ${one.name} down`, {
            id: `class-down-${one.id}`,
            className: 'quiet',
            disabled: place === end,
            on: { click: () => shift(1) },
          }),
        ),
        colour,
        name,
        key,
        h('a', { className: 'number labels', href: `#browse?class=${one.id}` }, plural(one.labels, 'label')),
        h(
          'div',
          { className: 'ends' },
          button(
            'Merge…',
            {
              id: `class-merge-${one.id}`,
              disabled: state.classes.length < 2,
              'aria-label': `Merge ${one.name} into another class…`,
              on: { click: () => merge(one) },
            },
            icon('merge'),
          ),
          iconButton('info', `Describe ${one.name}`, {
            id: `class-describe-${one.id}`,
            className: 'quiet',
            on: { click: () => describe(one) },
          }),
          one.labels === 0
            ? iconButton('discard', `Delete ${one.name}`, {
                id: `class-delete-${one.id}`,
                className: 'quiet',
                on: { click: () => change(() => remove(`/api/classes/${one.id}`), `${one.name} is deleted`) },
              })
            : null,
        ),
      );
    }),
  );
  if (state.classes.length === 0)
    put(refs.list, h('li', { className: 'hint' }, 'No classes yet: add the first above.'));
  drawMerged();
  if (focus) document.getElementById(focus)?.focus({ preventScroll: true });
}

async function askKey(one) {
  const binding = await dialog(`Key for ${one.name}`, (close) => {
    const note = h('p', { className: 'hint', role: 'status' }, 'Escape leaves it as it is.');
    const box = h(
      'div',
      {
        className: 'catch',
        tabindex: '0',
        autofocus: true,
        role: 'group',
        'aria-label': 'Press the key for this class',
        on: {
          keydown: (event) => {
            if (['Escape', 'Tab'].includes(event.key)) return;
            event.preventDefault();
            const found = bindingOf(event);
            if (!found) return;
            if (found.includes('+') || ['Enter', 'Space', 'Backspace'].includes(found) || found.startsWith('Arrow')) {
              note.textContent = `${shown(found)} cannot be the key of a class.`;
              return;
            }
            const taken = takenBy(found, one.id);
            if (taken) {
              note.textContent = `${shown(found)} is taken: ${taken}.`;
              return;
            }
            close({ key: found });
          },
        },
      },
      'Press a key',
    );
    return [
      box,
      note,
      h(
        'div',
        { className: 'row end' },
        button('By its place', { on: { click: () => close({ key: null }) } }),
        button('Cancel', { on: { click: () => close() } }),
      ),
    ];
  });
  if (binding)
    await change(
      () => patch(`/api/classes/${one.id}`, binding),
      binding.key ? `${one.name} has the key ${shown(binding.key)}` : `${one.name} has the key of its place`,
    );
}

async function merge(one) {
  const into = await dialog(`Merge ${one.name}`, (close) => {
    const choice = h(
      'select',
      { id: 'merge-into', autofocus: true },
      state.classes
        .filter((other) => other !== one)
        .map((other) => h('option', { value: String(other.id) }, other.name)),
    );
    return [
      h(
        'form',
        {
          on: {
            submit: (event) => {
              event.preventDefault();
              close(Number(choice.value));
            },
          },
        },
        h('label', { for: 'merge-into' }, `${plural(one.labels, 'label')} of ${one.name} will count as`),
        choice,
        h(
          'p',
          { className: 'hint' },
          'The answers themselves stay as they were given; the class is no longer offered. A merge can be taken back.',
        ),
        h(
          'div',
          { className: 'row end' },
          button('Cancel', { on: { click: () => close() } }),
          h('button', { type: 'submit', className: 'main' }, 'Merge'),
        ),
      ),
    ];
  });
  if (into === null) return;
  await change(
    () => post(`/api/classes/${one.id}/merge`, { into }),
    `${one.name} is now part of ${className(into)}`,
  );
}

/** The classes that were merged, each with the way back. */
function drawMerged() {
  const all = state.project.merged ?? [];
  refs.merged.hidden = all.length === 0;
  put(
    refs.merged,
    h('h2', {}, 'Merged'),
    h(
      'ul',
      {},
      all.map((one) =>
        h(
          'li',
          { className: 'row' },
          h('span', { className: 'class-name' }, `${one.name}, now part of ${className(one.into)}`),
          button(
            'Take the merge back',
            {
              id: `class-split-${one.id}`,
              'aria-label': `Take the merge back: ${one.name}`,
              on: {
                click: () => change(() => post(`/api/classes/${one.id}/split`, {}), `${one.name} is a class again`),
              },
            },
            icon('undo'),
          ),
        ),
      ),
    ),
  );
}
