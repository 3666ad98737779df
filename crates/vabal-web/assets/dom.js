// Small helpers around the DOM: elements, icons, dialogs, what is said aloud. Never here: what the page is about.

const SVG = 'http://www.w3.org/2000/svg';

/** Makes an element. `on` holds listeners, `vars` CSS variables; null, undefined and false leave an attribute out. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  fill(element, props);
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Makes an SVG element. */
export function s(tag, props = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(props)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

function fill(element, props) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'on') for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name === 'vars') for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name === 'value') element.value = value;
    else if (name === 'checked' || name === 'selected') element[name] = value;
    else element.setAttribute(name === 'className' ? 'class' : name, value === true ? '' : value);
  }
}

/** Puts these in the place of what an element holds. */
export function put(element, ...children) {
  element.replaceChildren(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
}

export function icon(name) {
  return s('svg', { class: 'icon', 'aria-hidden': 'true', focusable: 'false' }, s('use', { href: `#i-${name}` }));
}

/** A button with an icon and a text; `{label}` alone makes an icon button with that name. */
export function button(text, props = {}, ...before) {
  return h('button', { type: 'button', ...props }, ...before, text ? h('span', {}, text) : null);
}

export function iconButton(name, label, props = {}) {
  return h(
    'button',
    { type: 'button', 'aria-label': label, title: label, ...props, className: `only-icon ${props.className ?? ''}` },
    icon(name),
  );
}

/** The mark of a class: a coloured square that never stands without the name. */
export function swatch(colour) {
  return h('i', { className: 'swatch', 'aria-hidden': 'true', vars: { '--c': colour } });
}

let words = 0;
/** Says a text in the line at the foot, which is a live region. The same text twice is said twice. */
export function say(text, { bad = false } = {}) {
  const line = document.getElementById('said');
  words += 1;
  line.classList.toggle('bad', bad);
  put(line, h('span', {}, words % 2 === 0 ? text : `${text}\u200a`));
}

export const dialogIsOpen = () => document.querySelector('dialog[open]') !== null;

/**
 * Opens a modal dialog; the browser keeps the focus inside, and it returns to where it was.
 * `build(close)` gives the content. Resolves to what `close` was given, null when dismissed.
 */
export function dialog(title, build, { className = '', dismissable = true } = {}) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    let result = null;
    const close = (value = null) => {
      result = value;
      box.close();
    };
    const heading = h('h2', { id: 'dialog-title', tabindex: '-1' }, title);
    const box = h(
      'dialog',
      { className, 'aria-labelledby': 'dialog-title' },
      h(
        'div',
        { className: 'dialog-head' },
        heading,
        dismissable ? iconButton('close', 'Close', { className: 'quiet', on: { click: () => close() } }) : null,
      ),
    );
    box.append(...[build(close)].flat());
    box.addEventListener('cancel', (event) => {
      if (!dismissable) event.preventDefault();
    });
    box.addEventListener('click', (event) => {
      // A click on the backdrop has the dialog itself as its target and lies outside its box.
      const { left, right, top, bottom } = box.getBoundingClientRect();
      const inside = event.clientX >= left && event.clientX <= right && event.clientY >= top && event.clientY <= bottom;
      if (dismissable && event.target === box && !inside && event.clientX > 0) close();
    });
    box.addEventListener('close', () => {
      box.remove();
      if (before instanceof HTMLElement && before.isConnected && before !== document.body)
        before.focus({ preventScroll: true });
      resolve(result);
    });
    document.body.append(box);
    box.showModal();
    (box.querySelector('[autofocus]') ?? heading).focus();
  });
}

/** Asks whether to go on. */
export function confirm(title, text, yes, { danger = false } = {}) {
  return dialog(title, (close) => [
    h('p', {}, text),
    h(
      'div',
      { className: 'row end' },
      button('Cancel', { on: { click: () => close(false) } }),
      button(yes, { className: danger ? 'main bad' : 'main', autofocus: true, on: { click: () => close(true) } }),
    ),
  ]).then(Boolean);
}

const numbers = new Intl.NumberFormat('en');
export const count = (value) => numbers.format(value);
export const percent = (value, digits = 0) =>
  value === null || value === undefined ? '–' : `${(value * 100).toFixed(digits)} %`;
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/** Seconds in words: "40 s", "3 min", "1 h 20 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

const PHASES = {
  hash: 'Reading the images',
  embed: 'Computing features of the images',
  pca: 'Computing features of the images',
  head: 'Training',
  train: 'Training',
  features: 'Looking at the images',
  neighbours: 'Finding what looks alike',
  layout: 'Placing the images',
};

/** What the program does in the background, and for how long still. */
export function doing({ phase, seconds_left: left }) {
  const what = PHASES[phase] ?? (phase ? `Training: ${phase}` : 'Training');
  return left ? `${what}, about ${duration(left)} left` : what;
}

export const fileName = (path) => path.slice(path.lastIndexOf('/') + 1);

/** A point in time (ms since 1970) or an ISO text as the reader's clock says it. */
export function when(at) {
  if (at === null || at === undefined) return '–';
  return new Date(at).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' });
}

/** Calls `run` once, `wait` ms after the last call. */
export function later(run, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(run, wait, ...values);
  };
}
