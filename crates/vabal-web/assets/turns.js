// Commands in the order they were given: one acts when what those before it began is done, so that keys pressed fast are
// queued, never dropped. Never here: what a command does.

import { plural, say } from './dom.js';
import { emit } from './state.js';

// Work that a command must wait for: saving for every command, showing only for those that need to see the image.
const saving = new Set();
const showing = new Set();
// Commands that wait: {run, sees}.
const queue = [];
// A picture that never comes does not hold up the keys for longer, in milliseconds.
const PATIENCE = 5000;
let moving = false;

/** How many commands wait. */
export const waiting = () => queue.length;
const mustWait = (sees) => saving.size > 0 || (sees && showing.size > 0);
/** Would a command have to wait? One that needs no image (`sees` false) waits for less. */
export const isBusy = (sees = true) => queue.length > 0 || mustWait(sees);

/** Runs a command at its turn: at once where nothing is under way. What it gives back then, true where it waits. */
export function inTurn(run, { sees = true } = {}) {
  if (!isBusy(sees)) return run();
  queue.push({ run, sees });
  emit('waiting');
  return true;
}

/** Later commands wait until this is done. */
export const hold = (work) => keep(saving, work);
/** Later commands that need to see the image wait until this is done, or for some seconds. */
export const holdAnswers = (work) =>
  keep(
    showing,
    Promise.race([
      work,
      new Promise((resolve) => {
        setTimeout(resolve, PATIENCE);
      }),
    ]),
  );

function keep(set, work) {
  set.add(work);
  const done = () => {
    set.delete(work);
    advance();
  };
  work.then(done, done);
  return work;
}

// A queued command acts on an image that has been before the eyes, if only for a frame; a hidden window paints none.
const painted = () =>
  new Promise((resolve) => {
    requestAnimationFrame(resolve);
    setTimeout(resolve, 50);
  });

async function advance() {
  if (moving) return;
  moving = true;
  try {
    while (queue.length > 0 && !mustWait(queue[0].sees)) {
      await painted();
      if (queue.length === 0 || mustWait(queue[0].sees)) continue;
      const { run } = queue.shift();
      emit('waiting');
      run();
    }
  } finally {
    moving = false;
  }
}

/** Says why a command is not carried out. Those that wait are left out: they were meant for what would have followed. */
export function refuse(text) {
  const left = queue.splice(0).length;
  if (left > 0) emit('waiting');
  say(left > 0 ? `${text} ${plural(left, 'key')} pressed after it did nothing.` : text, { bad: true });
}
