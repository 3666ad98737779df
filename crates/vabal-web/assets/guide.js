// How classes are told from others: descriptions and pinned examples, beside the image and in a dialog; notes and flags of
// images. Never here: answers.

import { button, dialog, fileName, h, iconButton, put, say, swatch } from './dom.js';
import { post, put as send, thumbAddress, ApiError } from './api.js';
import { classOf, emit, on, prefs, setPref, state } from './state.js';
import { shownCommand } from './keys.js';

const guideOf = (id) =>
  state.project.guides.find((one) => one.class === id) ?? { class: id, description: '', examples: [] };

/** Carries out a change; what went wrong is said. Resolves to what came back, null where nothing did. */
async function change(run, done) {
  try {
    const result = await run();
    if (result.guides) {
      state.project.guides = result.guides;
      emit('guides');
    }
    say(done);
    return result;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    say(error.message, { bad: true });
    return null;
  }
}

const example = (image) =>
  h('img', { src: thumbAddress(image), alt: `Example ${fileName(image.path)}`, title: image.path, loading: 'lazy' });

/** The guide beside the image: shown and hidden by one key, and so for every image that follows. */
export class GuidePanel {
  constructor() {
    this.root = h('aside', { className: 'guide', 'aria-label': 'How the classes are told', hidden: true, tabindex: '0' });
    for (const event of ['guides', 'classes']) on(event, () => this.draw());
    on('prefs', (name) => {
      if (name === 'guide') this.draw();
    });
    this.draw();
  }

  draw() {
    this.root.hidden = !prefs.guide;
    if (!prefs.guide) return;
    const all = state.project.guides.filter((one) => classOf(one.class));
    put(
      this.root,
      h(
        'div',
        { className: 'guide-head' },
        h('h2', {}, 'Classes'),
        iconButton('close', 'Hide the descriptions', { className: 'quiet', on: { click: toggleGuide } }),
      ),
      all.length === 0
        ? h(
            'p',
            { className: 'hint' },
            `No class has a description or an example yet. Write one in the view `,
            h('a', { href: '#classes' }, 'Classes'),
            `; ${shownCommand('details')} pins the image on the screen.`,
          )
        : h(
            'ul',
            {},
            all.map((one) =>
              h(
                'li',
                {},
                h('h3', {}, swatch(classOf(one.class).colour), ' ', classOf(one.class).name),
                one.description ? h('p', { className: 'description' }, one.description) : null,
                h('div', { className: 'examples' }, one.examples.map(example)),
              ),
            ),
          ),
    );
  }
}

export function toggleGuide() {
  setPref('guide', !prefs.guide);
  say(prefs.guide ? 'Descriptions and examples are shown' : 'Descriptions and examples are hidden');
}

/** Asks for the description of a class, and shows its examples. */
export function describe(one) {
  return dialog(`How to tell ${one.name}`, (close) => {
    const text = h('textarea', { id: 'description', rows: '5', maxlength: '2000', autofocus: true }, guideOf(one.id).description);
    const examples = h('ul', { className: 'examples' });
    const draw = () => {
      const pinned = guideOf(one.id).examples;
      put(
        examples,
        pinned.map((image) =>
          h(
            'li',
            {},
            example(image),
            iconButton('close', `Take ${fileName(image.path)} off`, {
              className: 'quiet',
              on: {
                click: async () => {
                  await pin(one, image, false);
                  draw();
                },
              },
            }),
          ),
        ),
        pinned.length === 0
          ? h('li', { className: 'hint' }, 'No examples yet: open the details of an image of this class, and pin it.')
          : null,
      );
    };
    draw();
    const save = async (event) => {
      event.preventDefault();
      const run = () => send(`/api/classes/${one.id}/guide`, { description: text.value });
      if (await change(run, `${one.name} has a description`)) close();
    };
    return [
      h(
        'form',
        { on: { submit: save } },
        h('label', { for: 'description' }, 'What decides it, and what it is taken for by mistake'),
        text,
        h('h3', {}, 'Examples'),
        examples,
        h(
          'div',
          { className: 'row end' },
          button('Cancel', { on: { click: () => close() } }),
          h('button', { type: 'submit', className: 'main' }, 'Save'),
        ),
      ),
    ];
  });
}

const pin = (one, image, pinned) =>
  change(
    () => post(`/api/classes/${one.id}/examples`, { image: image.id, pinned }),
    pinned ? `${fileName(image.path)} is an example of ${one.name}` : `${fileName(image.path)} is no example any more`,
  );

async function write(image, what, done) {
  const result = await change(() => send(`/api/images/${image.id}/note`, { person: state.person, ...what }), done);
  if (!result) return;
  Object.assign(image, result);
  emit('noted', image);
}

/** Flags an image to be looked at again, or takes the flag off. */
export const flag = (image) =>
  write(
    image,
    { flag: !image.flag },
    image.flag ? `${fileName(image.path)} is not flagged any more` : `${fileName(image.path)} is flagged`,
  );

/** The part of an image's details that can be changed: note, flag, example. */
export function remarks(image) {
  const note = h('textarea', { id: 'image-note', rows: '2', maxlength: '2000' }, image.note);
  const flagged = h('input', { type: 'checkbox', checked: image.flag, on: { change: () => flag(image) } });
  const one = image.state === 'labelled' ? classOf(image.class) : null;
  const pinned = () => one && guideOf(one.id).examples.some((other) => other.id === image.id);
  const label = () => (pinned() ? `No example of ${one.name}` : `Pin as an example of ${one.name}`);
  const pinButton = one
    ? button(label(), {
        on: {
          click: async () => {
            await pin(one, image, !pinned());
            put(pinButton, label());
          },
        },
      })
    : null;
  return h(
    'div',
    { className: 'remarks' },
    h('label', { for: 'image-note' }, 'Note'),
    note,
    h(
      'div',
      { className: 'row' },
      button('Save the note', {
        on: { click: () => write(image, { note: note.value }, `Saved the note of ${fileName(image.path)}`) },
      }),
      h('label', { className: 'check' }, flagged, h('span', {}, `Flagged (${shownCommand('flag')})`)),
      pinButton,
    ),
  );
}
