// All there is to know of one image: its answers, its copies, what the model says. Never here: changing any of it.

import { dialog, fileName, h, percent, plural, put, swatch, when } from './dom.js';
import { get, imageAddress } from './api.js';
import { classOf, className, prefs, suggestionsShown } from './state.js';
import { obstacle } from './alike.js';
import { remarks } from './guide.js';
import { stateMark } from './pick.js';

const ACTS = { label: 'labelled', later: 'put off', unsure: 'unsure', discard: 'discarded', undo: 'undid an answer' };
const SOURCES = { import: 'from a file', duplicate: 'as a copy', review: 'in review' };

/** Opens the details of an image. */
export async function details(image) {
  await dialog(
    fileName(image.path),
    () => {
      const body = h('div', { className: 'details-body' }, h('p', { className: 'hint' }, 'Loading…'));
      fill(body, image);
      return [body];
    },
    { className: 'wide-dialog' },
  );
}

async function fill(body, known) {
  let found;
  try {
    found = await get(`/api/images/${known.id}`);
  } catch (error) {
    put(body, h('p', { className: 'bad' }, error.message));
    return;
  }
  const { image, history, probabilities } = found;
  const guesses = suggestionsShown() && probabilities ? [...probabilities].sort((a, b) => b.p - a.p).slice(0, 8) : null;
  const picture = h('img', { className: 'details-image', src: imageAddress(image), alt: `Image ${image.path}` });
  if (prefs.pixelated) picture.classList.add('sharp');
  put(
    body,
    h(
      'div',
      { className: 'details-grid' },
      h('div', {}, picture, h(
        'p',
        { className: 'row' },
        h('a', { href: `./#label?image=${image.id}` }, 'Open in Label'),
        obstacle() ? null : h('a', { href: `./#browse?like=${image.id}` }, 'More like this'),
      )),
      h(
        'div',
        {},
        h(
          'dl',
          {},
          h('dt', {}, 'File'),
          h('dd', {}, image.path, image.missing ? ' (the file is gone)' : ''),
          h('dt', {}, 'Size'),
          h('dd', {}, `${image.width} × ${image.height} pixels`),
          h('dt', {}, 'Now'),
          h('dd', {}, stateMark(image)),
          h('dt', {}, 'Exact copies'),
          h('dd', {}, image.duplicates ? plural(image.duplicates, 'other image') : 'none'),
        ),
        remarks(image),
        h('h3', {}, 'Answers'),
        history.length === 0
          ? h('p', { className: 'hint' }, 'None yet.')
          : h(
              'ol',
              { className: 'history' },
              history.map((one) =>
                h(
                  'li',
                  { className: one.undone ? 'undone' : '' },
                  h('b', {}, one.person),
                  ` ${ACTS[one.act] ?? one.act}`,
                  one.class !== null && one.class !== undefined ? ` ${className(one.class)}` : '',
                  SOURCES[one.source] ? ` ${SOURCES[one.source]}` : '',
                  h('span', { className: 'hint' }, ` ${when(one.at)}${one.undone ? ', undone' : ''}`),
                ),
              ),
            ),
        guesses ? h('h3', {}, 'What the model says') : null,
        guesses
          ? h(
              'ul',
              { className: 'guesses' },
              guesses.map(({ class: id, p }) =>
                h(
                  'li',
                  {},
                  swatch(classOf(id)?.colour ?? '#888888'),
                  h('span', { className: 'class-name' }, className(id)),
                  h('span', { className: 'bar', 'aria-hidden': 'true' }, h('i', { vars: { '--p': String(p) } })),
                  h('span', { className: 'number' }, percent(p, 1)),
                ),
              ),
            )
          : null,
      ),
    ),
  );
  const heading = body.closest('dialog')?.querySelector('h2');
  for (const link of body.querySelectorAll('a')) link.addEventListener('click', () => body.closest('dialog')?.close());
  heading?.focus();
}
