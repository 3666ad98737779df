// The map in words: its regions, what each has, a button that opens it. For whoever does not see the points, and for a look at what
// lies where. Never here: drawing, where the points come from.

import { button, count, h, plural, put } from './dom.js';
import { className } from './state.js';

// Squares of a side of the grid in which the points are counted, at most.
const GRID = 48;
const MOST = 40;

/**
 * The regions of a map: hills of the density. Points of which the square leads up to the same summit are one. The largest first, each
 * a list of points.
 */
export function regionsOf(at) {
  const n = at.length / 2;
  // Of few points there would be a hill in every square.
  const side = Math.max(6, Math.min(GRID, Math.round(Math.sqrt(n) * 0.8)));
  const square = (i) => Math.floor((at[2 * i + 1] * side) / 65_536) * side + Math.floor((at[2 * i] * side) / 65_536);
  let density = new Float32Array(side * side);
  for (let i = 0; i < n; i += 1) density[square(i)] += 1;
  const around = (place) => {
    const [x, y] = [place % side, Math.floor(place / side)];
    const found = [];
    for (let v = Math.max(0, y - 1); v <= Math.min(side - 1, y + 1); v += 1)
      for (let u = Math.max(0, x - 1); u <= Math.min(side - 1, x + 1); u += 1) found.push(v * side + u);
    return found;
  };
  // Twice the mean of the neighbours, so that chance makes no hills.
  for (let round = 0; round < 2; round += 1) {
    const before = density;
    density = before.map((_, place) => {
      const all = around(place);
      return all.reduce((sum, one) => sum + before[one], 0) / all.length;
    });
  }
  const summits = new Int32Array(side * side).fill(-1);
  const summit = (place) => {
    const way = [];
    let here = place;
    while (summits[here] < 0) {
      way.push(here);
      const top = around(here).reduce((best, one) => (density[one] > density[best] ? one : best), here);
      if (top === here) {
        summits[here] = here;
        break;
      }
      here = top;
    }
    for (const one of way) summits[one] = summits[here];
    return summits[here];
  };
  const regions = new Map();
  for (let i = 0; i < n; i += 1) {
    const top = summit(square(i));
    if (!regions.has(top)) regions.set(top, []);
    regions.get(top).push(i);
  }
  return [...regions.values()].sort((a, b) => b.length - a.length);
}

/** The table of the regions. `open(points)` opens them, `mark(points)` shows them on the map; null for none. */
export class Regions {
  constructor({ open, mark }) {
    this.open = open;
    this.mark = mark;
    this.regions = [];
    this.body = h('tbody');
    this.root = h(
      'div',
      { className: 'regions' },
      h(
        'table',
        {},
        h('caption', {}, 'Regions: images that lie together'),
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ['Region', 'Images', 'What is there'].map((name, i) =>
              h('th', { scope: 'col', className: i === 1 ? '' : 'words' }, name),
            ),
          ),
        ),
        this.body,
      ),
    );
    this.rest = h('p', { className: 'hint', hidden: true });
    this.root.append(this.rest);
  }

  place(at) {
    this.regions = regionsOf(at);
    this.texts = [];
    put(
      this.body,
      this.regions.slice(0, MOST).map((points, i) => {
        const text = h('td', { className: 'words' });
        this.texts.push(text);
        const mark = () => this.mark(points);
        const unmark = () => this.mark(null);
        const events = { click: () => this.open(points), focus: mark, blur: unmark, mouseenter: mark, mouseleave: unmark };
        const name = `Region ${i + 1}`;
        return h(
          'tr',
          {},
          h(
            'th',
            { scope: 'row', className: 'words' },
            button(name, { className: 'link', 'aria-label': `${name}: browse ${plural(points.length, 'image')}`, on: events }),
          ),
          h('td', {}, count(points.length)),
          text,
        );
      }),
    );
    const rest = this.regions.slice(MOST);
    this.rest.hidden = rest.length === 0;
    this.rest.textContent = `${plural(rest.length, 'smaller region')} more, with ${plural(
      rest.reduce((sum, one) => sum + one.length, 0),
      'image',
    )}.`;
  }

  /** Says what is in each region: labels, and guesses where they are shown. */
  tell({ classes, guesses, shown }) {
    const most = (points, of, k) => {
      const counts = new Map();
      for (const i of points) if (of[i] !== 65_535) counts.set(of[i], (counts.get(of[i]) ?? 0) + 1);
      const sorted = [...counts].sort((a, b) => b[1] - a[1]);
      const named = sorted.slice(0, k).map(([one, n]) => `${className(one)} ${count(n)}`);
      if (sorted.length > k) named.push(`${plural(sorted.length - k, 'class', 'classes')} more`);
      return [sorted.reduce((sum, [, all]) => sum + all, 0), named.join(', ')];
    };
    this.texts?.forEach((text, i) => {
      const points = this.regions[i];
      const [labelled, labels] = most(points, classes, 3);
      const [, guessed] = shown ? most(points, guesses, 2) : [0, ''];
      const parts = [labelled === 0 ? 'no label' : `${count(labelled)} labelled: ${labels}`];
      if (guessed) parts.push(`suggested: ${guessed}`);
      text.textContent = parts.join('; ');
    });
  }
}
