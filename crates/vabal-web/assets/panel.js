// What stands beside the image: the suggestion, the classes, the acts, why it is asked, the last answers. Never here: what
// comes next, saving.

import { count, doing, fileName, h, icon, iconButton, percent, plural, put, swatch } from './dom.js';
import { sentence, thumbAddress } from './api.js';
import { classOf, className, on, prefs, setPref, state, suggestionsShown } from './state.js';
import { shownCommand } from './keys.js';
import { alikeButton } from './alike.js';
import { actButtons, ClassList, kbd, spoken, stateText } from './pick.js';

/** The state that an act leads to. */
export const ACT_STATE = { label: 'labelled', later: 'later', unsure: 'unsure', discard: 'discarded' };
// What kind of reason it is, for those who do not want to be told a class.
const REASONS = {
  'rare-class': 'Rare class',
  'hard-class': 'Hard class',
  unusual: 'Unusual',
  typical: 'Typical',
  unsure: 'Model unsure',
  contradiction: 'Contradiction',
  coverage: 'Coverage',
  random: 'Random',
  holdout: 'Random',
};

/** The file that suggestions come from; null where they are the project's own. */
const foreign = () => (state.project.suggestions?.shown ? state.project.suggestions.source : null);

export class Panel {
  /** `choose(class)`, `command(id)`, and `back(place)` to an answer of the trail are called. */
  constructor({ choose, command, back }) {
    this.command = command;
    this.back = back;
    this.image = null;
    this.classes = new ClassList(choose);
    this.suggestion = h('div', { className: 'suggestion' });
    this.reasons = h('ul', { className: 'reasons' });
    this.why = h('section', { className: 'why' }, h('h2', {}, 'Why this image'), this.reasons);
    this.copies = h('label', { className: 'check copies', hidden: true });
    this.acts = h('div', { className: 'acts' });
    this.moves = h('div', { className: 'moves' });
    this.alike = h('div', { className: 'alike' });
    this.until = h('p', { className: 'hint until' });
    this.recent = h('ol', { className: 'recent', 'aria-label': 'Your last answers' });
    this.root = h(
      'aside',
      { className: 'panel', 'aria-label': 'Your answer' },
      this.suggestion,
      this.classes.root,
      this.copies,
      h('div', { className: 'bottom' }, this.acts, this.moves),
      this.why,
      this.alike,
      this.until,
      this.recent,
    );
    this.build();
    on('keys', () => {
      this.build();
      this.showSuggestion();
      this.mark();
    });
    on('prefs', (name) => {
      if (name === 'suggestions') {
        this.showSuggestion();
        this.showWhy();
      }
    });
    on('settings', () => {
      this.build();
      this.showSuggestion();
      this.showWhy();
    });
    on('classes', () => {
      this.showSuggestion();
    });
    on('counts', () => this.showUntil());
    on('training', () => this.showUntil());
  }

  build() {
    const go = (id) => ({ click: () => this.command(id) });
    const titled = (name, label, id) => {
      const one = iconButton(name, label, { on: go(id) });
      one.title = `${label} (${shownCommand(id)})`;
      return one;
    };
    put(
      this.acts,
      actButtons((name) => this.command(name)),
    );
    put(
      this.moves,
      titled('left', 'Previous image', 'previous'),
      h('button', { type: 'button', on: go('undo') }, icon('undo'), h('span', {}, 'Undo'), kbd(shownCommand('undo'))),
      h('button', { type: 'button', on: go('find') }, icon('search'), h('span', {}, 'Find'), kbd(shownCommand('find'))),
      titled('right', 'Next image', 'next'),
    );
    put(
      this.alike,
      alikeButton(() => this.command('alike')),
    );
  }

  show(image) {
    this.image = image;
    this.mark();
    this.showSuggestion();
    this.showWhy();
    this.showCopies();
  }

  /** What the model says, on the buttons of the classes. The holdout has none. */
  showTop() {
    this.classes.rate(suggestionsShown() ? (this.image?.top ?? []) : []);
  }

  /** Marks what the image is now. */
  mark() {
    const { image } = this;
    this.classes.mark(image?.state === 'labelled' ? image.class : null);
    for (const one of this.acts.children) {
      const set = image?.state === ACT_STATE[one.dataset.act];
      one.classList.toggle('chosen', set);
      if (set) one.setAttribute('aria-current', 'true');
      else one.removeAttribute('aria-current');
    }
  }

  showSuggestion() {
    this.showTop();
    const focused = this.suggestion.contains(document.activeElement) ? document.activeElement.className : null;
    this.buildSuggestion();
    if (focused)
      (
        this.suggestion.querySelector(focused.includes('accept') ? '.accept' : '.quiet') ??
        this.suggestion.querySelector('button')
      ).focus();
  }

  buildSuggestion() {
    const shown = suggestionsShown();
    const hide = iconButton(shown ? 'eye' : 'hidden', shown ? 'Hide suggestions' : 'Show suggestions', {
      className: 'quiet',
      on: { click: () => this.command('hide') },
    });
    hide.title += ` (${shownCommand('hide')})`;
    const guess = this.image?.suggestion;
    const one = guess ? classOf(guess.class) : null;
    const none = !shown
      ? 'Suggestions are hidden'
      : state.round === 0 && !foreign()
        ? 'No suggestions before the first training'
        : 'No suggestion for this image';
    if (!shown || !one) {
      put(this.suggestion, h('p', { className: 'hint grow' }, none), hide);
      return;
    }
    put(
      this.suggestion,
      h(
        'button',
        {
          type: 'button',
          className: 'accept',
          'aria-keyshortcuts': spoken(shownCommand('accept')),
          on: { click: () => this.command('accept') },
        },
        h('span', { className: 'small', title: foreign() }, foreign() ? `Suggestion of ${foreign()}` : 'Suggestion'),
        h('span', { className: 'guess' }, swatch(one.colour), h('b', {}, one.name)),
        // A file may name the class alone.
        this.image.top.length > 0
          ? h('span', { className: 'sure', title: 'How sure the model is' }, percent(guess.confidence))
          : h('span'),
        kbd(shownCommand('accept')),
      ),
      hide,
    );
  }

  showWhy() {
    const reasons = this.image?.why ?? [];
    this.why.hidden = reasons.length === 0;
    put(
      this.reasons,
      reasons.map(({ kind, text, strength, classes }) =>
        h(
          'li',
          {},
          h(
            'span',
            { className: 'strength', 'aria-hidden': 'true' },
            h('i', { vars: { '--p': String(strength ?? 0) } }),
          ),
          // A text that names the class the model has in mind is hidden with the suggestion.
          h(
            'span',
            {},
            suggestionsShown() || !classes?.length
              ? sentence(text, classes?.map(className))
              : sentence(REASONS[kind] ?? kind),
          ),
        ),
      ),
    );
  }

  showCopies() {
    const { duplicates } = this.image;
    this.copies.hidden = !duplicates;
    if (!duplicates) return;
    const box = h('input', {
      type: 'checkbox',
      checked: prefs.duplicates,
      on: { change: () => setPref('duplicates', box.checked) },
    });
    put(
      this.copies,
      box,
      h('span', {}, `Also ${duplicates === 1 ? 'its one exact copy' : `its ${count(duplicates)} exact copies`}`),
    );
  }

  showUntil() {
    const { training, until } = state;
    let text = '';
    if (training.state === 'running')
      text = doing(training);
    else if (until > 0) text = `${plural(until, 'label')} until the next training. Images set aside to measure do not count.`;
    if (this.until.textContent !== text) this.until.textContent = text;
  }

  /** The last answers of a trail, newest first. */
  showRecent(trail, at) {
    const answered = trail
      .map((entry, place) => ({ entry, place }))
      .filter(({ entry }) => entry.answered)
      .slice(-8)
      .reverse();
    put(
      this.recent,
      answered.map(({ entry: { image }, place }) =>
        h(
          'li',
          {},
          h(
            'button',
            {
              type: 'button',
              className: place === at ? 'here' : '',
              'aria-label': `${stateText(image)}: back to ${fileName(image.path)}`,
              title: image.path,
              on: { click: () => this.back(place) },
            },
            h('img', { src: thumbAddress(image), alt: '', width: 44, height: 44, loading: 'lazy' }),
            h('span', {}, stateText(image)),
          ),
        ),
      ),
    );
  }
}
