// The grid of tiles itself: rows in sight drawn, a cursor, a selection by keys and pointer. Never here: which images, what
// becomes of the selected ones.

import { fileName, h, icon, percent } from './dom.js';
import { thumbAddress } from './api.js';
import { classOf, prefs, suggestionsShown } from './state.js';
import { stateMark } from './pick.js';

const CAPTION = 46;
const GAP = 8;

export class Tiles {
  /** `near` is called when the end of what is loaded comes near, `changed` with every change of the selection. */
  constructor({ near, changed, opened }) {
    this.near = near;
    this.changed = changed;
    this.items = [];
    this.places = new Map();
    this.total = null;
    this.selected = new Set();
    this.cursor = 0;
    this.anchor = 0;
    this.columns = 1;
    this.width = 128;
    this.drawn = new Map();
    this.space = h('div', { className: 'grid-space', role: 'none' });
    this.root = h(
      'div',
      {
        className: 'grid',
        id: 'grid',
        role: 'listbox',
        tabindex: '0',
        'aria-multiselectable': 'true',
        'aria-label': 'Images',
        on: {
          scroll: () => this.draw(),
          click: (event) => this.click(event),
          dblclick: () => {
            if (this.items[this.cursor]) opened(this.items[this.cursor]);
          },
          focus: () => this.draw(),
        },
      },
      this.space,
    );
    new ResizeObserver(() => this.measure(true)).observe(this.root);
  }

  clear() {
    this.items = [];
    this.places = new Map();
    this.selected.clear();
    this.cursor = 0;
    this.anchor = 0;
  }

  add(images) {
    for (const image of images) {
      if (this.places.has(image.id)) continue;
      this.places.set(image.id, this.items.length);
      this.items.push(image);
    }
  }

  get chosen() {
    return [...this.selected].map((id) => this.items[this.places.get(id)]).filter(Boolean);
  }
  get rowHeight() {
    return this.width + CAPTION + GAP;
  }
  get inSight() {
    return this.root.isConnected && this.root.clientWidth > 0;
  }

  /** Fits the columns to the window. */
  measure(anew) {
    if (!this.inSight) return;
    const space = this.root.clientWidth - GAP;
    const wanted = Math.min(prefs.tile, Math.max(72, space / 2 - GAP));
    this.columns = Math.max(1, Math.floor(space / (wanted + GAP)));
    this.width = space / this.columns - GAP;
    this.draw(anew);
  }

  /** Only the rows in sight are in the page, however many images there are. */
  draw(anew = false) {
    if (!this.inSight) return;
    const { items, columns, drawn, rowHeight, root } = this;
    this.space.style.height = `${Math.ceil(items.length / columns) * rowHeight + GAP}px`;
    const from = Math.max(0, Math.floor(root.scrollTop / rowHeight) - 2) * columns;
    const to = Math.min(items.length, (Math.ceil((root.scrollTop + root.clientHeight) / rowHeight) + 2) * columns);
    for (const [place, one] of drawn) {
      if (!anew && place >= from && place < to) continue;
      one.remove();
      drawn.delete(place);
    }
    const fresh = [];
    for (let place = from; place < to; place += 1) {
      if (drawn.has(place)) continue;
      const one = this.tile(place);
      drawn.set(place, one);
      fresh.push(one);
    }
    this.space.append(...fresh);
    this.mark();
    if (to > items.length - columns * 6) this.near();
  }

  tile(place) {
    const image = this.items[place];
    const guess = suggestionsShown() && image.state !== 'labelled' ? classOf(image.suggestion?.class) : null;
    const picture = h('img', {
      src: thumbAddress(image, this.width > 256 ? 512 : 256),
      alt: '',
      decoding: 'async',
      draggable: 'false',
    });
    if (prefs.pixelated) picture.classList.add('sharp');
    picture.addEventListener('error', () =>
      picture.replaceWith(h('span', { className: 'no-picture' }, icon('conflict'), 'cannot be shown')),
    );
    const hidden = (text) => h('span', { className: 'visually-hidden' }, text);
    const text = guess
      ? [
          hidden(`${fileName(image.path)}, `),
          stateMark(image),
          hidden(', suggested '),
          h(
            'span',
            { className: 'tile-guess' },
            h('span', { className: 'class-name' }, `${guess.name}?`),
            image.top?.length > 0 ? h('span', { className: 'number' }, percent(image.suggestion.confidence)) : null,
          ),
        ]
      : [stateMark(image), hidden(', '), h('span', { className: 'tile-guess class-name' }, fileName(image.path))];
    const one = h(
      'div',
      {
        className: `tile ${image.state}`,
        role: 'option',
        id: `tile-${image.id}`,
        'aria-selected': 'false',
        'aria-setsize': String(this.total ?? -1),
        'aria-posinset': String(place + 1),
        title: image.path,
        dataset: { place: String(place) },
      },
      h('div', { className: 'tile-picture' }, picture, h('span', { className: 'tick' }, icon('labelled'))),
      h('div', { className: 'tile-text' }, text),
    );
    const { style } = one;
    style.left = `${GAP + (place % this.columns) * (this.width + GAP)}px`;
    style.top = `${GAP + Math.floor(place / this.columns) * this.rowHeight}px`;
    style.width = `${this.width}px`;
    style.height = `${this.width + CAPTION}px`;
    style.setProperty('--tile', `${this.width}px`);
    return one;
  }

  /** Shows what is selected and where the cursor is. */
  mark() {
    for (const [place, one] of this.drawn) {
      const chosen = this.selected.has(this.items[place].id);
      one.classList.toggle('selected', chosen);
      one.setAttribute('aria-selected', String(chosen));
      one.classList.toggle('cursor', place === this.cursor);
    }
    const here = this.items[this.cursor];
    if (here && this.drawn.has(this.cursor)) this.root.setAttribute('aria-activedescendant', `tile-${here.id}`);
    else this.root.removeAttribute('aria-activedescendant');
  }

  /** Takes over what has become of images. */
  update(images) {
    for (const image of images) {
      const place = this.places.get(image.id);
      if (place === undefined) continue;
      Object.assign(this.items[place], image);
      if (!this.drawn.has(place)) continue;
      const one = this.tile(place);
      this.drawn.get(place).replaceWith(one);
      this.drawn.set(place, one);
    }
    this.mark();
  }

  focus() {
    this.root.focus({ preventScroll: true });
  }

  /** Scrolls to the cursor. */
  reveal() {
    const top = Math.floor(this.cursor / this.columns) * this.rowHeight;
    const { root, rowHeight } = this;
    if (top < root.scrollTop) root.scrollTop = top;
    else if (top + rowHeight + GAP > root.scrollTop + root.clientHeight)
      root.scrollTop = top + rowHeight + GAP - root.clientHeight;
    this.draw();
  }

  select(ids) {
    this.selected = new Set(ids);
    this.mark();
    this.changed();
  }

  /** Selects nothing and puts the cursor behind these images. */
  passBy(images) {
    const last = Math.max(...images.map((image) => this.places.get(image.id)));
    this.cursor = Math.min(this.items.length - 1, last + 1);
    this.anchor = this.cursor;
    this.select([]);
    this.reveal();
  }

  range(from, to) {
    return this.items.slice(Math.min(from, to), Math.max(from, to) + 1).map((image) => image.id);
  }

  toggle(id) {
    const all = new Set(this.selected);
    if (!all.delete(id)) all.add(id);
    return all;
  }

  click(event) {
    const one = event.target.closest('.tile');
    if (!one) return;
    const place = Number(one.dataset.place);
    const { id } = this.items[place];
    this.cursor = place;
    if (event.shiftKey) {
      this.select(this.range(this.anchor, place));
      return;
    }
    this.anchor = place;
    // A finger has no Ctrl: each touch adds or takes away.
    this.select(event.ctrlKey || event.metaKey || event.pointerType === 'touch' ? this.toggle(id) : [id]);
  }

  /** Moves and selects as in a file manager; false if the key is not for the grid. */
  keydown(event) {
    if (this.items.length === 0 || event.altKey || event.metaKey) return false;
    const rows = Math.max(1, Math.floor(this.root.clientHeight / this.rowHeight));
    const { columns } = this;
    const step = {
      ArrowLeft: -1,
      ArrowRight: 1,
      ArrowUp: -columns,
      ArrowDown: columns,
      PageUp: -columns * rows,
      PageDown: columns * rows,
      Home: -Infinity,
      End: Infinity,
    }[event.code];
    if (event.code === 'Space' && event.ctrlKey) {
      this.anchor = this.cursor;
      this.select(this.toggle(this.items[this.cursor].id));
    } else if (event.code === 'Escape') this.select([]);
    else if (step === undefined) return false;
    else {
      if (document.activeElement !== this.root) this.focus();
      // The first arrow only takes the cursor up.
      const first = this.selected.size === 0 && this.cursor === 0 && !event.ctrlKey && Number.isFinite(step);
      this.cursor = first ? 0 : Math.max(0, Math.min(this.items.length - 1, this.cursor + step));
      if (event.shiftKey) this.select(this.range(this.anchor, this.cursor));
      else if (!event.ctrlKey) {
        this.anchor = this.cursor;
        this.select([this.items[this.cursor].id]);
      }
    }
    this.reveal();
    return true;
  }
}
