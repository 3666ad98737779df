// The view for labels that come in from a file and go out to one. Never here: the formats.

import { count, h, icon, plural, put, say } from './dom.js';
import { download, get, query, request, ApiError } from './api.js';
import { emit, setProject, state } from './state.js';
import { flush, unsent } from './outbox.js';

const FORMATS = [
  {
    id: 'csv',
    name: 'CSV',
    type: 'text/csv',
    ends: ['csv', 'tsv', 'txt'],
    note: 'a row an image; opens in any spreadsheet',
  },
  {
    id: 'jsonl',
    name: 'JSON lines',
    type: 'application/x-ndjson',
    ends: ['jsonl', 'ndjson'],
    note: 'a line an answer, every one of them',
  },
  {
    id: 'label-studio',
    name: 'Label Studio JSON',
    type: 'application/json',
    ends: ['json'],
    note: 'to go on in Label Studio',
  },
];

const SUGGESTIONS =
  'A class with its probability, a column with a probability for each class, or the predictions of Label Studio. They are shown until the next training, are never counted as labels, and take the place of those taken in before.';

let refs;
export const view = { id: 'exchange', title: 'In and out', mount };

function mount(root) {
  refs = {
    file: h('input', {
      type: 'file',
      id: 'import-file',
      accept: '.csv,.tsv,.txt,.jsonl,.ndjson,.json',
      on: { change: () => chosen() },
    }),
    format: h(
      'select',
      { id: 'import-format' },
      FORMATS.map((one) => h('option', { value: one.id }, one.name)),
    ),
    what: h(
      'select',
      { id: 'import-what', on: { change: () => named() } },
      h('option', { value: 'labels' }, 'labels'),
      h('option', { value: 'suggestions' }, 'suggestions of another model'),
    ),
    about: h('p', { className: 'hint', hidden: true }, SUGGESTIONS),
    send: h('button', { type: 'submit', className: 'main', disabled: true }, 'Take the labels in'),
    result: h('div', { className: 'result', role: 'status' }),
  };
  const drop = h(
    'div',
    {
      className: 'drop',
      on: {
        dragover: (event) => {
          event.preventDefault();
          drop.classList.add('over');
        },
        dragleave: () => drop.classList.remove('over'),
        drop: (event) => {
          event.preventDefault();
          drop.classList.remove('over');
          if (event.dataTransfer.files.length > 0) {
            refs.file.files = event.dataTransfer.files;
            chosen();
          }
        },
      },
    },
    h('label', { for: 'import-file' }, 'A file with labels'),
    refs.file,
    h('p', { className: 'hint' }, 'Choose a file, or drop one here. Up to 64 MiB.'),
  );
  root.classList.add('page');
  root.append(
    h(
      'div',
      { className: 'page-head' },
      h('h1', { tabindex: '-1' }, 'In and out'),
      h(
        'p',
        { className: 'hint' },
        'Nothing leaves this computer: files are read and written by the program that serves this page.',
      ),
    ),
    h(
      'div',
      { className: 'two' },
      h(
        'section',
        {},
        h('h2', {}, 'Take labels in'),
        h(
          'form',
          { className: 'import', on: { submit: take } },
          drop,
          h('label', { for: 'import-format' }, 'Format'),
          refs.format,
          h('label', { for: 'import-what' }, 'It holds'),
          refs.what,
          refs.about,
          refs.send,
        ),
        refs.result,
        h(
          'p',
          { className: 'hint' },
          'Rows are matched by the path of the image below the image folder. What is there already is not added twice; a label that differs is kept beside the old one, and where two persons differ, the image appears under Review.',
        ),
      ),
      h(
        'section',
        {},
        h('h2', {}, 'Take labels out'),
        h(
          'ul',
          { className: 'downloads' },
          FORMATS.map((one) =>
            h(
              'li',
              {},
              h(
                'a',
                {
                  className: 'as-button',
                  href: `api/export?format=${one.id}`,
                  download: '',
                  on: { click: (event) => out(event, one) },
                },
                icon('download'),
                h('span', {}, one.name),
              ),
              h('span', { className: 'hint' }, one.note),
            ),
          ),
        ),
        h(
          'p',
          {},
          'Class folders, Parquet, the Hugging Face layout, the model and a data sheet are written by the program:',
        ),
        h('pre', { tabindex: '0', 'aria-label': 'Command' }, 'vabal export PROJECT --help'),
      ),
    ),
  );
}

const suggests = () => refs.what.value === 'suggestions';

function named() {
  refs.about.hidden = !suggests();
  put(refs.send, suggests() ? 'Take the suggestions in' : 'Take the labels in');
}

function chosen() {
  const [file] = refs.file.files;
  refs.send.disabled = !file;
  if (!file) return;
  const end = file.name.split('.').pop().toLowerCase();
  const format = FORMATS.find((one) => one.ends.includes(end));
  if (format) refs.format.value = format.id;
}

async function take(event) {
  event.preventDefault();
  const [file] = refs.file.files;
  if (!file) return;
  const format = FORMATS.find((one) => one.id === refs.format.value);
  if (file.size > 64 * 1024 * 1024) {
    put(refs.result, h('p', { className: 'bad' }, 'The file is larger than 64 MiB. Use `vabal import` for it.'));
    return;
  }
  refs.send.disabled = true;
  put(refs.result, h('p', { className: 'hint' }, 'Reading…'));
  try {
    const found = await request('POST', `/api/import${query({ format: format.id, person: state.person, as: refs.what.value, name: file.name })}`, {
      body: file,
      type: format.type,
      wait: 600_000,
    });
    put(
      refs.result,
      suggests()
        ? h('p', {}, h('b', {}, `${plural(found.added, 'image')} with a suggestion`), ', shown until the next training.')
        : h('p', {}, h('b', {}, `${plural(found.added, 'answer')} added`), `, ${count(found.same)} there already.`),
      found.new_classes?.length > 0
        ? h(
            'p',
            {},
            `New ${found.new_classes.length === 1 ? 'class' : 'classes'}: ${found.new_classes.map((one) => one.name ?? one).join(', ')}.`,
          )
        : '',
      found.suspicious?.length > 0
        ? h(
            'p',
            { className: 'bad' },
            `${found.suspicious.map((one) => `“${one}”`).join(', ')} is a class now, and programs write that where a value is missing. If it is not a class, merge it into another or rename it.`,
          )
        : '',
      found.conflicts > 0
        ? h(
            'div',
            {},
            h('p', { className: 'bad' }, `The file has two classes for ${plural(found.conflicts, 'image')}: ${suggests() ? 'they get no suggestion' : 'settle them under Review'}.`),
            h(
              'ul',
              { className: 'paths' },
              found.conflict_paths.map((one) => h('li', {}, one)),
            ),
          )
        : '',
      found.older > 0
        ? h('p', {}, `Left out ${plural(found.older, 'answer')}, older than what the same person or a review said since.`)
        : '',
      Object.keys(found.left_out).length > 0
        ? h(
            'div',
            {},
            h('p', { className: 'bad' }, `Entries of the file that give no ${suggests() ? 'suggestion' : 'label'}:`),
            h(
              'ul',
              { className: 'paths' },
              Object.entries(found.left_out).map(([why, times]) => h('li', {}, `${count(times)}: ${why}`)),
            ),
          )
        : '',
      found.unknown > 0
        ? h(
            'div',
            {},
            h('p', { className: 'bad' }, `${plural(found.unknown, 'image')} of the file cannot be found in this project:`),
            h(
              'ul',
              { className: 'paths' },
              found.unknown_paths.map((one) => h('li', {}, one)),
            ),
            found.unknown > found.unknown_paths.length
              ? h('p', { className: 'hint' }, `and ${count(found.unknown - found.unknown_paths.length)} more`)
              : null,
          )
        : '',
    );
    say(`${suggests() ? plural(found.added, 'suggestion') : `${plural(found.added, 'answer')} added`} from ${file.name}`);
    setProject({ ...(await get('/api/project')), round: state.round });
    // What is to come is asked anew, with what is suggested now.
    if (suggests()) emit('round');
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    put(
      refs.result,
      h('p', { className: 'bad' }, error.message),
      h('p', { className: 'hint' }, 'Nothing was taken in.'),
    );
  } finally {
    refs.send.disabled = false;
  }
}

// Fetched by the page rather than by the link, so that an error is said here instead of landing in a file. What waits in
// the browser belongs into the file: it is sent first, and said when it cannot.
async function out(event, format) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    const missing = unsent() > 0 && !(await flush());
    say('Writing the file…');
    const { blob, name } = await download(`/api/export?format=${format.id}`);
    const address = URL.createObjectURL(blob);
    const link = h('a', { href: address, download: name ?? `${state.project.name}.${format.ends[0]}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
    say(missing ? `The file lacks ${plural(unsent(), 'answer')} not saved yet.` : 'The file is in your downloads.', {
      bad: missing,
    });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { bad: true });
  }
}
