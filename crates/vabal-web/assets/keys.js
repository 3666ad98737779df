// Which key does what: by its place on the keyboard (KeyboardEvent.code), shown as the reader's layout prints it, changeable.
// Never here: what a command does; that is the view's.

import { state, store } from './state.js';

// A binding is a place ("KeyD"), with Ctrl a letter ("Ctrl+z"), or a printed character ("char:?") where places differ
// between layouts. The order is the order of the help.
export const COMMANDS = [
  { id: 'accept', group: 'Answer', text: 'Accept the suggestion; in Review, keep the label', keys: ['Enter', 'NumpadEnter'] },
  { id: 'later', group: 'Answer', text: 'Later: ask me again at the end', keys: ['Space'] },
  { id: 'unsure', group: 'Answer', text: 'Unsure: I cannot tell', keys: ['KeyU'] },
  { id: 'discard', group: 'Answer', text: 'Discard: not fit for the data set', keys: ['KeyD'] },
  { id: 'undo', group: 'Answer', text: 'Undo my last answer', keys: ['Backspace', 'Ctrl+z'] },
  { id: 'find', group: 'Answer', text: 'Find a class by its name', keys: ['char:/', 'NumpadDivide'] },
  { id: 'change', group: 'Answer', text: 'Review: change to the suggestion', keys: ['Shift+Enter'] },
  { id: 'previous', group: 'Move', text: 'Previous image', keys: ['ArrowLeft'] },
  { id: 'next', group: 'Move', text: 'Next image', keys: ['ArrowRight'] },
  { id: 'grid', group: 'Move', text: 'Grid: many at once, and back', keys: ['KeyG'] },
  { id: 'alike', group: 'Move', text: 'More like this: the images that look most like it', keys: ['Shift+KeyM'] },
  { id: 'all', group: 'Move', text: 'Grid: select all', keys: ['Ctrl+a'] },
  { id: 'details', group: 'Move', text: 'History and details of the image', keys: ['Shift+KeyI'] },
  { id: 'flag', group: 'Answer', text: 'Flag the image, to be looked at again', keys: ['Shift+KeyF'] },
  { id: 'guide', group: 'Look', text: 'Descriptions and examples of the classes', keys: ['char:.'] },
  { id: 'zoomIn', group: 'Look', text: 'Larger', keys: ['char:+', 'char:='] },
  { id: 'zoomOut', group: 'Look', text: 'Smaller', keys: ['char:-'] },
  { id: 'fit', group: 'Look', text: 'Fit to the window (where no class has this key)', keys: ['char:0'] },
  { id: 'darker', group: 'Look', text: 'Darker', keys: ['char:['] },
  { id: 'brighter', group: 'Look', text: 'Brighter', keys: ['char:]'] },
  { id: 'lessContrast', group: 'Look', text: 'Less contrast', keys: ['char:{'] },
  { id: 'moreContrast', group: 'Look', text: 'More contrast', keys: ['char:}'] },
  { id: 'pixels', group: 'Look', text: 'Sharp or smooth pixels', keys: ['Shift+KeyP'] },
  { id: 'reset', group: 'Look', text: 'Reset size, brightness and contrast', keys: ['KeyR'] },
  { id: 'hide', group: 'Look', text: 'Show or hide suggestions', keys: ['KeyH'] },
  { id: 'help', group: 'Look', text: 'This help', keys: ['char:?', 'F1'] },
];

let own = {};
try {
  own = JSON.parse(store.get('vabal.keys') ?? '{}');
} catch {
  /* unreadable: the keys as delivered */
}

export const bindings = (id) => own[id] ?? COMMANDS.find((command) => command.id === id).keys;

/** Gives a command one key, takes that key from every other command; null puts the command's own keys back. */
export function rebind(id, binding) {
  if (binding === null) delete own[id];
  else {
    for (const command of COMMANDS) {
      const rest = bindings(command.id).filter((one) => one !== binding);
      if (rest.length !== bindings(command.id).length) own[command.id] = rest;
    }
    own[id] = [binding];
  }
  store.set('vabal.keys', JSON.stringify(own));
}
export function resetKeys() {
  own = {};
  store.remove('vabal.keys');
}

/** The command or class a key is taken by, in words; null when it is free. `except`: the class that asks. */
export function takenBy(binding, except = null) {
  for (const { one, code } of classKeys())
    if (code === binding && one.id !== except && one.key === code) return one.name;
  return COMMANDS.find((command) => bindings(command.id).includes(binding))?.text ?? null;
}

const DIGITS = [...'1234567890'].map((digit) => `Digit${digit}`);
const LETTERS = [...'QWERTYUIOPASDFGHJKLZXCVBNM'].map((letter) => `Key${letter}`);

/**
 * The key of each class that has one, in the order of the classes: its own, else the next free one of 1–9, 0 and the
 * letters no command uses. Past twenty classes only the first twenty get keys by themselves: the rest are found by name.
 */
export function classKeys() {
  const taken = new Set([
    ...COMMANDS.flatMap((command) => bindings(command.id)),
    ...state.classes.map((one) => one.key),
  ]);
  const free = [...DIGITS, ...LETTERS].filter((code) => !taken.has(code));
  return state.classes
    .map((one, place) => ({ one, code: one.key ?? (place < 20 ? (free.shift() ?? null) : null) }))
    .filter(({ code }) => code);
}

/** What a key press means: {class} or {command}, or null. */
export function meaning(event) {
  const { code, key } = event;
  const control = (event.ctrlKey || event.metaKey) && !event.getModifierState?.('AltGraph');
  if (control) {
    if (event.altKey) return null;
    return command(`Ctrl+${key.toLowerCase()}`);
  }
  if (!event.altKey && !event.getModifierState?.('AltGraph')) {
    const place = event.shiftKey ? `Shift+${code}` : code;
    // The number block counts as the digits above the letters.
    const digit = /^Numpad\d$/.test(code) && /^\d$/.test(key) ? `Digit${key}` : null;
    const all = classKeys();
    const found = all.find((one) => one.code === place) ?? all.find((one) => one.code === digit);
    if (found) return { class: found.one };
    const direct = command(place);
    if (direct) return direct;
  }
  return key.length === 1 ? command(`char:${key}`) : null;
}

function command(binding) {
  const found = COMMANDS.find(({ id }) => bindings(id).includes(binding));
  return found ? { command: found.id } : null;
}

/** The binding of a key press, as it is stored when a key is changed; null for a modifier alone. */
export function bindingOf(event) {
  if (['Shift', 'Control', 'Alt', 'Meta', 'AltGraph', 'CapsLock', 'Dead'].includes(event.key)) return null;
  if (event.ctrlKey || event.metaKey) return `Ctrl+${event.key.toLowerCase()}`;
  return event.shiftKey ? `Shift+${event.code}` : event.code;
}

let layout = null;
/** Asks the browser, where it can tell, what the keys of this keyboard print. */
export async function readLayout() {
  try {
    layout = (await navigator.keyboard?.getLayoutMap?.()) ?? null;
  } catch {
    layout = null;
  }
}

const NAMES = {
  Space: 'Space',
  Backspace: '⌫',
  ArrowLeft: '←',
  ArrowRight: '→',
  ArrowUp: '↑',
  ArrowDown: '↓',
  Enter: 'Enter',
  NumpadEnter: 'Enter',
  NumpadDivide: '/',
};
/** A binding as the reader knows it: "D", "Ctrl Z", "?". */
export function shown(binding) {
  if (!binding) return '';
  if (binding.startsWith('char:')) return { '-': '−' }[binding.slice(5)] ?? binding.slice(5);
  if (binding.startsWith('Ctrl+')) return `Ctrl ${binding.slice(5).toUpperCase()}`;
  if (binding.startsWith('Shift+')) return `Shift ${shown(binding.slice(6))}`;
  if (NAMES[binding]) return NAMES[binding];
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(binding);
  if (digit) return digit[1];
  return layout?.get(binding)?.toUpperCase() ?? binding.replace(/^Key/, '');
}
export const shownCommand = (id) => shown(bindings(id)[0]);
