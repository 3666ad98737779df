// Draws accuracy by number of labels, with its intervals, as an SVG in the inks of the report. Never here: the numbers.

import { s } from './dom.js';

const SERIES = [
  {
    name: 'balanced accuracy',
    key: 'measured_accuracy',
    low: 'balanced_low',
    high: 'balanced_high',
    ink: 'var(--s1)',
    dash: null,
    mark: 'circle',
  },
  {
    name: 'accuracy',
    key: 'accuracy',
    low: 'accuracy_low',
    high: 'accuracy_high',
    ink: 'var(--s2)',
    dash: '5 4',
    mark: 'square',
  },
];

/** The chart of rounds, `width` pixels wide; null when no round has a figure yet. */
export function chart(rounds, width) {
  const known = rounds.filter((one) => SERIES.some(({ key }) => typeof one[key] === 'number'));
  if (known.length === 0) return null;
  const height = Math.max(220, Math.min(340, width * 0.45));
  const left = 44;
  const right = width < 480 ? 12 : 130;
  const top = 12;
  const bottom = 40;
  const most = niceCeil(Math.max(...known.map((one) => one.labels), 10));
  const lowest = Math.max(
    0,
    Math.min(
      ...known
        .flatMap((one) => SERIES.flatMap(({ key, low }) => [one[low], one[key]]))
        .filter((v) => typeof v === 'number'),
    ),
  );
  const step = lowest >= 0.5 ? 0.1 : 0.2;
  const least = Math.floor(lowest / step + 1e-9) * step;
  const x = (labels) => left + (labels / most) * (width - left - right);
  const y = (value) => top + (1 - (value - least) / (1 - least)) * (height - top - bottom);
  const parts = [];
  for (let value = least; value <= 1.0001; value += step) {
    parts.push(
      s('line', { x1: left, x2: width - right, y1: y(value), y2: y(value), stroke: 'var(--grid)' }),
      s('text', { x: left - 8, y: y(value) + 4, 'text-anchor': 'end' }, `${Math.round(value * 100)} %`),
    );
  }
  const stride = most / (width < 480 ? 2 : 5);
  for (let labels = 0; labels <= most + 0.01; labels += stride)
    parts.push(
      s('text', { x: x(labels), y: height - bottom + 18, 'text-anchor': 'middle' }, String(Math.round(labels))),
    );
  parts.push(
    s(
      'text',
      { x: (left + width - right) / 2, y: height - 4, 'text-anchor': 'middle', class: 'axis' },
      'labels the model learned from',
    ),
  );
  const ends = [];
  for (const { name, key, low, high, ink, dash, mark } of SERIES) {
    const points = known.filter((one) => typeof one[key] === 'number');
    if (points.length === 0) continue;
    const banded = points.filter((one) => typeof one[low] === 'number' && typeof one[high] === 'number');
    // One band is read at a glance, two hide each other: the second line has whiskers alone.
    if (banded.length > 1 && mark === 'circle') {
      const upper = banded.map((one) => `${x(one.labels)},${y(one[high])}`);
      const lower = banded.map((one) => `${x(one.labels)},${y(Math.max(least, one[low]))}`).reverse();
      parts.push(s('polygon', { points: [...upper, ...lower].join(' '), fill: ink, 'fill-opacity': 0.13 }));
    }
    for (const one of banded)
      parts.push(
        s('line', {
          x1: x(one.labels),
          x2: x(one.labels),
          y1: y(one[high]),
          y2: y(Math.max(least, one[low])),
          stroke: ink,
          'stroke-opacity': 0.5,
        }),
      );
    parts.push(
      s('polyline', {
        points: points.map((one) => `${x(one.labels)},${y(one[key])}`).join(' '),
        fill: 'none',
        stroke: ink,
        'stroke-width': 2,
        'stroke-dasharray': dash,
      }),
    );
    // Hollow where classes are not measured: the mark is the mean over those that are, the whisker counts all.
    const hollow = (one) => mark === 'circle' && one.classes_measured < one.classes;
    for (const one of points) parts.push(symbol(mark, x(one.labels), y(one[key]), ink, hollow(one)));
    const end = points.at(-1);
    ends.push({ name, ink, mark, at: y(end[key]), from: x(end.labels) });
  }
  if (right > 100) {
    // Names beside the ends of the lines, kept apart.
    ends.sort((a, b) => a.at - b.at);
    if (ends.length === 2 && ends[1].at - ends[0].at < 16) {
      const middle = (ends[0].at + ends[1].at) / 2;
      ends[0].at = middle - 8;
      ends[1].at = middle + 8;
    }
    for (const { name, ink, at, mark } of ends)
      parts.push(
        symbol(mark, width - right + 12, at, ink),
        s('text', { x: width - right + 22, y: at + 4, class: 'name' }, name),
      );
  }
  const last = known.at(-1);
  const part = last.classes_measured < last.classes ? ` (${last.classes_measured} of ${last.classes} classes measured)` : '';
  const say = SERIES.filter(({ key }) => typeof last[key] === 'number')
    .map(({ name, key }) => `${name} ${Math.round(last[key] * 100)} %`)
    .join(', ');
  const drawing = s(
    'svg',
    {
      viewBox: `0 0 ${width} ${height}`,
      width,
      height,
      role: 'img',
      'aria-labelledby': 'chart-title chart-text',
      class: 'chart',
    },
    s('title', { id: 'chart-title' }, 'Accuracy on the holdout by number of labels'),
    s('desc', { id: 'chart-text' }, `After ${last.labels} labels: ${say}${part}. The table below has every round.`),
    parts,
  );
  return { drawing, legend: right > 100 ? null : SERIES };
}

export function symbol(mark, cx, cy, ink, hollow = false) {
  return mark === 'circle'
    ? s('circle', {
        cx,
        cy,
        r: 4,
        fill: hollow ? 'var(--ground)' : ink,
        stroke: hollow ? ink : 'var(--ground)',
        'stroke-width': hollow ? 1.6 : 1.2,
      })
    : s('rect', {
        x: cx - 3.6,
        y: cy - 3.6,
        width: 7.2,
        height: 7.2,
        fill: ink,
        stroke: 'var(--ground)',
        'stroke-width': 1.2,
      });
}

function niceCeil(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].map((one) => one * power).find((one) => one >= value);
}
