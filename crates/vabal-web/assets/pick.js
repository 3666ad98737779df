// Choosing a class: the list of buttons beside an image, and the box that finds a class by its name. Never here: saving.

import { count, dialog, h, icon, percent, put, swatch } from './dom.js';
import { on, state } from './state.js';
import { classKeys, shown, shownCommand } from './keys.js';

export const kbd = (text, className = '') => (text ? h('kbd', { className, 'aria-hidden': 'true' }, text) : null);

/** What `aria-keyshortcuts` says of a key. */
export const spoken = (text) => (text === '' ? null : text.replace('Ctrl', 'Control').replaceAll(' ', '+'));

/** A list of buttons, one a class, that follows the classes. `choose(class)` is called. */
export class ClassList {
  constructor(choose, { counts = true } = {}) {
    this.choose = choose;
    this.counts = counts;
    this.list = h('ul', { className: 'class-list' });
    this.root = h('div', { className: 'class-box' }, this.list);
    this.marked = null;
    this.rates = [];
    on('classes', () => this.build());
    on('keys', () => this.build());
    on('labels', () => this.recount());
    this.build();
  }

  build() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.class : null;
    const keys = new Map(classKeys().map(({ one, code }) => [one.id, shown(code)]));
    this.buttons = new Map();
    put(
      this.list,
      ...state.classes.map((one) => {
        const number = this.counts ? h('span', { className: 'number' }, count(one.labels)) : null;
        const rated = h('span', { className: 'rated' });
        const key = keys.get(one.id) ?? '';
        const element = h(
          'button',
          {
            type: 'button',
            className: 'class-button',
            dataset: { class: one.id },
            'aria-keyshortcuts': spoken(key),
            on: { click: () => this.choose(one) },
          },
          h('span', { className: 'key-place' }, kbd(key)),
          swatch(one.colour),
          h('span', { className: 'class-name' }, one.name),
          rated,
          h('span', { className: 'mark', hidden: true }, icon('labelled')),
          number,
          this.counts ? h('span', { className: 'visually-hidden' }, ' labels') : null,
        );
        this.buttons.set(one.id, { element, number, rated });
        return h('li', {}, element);
      }),
    );
    if (state.classes.length === 0)
      put(this.list, h('li', { className: 'hint' }, 'No classes yet. ', h('a', { href: '#classes' }, 'Add the first')));
    this.list.classList.toggle('many', state.classes.length > 12);
    this.mark(this.marked);
    this.rate(this.rates);
    if (focused) this.buttons.get(Number(focused))?.element.focus();
  }

  recount() {
    for (const one of state.classes) {
      const entry = this.buttons.get(one.id);
      if (entry?.number) entry.number.textContent = count(one.labels);
    }
  }

  /** Shows how probable the model takes these classes to be, {class, p}. */
  rate(rates) {
    this.rates = rates;
    const of = new Map(rates.map((one) => [one.class, one.p]));
    for (const [id, { rated }] of this.buttons) {
      const p = of.get(id);
      put(
        rated,
        p === undefined
          ? null
          : [
              h('span', { 'aria-hidden': 'true' }, p < 0.005 ? '< 1 %' : percent(p)),
              h('span', { className: 'visually-hidden' }, `, the model says ${p < 0.005 ? 'under 1 %' : percent(p)}, `),
            ],
      );
    }
  }

  /** Marks the class the image has now. */
  mark(id) {
    this.marked = id;
    for (const [one, { element }] of this.buttons) {
      const set = one === id;
      element.classList.toggle('chosen', set);
      element.querySelector('.mark').hidden = !set;
      if (set) element.setAttribute('aria-current', 'true');
      else element.removeAttribute('aria-current');
    }
  }
}

// Letters without accents, so that "naht" finds "Nähte".
const plain = (text) => text.normalize('NFD').replace(/\p{M}/gu, '').toLowerCase();

/** Asks for a class by its name. Resolves to the class, or null. */
export function findClass(title = 'Find a class') {
  return dialog(
    title,
    (close) => {
      let found = [];
      let at = 0;
      const list = h('ul', { role: 'listbox', id: 'find-list', 'aria-label': 'Classes', className: 'find-list' });
      const none = h('p', { className: 'hint', role: 'status' });
      const input = h('input', {
        type: 'text',
        role: 'combobox',
        autofocus: true,
        autocomplete: 'off',
        spellcheck: 'false',
        'aria-label': 'Letters of the class name',
        'aria-expanded': 'true',
        'aria-controls': 'find-list',
        'aria-autocomplete': 'list',
        placeholder: 'Letters of its name',
        on: {
          input: () => {
            at = 0;
            draw();
          },
          keydown: (event) => {
            if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
              event.preventDefault();
              at = Math.max(0, Math.min(found.length - 1, at + (event.key === 'ArrowDown' ? 1 : -1)));
              draw();
            } else if (event.key === 'Enter') {
              event.preventDefault();
              if (found[at]) close(found[at]);
            }
          },
        },
      });
      const keys = new Map(classKeys().map(({ one, code }) => [one.id, shown(code)]));
      const draw = () => {
        const words = plain(input.value.trim()).split(/\s+/).filter(Boolean);
        const rank = (name) => (name.startsWith(words[0] ?? '') ? 0 : 1);
        found = state.classes
          .map((one) => ({ one, name: plain(one.name) }))
          .filter(({ name }) => words.every((word) => name.includes(word)))
          .sort((a, b) => rank(a.name) - rank(b.name))
          .map(({ one }) => one);
        put(
          list,
          ...found.slice(0, 100).map((one, place) =>
            h(
              'li',
              {
                role: 'option',
                id: `find-${one.id}`,
                'aria-selected': String(place === at),
                on: { click: () => close(one) },
              },
              swatch(one.colour),
              h('span', { className: 'class-name' }, one.name),
              kbd(keys.get(one.id)),
            ),
          ),
        );
        list.hidden = found.length === 0;
        none.textContent = found.length === 0 ? 'No class has these letters.' : '';
        if (found[at]) {
          input.setAttribute('aria-activedescendant', `find-${found[at].id}`);
          document.getElementById(`find-${found[at].id}`)?.scrollIntoView({ block: 'nearest' });
        } else input.removeAttribute('aria-activedescendant');
      };
      draw();
      return [input, list, none];
    },
    { className: 'find' },
  );
}

const STATES = {
  open: { icon: 'open', text: 'open' },
  labelled: { icon: 'labelled', text: 'labelled' },
  later: { icon: 'later', text: 'later' },
  unsure: { icon: 'unsure', text: 'unsure' },
  discarded: { icon: 'discard', text: 'discarded' },
  conflict: { icon: 'conflict', text: 'conflict' },
};
export const STATE_NAMES = Object.keys(STATES);
/** The state of an image in words: its class where it has one. */
export const stateText = (image) =>
  image.state === 'labelled'
    ? (state.classes.find((one) => one.id === image.class)?.name ?? 'labelled')
    : (STATES[image.state]?.text ?? image.state);
/** The state of an image as a mark: icon or colour, and always the word. */
export function stateMark(image) {
  const one = image.state === 'labelled' ? state.classes.find(({ id }) => id === image.class) : null;
  return h(
    'span',
    { className: `state ${image.state}` },
    one ? swatch(one.colour) : icon(STATES[image.state]?.icon ?? 'open'),
    h('span', { className: 'class-name' }, stateText(image)),
  );
}

/** The strip under an image for the acts that are not a class. */
export function actButtons(act, names = ['later', 'unsure', 'discard']) {
  const text = { later: 'Later', unsure: 'Unsure', discard: 'Discard' };
  const title = { later: 'Ask me again at the end', unsure: 'I cannot tell', discard: 'Not fit for the data set' };
  return names.map((name) =>
    h(
      'button',
      { type: 'button', dataset: { act: name }, title: title[name], on: { click: () => act(name) } },
      icon(name),
      h('span', {}, text[name]),
      kbd(shownCommand(name)),
    ),
  );
}
