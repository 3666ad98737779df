// Parts of the view Progress: what the model confuses, what accepting its suggestions would cost, and who has answered how much. Never
// here: the statistics.

import { count, h, percent, plural, s, swatch } from './dom.js';
import { classOf, className } from './state.js';

// A table of more classes is not read; the pairs are then listed alone.
const MOST_OF_TABLE = 20;
const MOST_OF_LIST = 12;

const head = (names) =>
  h('thead', {}, h('tr', {}, names.map((name, i) => h('th', { scope: 'col', className: i === 0 ? 'words' : '' }, name))));
const table = (label, ...parts) =>
  h('div', { className: 'wide', tabindex: '0', role: 'region', 'aria-label': label }, h('table', {}, parts));
const named = (id) => [swatch(classOf(id)?.colour ?? '#888888'), ' ', className(id)];

/** What images of one class are taken for; each number opens its images. */
export function confusions({ classes, confusions: all }) {
  if (all.length === 0) return null;
  const cells = new Map(all.map((one) => [`${one.class} ${one.predicted}`, one]));
  const of = (one, other) => cells.get(`${one} ${other}`) ?? { class: one, predicted: other, labels: 0, holdout: 0 };
  const opens = (one, text = count(one.labels)) =>
    h(
      'a',
      {
        href: `#browse?class=${one.class}&predicted=${one.predicted}`,
        'aria-label': `${plural(one.labels, 'image')} of ${className(one.class)}, taken for ${className(one.predicted)}: show`,
      },
      text,
    );
  const cell = (one) =>
    h(
      'td',
      { className: one.class === one.predicted ? 'right' : '' },
      one.labels ? opens(one) : one.holdout ? '0' : '',
      one.holdout ? h('span', { className: 'hint' }, ` +${count(one.holdout)}`) : null,
    );
  const wrong = all
    .filter((one) => one.class !== one.predicted)
    .sort((a, b) => b.labels + b.holdout - a.labels - a.holdout);
  return h(
    'section',
    { className: 'confusions' },
    h('h2', {}, 'What the model confuses'),
    classes.length > MOST_OF_TABLE
      ? null
      : table(
          'Table of confusions',
          head(['is, taken for →', ...classes.map((one) => one.name)]),
          h(
            'tbody',
            {},
            classes.map((one) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row', className: 'words' }, named(one.id)),
                classes.map((other) => cell(of(one.id, other.id))),
              ),
            ),
          ),
        ),
    wrong.length === 0
      ? null
      : h(
          'ol',
          { className: 'pairs' },
          wrong
            .slice(0, classes.length > MOST_OF_TABLE ? MOST_OF_LIST : 3)
            .map((one) =>
              h(
                'li',
                {},
                `${className(one.class)} taken for ${className(one.predicted)}: `,
                one.labels ? opens(one, plural(one.labels, 'image')) : 'none',
                one.holdout ? ` and ${plural(one.holdout, 'image')} of the holdout` : '',
              ),
            ),
        ),
    h(
      'p',
      { className: 'hint' },
      'Each number opens its images. It counts labels that the model had not learnt when it said so: with a backbone by cross-validation, else by the training before. After the +, images of the holdout; which these are is not shown, so that the holdout stays fair.',
    ),
  );
}

let chosen = 0.95;

/** Accepting many suggestions at once, and the errors to expect: how sure they must be is chosen on a curve. */
export function acceptance({ acceptance: all }) {
  const known = all.filter((one) => one.errors !== null && one.images > 0);
  if (known.length === 0) return null;
  const at = () => known.findLast((one) => one.above <= chosen) ?? known[0];
  const text = h('p', { role: 'status' });
  const open = h('a', { className: 'button' }, '');
  const drawing = h('div', {});
  const sure = (one) => `${Number((100 * one.above).toFixed(1))} %`;
  const slider = h('input', {
    type: 'range',
    id: 'accept-above',
    min: '0',
    max: String(known.length - 1),
    step: '1',
    value: String(known.indexOf(at())),
    on: {
      input: () => {
        chosen = known[Number(slider.value)].above;
        draw();
      },
    },
  });
  function draw() {
    const one = at();
    slider.setAttribute('aria-valuetext', sure(one));
    const low = Math.round(one.errors_low);
    const high = Math.ceil(one.errors_high);
    text.replaceChildren(
      h('b', {}, `Accept all above ${sure(one)}: expect ${plural(Math.round(one.errors), 'error')} in ${count(one.images)}`),
      ` (${count(low)} to ${count(high)}). Of ${plural(one.measured, 'holdout image')} of which the model is as sure, ${count(one.wrong)} ${one.wrong === 1 ? 'was' : 'were'} wrong.`,
    );
    open.textContent = `Show these ${count(one.images)} in Browse`;
    open.href = `#browse?state=open&low=${Number((100 * one.above).toFixed(1))}&sort=confidence`;
    drawing.replaceChildren(curve(known, one));
  }
  draw();
  return h(
    'section',
    { className: 'acceptance' },
    h('h2', {}, 'Accept many suggestions at once'),
    drawing,
    h('div', { className: 'row' }, h('label', { for: 'accept-above' }, 'Above'), slider),
    text,
    open,
    h('p', { className: 'hint' }, 'In Browse, select all and accept. One undo takes all of it back.'),
  );
}

// Errors to expect by images accepted: the line, its interval, and the point chosen.
function curve(known, one) {
  const [width, height, left, bottom] = [420, 150, 46, 34];
  const most = Math.max(...known.map((each) => each.images));
  const worst = Math.max(1, ...known.map((each) => each.errors_high));
  const x = (images) => left + (images / most) * (width - left - 10);
  const y = (errors) => 8 + (1 - errors / worst) * (height - bottom - 8);
  const line = (key) => known.map((each) => `${x(each.images)},${y(each[key])}`);
  return s(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, width, height, role: 'img', 'aria-label': 'Errors to expect by the number of suggestions accepted', class: 'chart' },
    s('line', { x1: left, x2: width - 10, y1: y(0), y2: y(0), stroke: 'var(--grid)' }),
    s('text', { x: left - 6, y: y(0) + 4, 'text-anchor': 'end' }, '0'),
    s('text', { x: left - 6, y: y(worst) + 8, 'text-anchor': 'end' }, count(Math.round(worst))),
    s('text', { x: width - 10, y: height - 18, 'text-anchor': 'end' }, count(most)),
    s('text', { x: (left + width) / 2, y: height - 4, 'text-anchor': 'middle' }, 'accepted; upwards: errors to expect'),
    s('polygon', { points: [...line('errors_high'), ...line('errors_low').reverse()].join(' '), fill: 'var(--s1)', 'fill-opacity': 0.13 }),
    s('polyline', { points: line('errors').join(' '), fill: 'none', stroke: 'var(--s1)', 'stroke-width': 2 }),
    s('circle', { cx: x(one.images), cy: y(one.errors), r: 5, fill: 'var(--s1)', stroke: 'var(--ground)', 'stroke-width': 1.5 }),
  );
}

/** Who has answered how much and how fast, and how far they say the same. */
export function persons({ persons: all, agreements }) {
  if (all.length === 0) return null;
  return h(
    'section',
    { className: 'persons' },
    h('h2', {}, 'Who labels'),
    table(
      'Table of persons',
      head(['Person', 'Answers', 'Labels', 'In Review', 'Answers an hour']),
      h(
        'tbody',
        {},
        all.map((one) =>
          h(
            'tr',
            {},
            h('th', { scope: 'row', className: 'words' }, one.person),
            h('td', {}, count(one.answers)),
            h('td', {}, count(one.labels)),
            h('td', {}, count(one.reviewed)),
            h('td', {}, one.per_hour === null ? '–' : count(Math.round(one.per_hour))),
          ),
        ),
      ),
    ),
    agreements.length === 0
      ? null
      : table(
          'Table of agreement',
          head(['Two persons', 'Both labelled', 'The same', 'Beyond chance (κ)']),
          h(
            'tbody',
            {},
            agreements.map((one) =>
              h(
                'tr',
                {},
                h('th', { scope: 'row', className: 'words' }, `${one.a}, ${one.b}`),
                h('td', {}, count(one.images)),
                h('td', {}, `${count(one.same)} (${percent(one.same / one.images)})`),
                h('td', {}, one.kappa === null ? '–' : one.kappa.toFixed(2)),
              ),
            ),
          ),
        ),
  );
}
