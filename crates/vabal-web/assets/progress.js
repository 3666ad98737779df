// The view of how far it has come: labels, balance, accuracy, what comes next, training. Never here: the statistics.

import { button, count, dialog, doing, duration, h, percent, plural, put, s, say, swatch, when } from './dom.js';
import { get, paragraph, post, put as change, sentence, ApiError } from './api.js';
import { classOf, emit, on, state } from './state.js';
import { chart, symbol } from './chart.js';
import { acceptance, confusions, persons } from './confusion.js';

let refs;
let visible = false;
let status = null;
let asking = false;

export const view = {
  id: 'progress',
  title: 'Progress',
  mount,
  show,
  hide: () => {
    visible = false;
  },
};

function mount(root) {
  refs = {
    body: h('div', { className: 'progress-body' }),
    train: h('section', { className: 'train', 'aria-label': 'Training' }),
  };
  root.classList.add('page');
  root.append(
    h(
      'div',
      { className: 'page-head row' },
      h('h1', { tabindex: '-1', className: 'grow' }, 'Progress'),
      button('Settings', { on: { click: settings } }),
    ),
    refs.train,
    refs.body,
  );
  on('round', () => {
    if (visible) load();
  });
  on('training', () => {
    if (visible) drawTraining();
  });
  let ticks = 0;
  on('pulse', () => {
    ticks += 1;
    if (visible && ticks % 5 === 0) load();
  });
  new ResizeObserver(() => {
    if (visible) drawChart();
  }).observe(refs.body);
}

function show() {
  visible = true;
  load();
}

let shape = '';
async function load() {
  if (asking) return;
  asking = true;
  try {
    status = await get('/api/status');
    state.training = status.training ?? state.training;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (!status) put(refs.body, h('p', { className: 'bad' }, error.message));
    else say(error.message, { bad: true });
    return;
  } finally {
    asking = false;
  }
  const now = JSON.stringify({ ...status, training: null });
  if (now !== shape) {
    shape = now;
    draw();
  }
  drawTraining();
}

function drawTraining() {
  const { training } = state;
  const running = training.state === 'running';
  const key = JSON.stringify([training, state.until]);
  if (refs.train.dataset.key === key) return;
  refs.train.dataset.key = key;
  const focused = refs.train.contains(document.activeElement);
  const share = training.total > 0 ? Math.min(1, training.done / training.total) : null;
  put(
    refs.train,
    ...(running
      ? [
          h(
            'div',
            { className: 'grow' },
            h(
              'p',
              {},
              doing(training),
            ),
            h('progress', { max: '1', 'aria-label': 'Training', ...(share === null ? {} : { value: share }) }),
          ),
          button('Stop', { on: { click: () => act('/api/train/stop', 'The training stops.') } }),
        ]
      : [
          h(
            'p',
            { className: 'grow' },
            training.state === 'failed'
              ? h(
                  'span',
                  { className: 'bad' },
                  `The last training failed. ${paragraph(training.error ?? 'no reason was given')} Labels are not affected.`,
                )
              : training.needs
                ? sentence(training.needs)
                : state.until > 0
                  ? `The next training starts by itself after ${plural(state.until, 'more label')}. Images of the holdout do not count here: they only measure.`
                  : 'Training starts by itself as labels come in.',
          ),
          button('Train now', {
            className: 'main',
            disabled: Boolean(training.needs),
            on: { click: () => act('/api/train', 'The training has started; labelling can go on.') },
          }),
        ]),
  );
  if (focused) refs.train.querySelector('button')?.focus();
}

async function act(path, done) {
  try {
    await post(path, {});
    say(done);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { bad: true });
  }
  try {
    const { training } = await get(`/api/pulse?since=${state.round}`);
    state.training = training;
    emit('training');
  } catch {
    /* the pulse says so */
  }
}

const interval = (low, high) =>
  low === null || low === undefined || high === null || high === undefined ? '' : `${percent(low)} – ${percent(high)}`;

function figure(name, value, note) {
  return h(
    'div',
    { className: 'figure' },
    h('dt', {}, name),
    h('dd', {}, h('b', {}, value), note ? h('span', { className: 'hint' }, note) : null),
  );
}

// Where a class is not measured the interval is all that can be said.
function balanced(last) {
  const name = 'Balanced accuracy';
  if (!last?.classes_measured)
    return figure(name, '–', last ? 'no class is measured yet' : 'after the first training');
  const range = interval(last.balanced_low, last.balanced_high);
  if (last.classes_measured === last.classes) return figure(name, percent(last.balanced_accuracy), range);
  return figure(
    name,
    range,
    `${last.classes_measured} of ${last.classes} classes measured; these: ${percent(last.measured_accuracy)}`,
  );
}

function draw() {
  const { counts, classes, rounds, next, stopping, imbalance } = status;
  const last = rounds.at(-1);
  const most = Math.max(1, ...classes.map((one) => one.labels));
  const ahead = (one) =>
    one.expected_next === null ? '–' : `${num(one.expected_next, 0)} (${num(one.expected_low, 0)} to ${num(one.expected_high, 0)})`;
  const num = (value, digits = 2) => (value === null || value === undefined ? '–' : value.toFixed(digits));
  refs.chart = h('div', { className: 'chart-box' });
  put(
    refs.body,
    h(
      'dl',
      { className: 'figures' },
      figure(
        'Labelled',
        `${count(counts.labelled)} of ${count(counts.images)}`,
        `${count(counts.open)} open, ${count(counts.later)} later, ${count(counts.unsure)} unsure, ${count(counts.discarded)} discarded${counts.conflict ? `, ${plural(counts.conflict, 'conflict')}` : ''}`,
      ),
      balanced(last),
      figure(
        'Accuracy',
        percent(last?.accuracy ?? null),
        last ? interval(last.accuracy_low, last.accuracy_high) : null,
      ),
      figure(
        'Imbalance',
        imbalance === null || imbalance === undefined ? '–' : `${num(imbalance, imbalance < 10 ? 1 : 0)} to 1`,
        'largest to smallest class',
      ),
      figure(
        'Holdout',
        `${count(counts.holdout.labelled)} labelled`,
        `of ${count(counts.holdout.images)}; never trained on`,
      ),
    ),
    h(
      'section',
      { className: `verdict ${stopping?.reasonable ? 'reasonable' : ''}` },
      h('div', {}, h('h2', {}, 'The next 100 labels'), h('p', {}, next?.text ?? 'Too few rounds to tell.')),
      h(
        'div',
        {},
        h('h2', {}, stopping?.reasonable ? 'Stopping is reasonable' : 'When to stop'),
        h('p', {}, stopping?.text ?? ''),
      ),
    ),
    h('section', {}, h('h2', {}, 'Accuracy on the holdout'), refs.chart),
    h(
      'section',
      {},
      h('h2', {}, 'Classes'),
      h(
        'div',
        { className: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Table of classes' },
        h(
          'table',
          {},
          h(
            'thead',
            {},
            h(
              'tr',
              {},
              [
                'Class',
                'Labels',
                '',
                'Holdout',
                'Recognised',
                '95 % interval',
                'Difficulty',
                'Share expected',
                'Of the next 100',
              ].map((one, i) =>
                one === ''
                  ? h('td', { className: 'bar-cell' })
                  : h('th', { scope: 'col', className: i === 0 ? 'words' : '' }, one),
              ),
            ),
          ),
          h(
            'tbody',
            {},
            classes.map((one) =>
              h(
                'tr',
                {},
                h(
                  'th',
                  { scope: 'row', className: 'words' },
                  h(
                    'a',
                    { href: `#browse?class=${one.id}` },
                    swatch(classOf(one.id)?.colour ?? '#888888'),
                    ' ',
                    one.name,
                  ),
                ),
                h('td', {}, count(one.labels)),
                h(
                  'td',
                  { className: 'bar-cell' },
                  h(
                    'span',
                    { className: 'bar', 'aria-hidden': 'true' },
                    h('i', { vars: { '--p': String(one.labels / most) } }),
                  ),
                ),
                h('td', {}, count(one.holdout)),
                h('td', {}, one.recall === null ? (rounds.length ? 'not measured' : '–') : percent(one.recall)),
                h('td', { className: 'hint' }, interval(one.recall_low, one.recall_high) || '–'),
                h('td', {}, num(one.difficulty)),
                h('td', {}, percent(one.prior)),
                h('td', {}, ahead(one)),
              ),
            ),
          ),
        ),
      ),
      h(
        'p',
        { className: 'hint' },
        'Recognised: recall on the holdout, the share of a class that the model finds. Difficulty: VaB-AL’s estimate of how often an image that looks like this class belongs to it; small is hard. Share expected: the share of the folder that the model predicts as this class. Of the next 100: how many of the next 100 questions are expected to be of this class, with a 95 % range; each training changes it.',
      ),
    ),
    confusions(status),
    acceptance(status),
    persons(status),
    h(
      'details',
      { className: 'rounds' },
      h('summary', {}, 'Every round as a table'),
      rounds.length === 0
        ? h('p', { className: 'hint' }, 'No training yet.')
        : h(
            'div',
            { className: 'wide', tabindex: '0', role: 'region', 'aria-label': 'Table of rounds' },
            h(
              'table',
              {},
              h(
                'thead',
                {},
                h(
                  'tr',
                  {},
                  [
                    'Round',
                    'Strategy',
                    'Labels',
                    'Balanced accuracy',
                    'Classes measured',
                    '95 % interval',
                    'Accuracy',
                    '95 % interval',
                    'Holdout',
                    'Unchanged',
                    'Took',
                    'Finished',
                  ].map((one, i) => h('th', { scope: 'col', className: i === 1 ? 'words' : '' }, one)),
                ),
              ),
              h(
                'tbody',
                {},
                rounds.map((one) =>
                  h(
                    'tr',
                    {},
                    h('th', { scope: 'row' }, String(one.round)),
                    h('td', { className: 'words' }, one.strategy),
                    h('td', {}, count(one.labels), one.taken_back ? ` (${count(one.taken_back)} taken back)` : ''),
                    h('td', {}, percent(one.balanced_accuracy, 1)),
                    h('td', {}, `${one.classes_measured} of ${one.classes}`),
                    h('td', { className: 'hint' }, interval(one.balanced_low, one.balanced_high) || '–'),
                    h('td', {}, percent(one.accuracy, 1)),
                    h('td', { className: 'hint' }, interval(one.accuracy_low, one.accuracy_high) || '–'),
                    h('td', {}, count(one.holdout)),
                    h('td', {}, percent(one.agreement)),
                    h('td', {}, duration(one.seconds)),
                    h('td', {}, when(one.finished)),
                  ),
                ),
              ),
            ),
            h(
              'p',
              { className: 'hint' },
              'Unchanged: the share of images the model sees as it did a round before. A round of which more than a tenth of the labels were taken back is not in the chart, and counts for no advice.',
            ),
          ),
    ),
  );
  drawChart();
}

function drawChart() {
  if (!refs.chart || !status) return;
  const width = Math.min(860, refs.body.clientWidth);
  if (width < 50) return;
  const drawn = chart(status.rounds.filter((one) => !one.void), width);
  put(
    refs.chart,
    ...(drawn
      ? [
          drawn.drawing,
          status.rounds.some((one) => !one.void && one.classes_measured < one.classes)
            ? h('p', { className: 'hint' }, 'Hollow: the mean over the classes measured; the line through it counts the others as 0 to 100 %.')
            : null,
          drawn.legend
            ? h(
                'ul',
                { className: 'legend' },
                drawn.legend.map(({ name, mark, ink }) =>
                  h(
                    'li',
                    {},
                    s(
                      'svg',
                      { width: 12, height: 12, viewBox: '0 0 12 12', 'aria-hidden': 'true' },
                      symbol(mark, 6, 6, ink),
                    ),
                    name,
                  ),
                ),
              )
            : null,
        ].filter(Boolean)
      : [
          h(
            'p',
            { className: 'hint' },
            'Appears after the first training with labelled holdout images. One in five questions is one of them.',
          ),
        ]),
  );
}

async function settings() {
  const now = state.settings;
  const wanted = await dialog('Settings of the project', (close) => {
    const number = (name, label, min, max, step = 1) => [
      h('label', { for: `set-${name}` }, label),
      h('input', { type: 'number', id: `set-${name}`, name, min, max, step, value: String(now[name]), required: true }),
    ];
    const hide = h('input', { type: 'checkbox', name: 'hide_suggestions', checked: now.hide_suggestions });
    const form = h(
      'form',
      {
        className: 'settings',
        on: {
          submit: (event) => {
            event.preventDefault();
            const changed = {};
            for (const field of form.querySelectorAll('input, select')) {
              const value =
                field.type === 'checkbox' ? field.checked : field.name === 'strategy' ? field.value : Number(field.value);
              if (value !== now[field.name]) changed[field.name] = value;
            }
            close(changed);
          },
        },
      },
      h('label', { for: 'set-strategy' }, 'Strategy that chooses what to ask, from the next training on'),
      h(
        'select',
        { id: 'set-strategy', name: 'strategy' },
        state.project.strategies.map((one) => h('option', { value: one, selected: one === now.strategy }, one)),
      ),
      ...number('retrain_every', 'Train again after so many labels', 5, 100000),
      ...number('budget', 'Images chosen in a round', 1, 100000),
      ...number('holdout_target', 'Holdout images to label', 0, 1000000),
      ...number('answers_wanted', 'Answers wanted for each image', 1, 20),
      h(
        'label',
        { className: 'check' },
        hide,
        h('span', {}, 'Hide suggestions from everybody who has not chosen otherwise'),
      ),
      h(
        'p',
        { className: 'hint' },
        `The backbone (now ${now.backbone}) and all else: `,
        h('code', {}, 'vabal set PROJECT'),
      ),
      h(
        'div',
        { className: 'row end' },
        button('Cancel', { on: { click: () => close() } }),
        h('button', { type: 'submit', className: 'main' }, 'Save'),
      ),
    );
    return [form];
  });
  if (!wanted || Object.keys(wanted).length === 0) return;
  try {
    state.settings = await change('/api/settings', wanted);
    emit('settings');
    say('Settings saved');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { bad: true });
  }
}
