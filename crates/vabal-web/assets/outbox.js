// Answers and undos on their way: kept in the browser until the server has them on disk, resent with the same token, in the
// order in which they were given. Never here: views.

import { post, ApiError } from './api.js';
import { plural, say } from './dom.js';
import { emit, state, store, takeOver } from './state.js';
import { tell } from './tabs.js';

// One entry of storage a gesture, so that two windows never overwrite each other. The project's name is part of the key:
// another project on the same port must not receive them.
const prefix = () => `vabal.out.${state.project?.id ?? `${state.project?.name}|${state.project?.images}`}.`;
// Milliseconds after which a gesture counts as not saved.
const WAIT = 12_000;
let serial = 0;
const flying = new Set();
export const outbox = { error: null, refused: [] };
// The images of each saved gesture of this visit, so that an undo can show them before the server knows of it.
const saved = [];

export function token() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

const waiting = () => store.keys(prefix()).filter((key) => !flying.has(key));
function read(key) {
  try {
    return JSON.parse(store.get(key));
  } catch {
    return null;
  }
}
function put(body) {
  serial += 1;
  const key = `${prefix()}${String(Date.now()).padStart(14, '0')}.${String(serial).padStart(5, '0')}.${Math.random().toString(36).slice(2, 8)}`;
  store.set(key, JSON.stringify(body));
  return key;
}
const imagesOf = (body) => body.answers.map((answer) => answer.image);

/** How many answers and undos are not on disk yet, not counting those on their way. */
export function unsent() {
  const all = waiting().map(read).filter(Boolean);
  const undos = all.filter((body) => body.undo).length;
  return { answers: all.reduce((sum, body) => sum + (body.answers?.length ?? 0), 0), undos, all: all.length };
}
/** The gestures of this person that wait and were not taken back again, oldest first. */
function gestures() {
  const stack = [];
  for (const key of waiting()) {
    const body = read(key);
    if (body?.person !== state.person) continue;
    if (body.undo) stack.pop();
    else stack.push({ key, body });
  }
  return stack;
}
export const unsentFor = (id) => gestures().some(({ body }) => imagesOf(body).includes(id));

function settle(error) {
  outbox.error = error;
  emit('trouble');
}

/** Sends an entry. Where no answer came nobody knows whether the server has it: `tried` stays with it. */
async function send(key, body) {
  const before = body.tried === true;
  store.set(key, JSON.stringify({ ...body, tried: true }));
  const { person, token: name } = body;
  const { tried, ...answers } = body;
  try {
    const result = body.undo
      ? await post('/api/undo', { person, token: name }, { wait: WAIT })
      : await post('/api/answers', answers, { wait: WAIT });
    tell(result.images);
    if (body.undo) return result;
    saved.push(imagesOf(body));
    if (saved.length > 200) saved.shift();
    return result;
  } catch (error) {
    if (error instanceof ApiError && error.passing && error.status !== 0 && !before)
      store.set(key, JSON.stringify(body));
    throw error;
  }
}

/** Sends an entry now. Resolves to {done: result}, {kept: error} where it waits, {refused: error} where the server will never take it. */
async function attempt(key, body) {
  flying.add(key);
  try {
    const done = await send(key, body);
    store.remove(key);
    takeOver(done);
    if (outbox.error) settle(null);
    return { done };
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.passing) {
      settle(error);
      return { kept: error };
    }
    store.remove(key);
    return { refused: error };
  } finally {
    flying.delete(key);
    emit('trouble');
  }
}

/**
 * Saves answers. Resolves to {saved: result} when they are on disk, {kept: error} when they will be sent again,
 * {refused: error} when the server will never take them.
 */
export async function submit(answers, { source = 'page', duplicates = false } = {}) {
  const body = { person: state.person, token: token(), answers, source };
  if (duplicates) body.duplicates = true;
  const older = waiting().length > 0;
  const key = put(body);
  // While the server is in trouble nobody waits for it at every key: the pulse sends what is kept.
  if (older && (outbox.error || !(await flush(key)))) {
    emit('trouble');
    return { kept: outbox.error };
  }
  const { done, ...rest } = await attempt(key, body);
  return done ? { saved: done } : rest;
}

let flushing = null;
/** Sends what waits, oldest first, up to but not including `before`. True when nothing older waits any more. */
export function flush(before = '\uffff') {
  flushing ??= (async () => {
    const sent = { answers: 0, undos: 0 };
    for (const key of waiting().filter((one) => one < before)) {
      const body = read(key);
      if (body) {
        try {
          const result = await send(key, body);
          takeOver(result);
          emit('images', result.images);
          if (body.undo) {
            sent.undos += 1;
            if (body.of) saved.pop();
            // Nobody has seen yet what was taken back.
            if (body.images.length === 0) emit('undone', result.images);
          } else sent.answers += body.answers.length;
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          if (error.passing) {
            settle(error);
            return false;
          }
          if (!body.undo) outbox.refused.push({ body, error });
        }
      }
      store.remove(key);
    }
    settle(null);
    const text = counted(sent);
    if (text) say(`${text} saved that had waited`);
    return true;
  })().finally(() => {
    flushing = null;
  });
  return flushing;
}

/** "3 answers and 1 undo"; nothing for none. */
export const counted = ({ answers, undos }) =>
  [answers > 0 ? plural(answers, 'answer') : null, undos > 0 ? plural(undos, 'undo') : null]
    .filter(Boolean)
    .join(' and ');

/**
 * Takes back the person's last gesture, also while the server is away: then the undo is sent after it. Resolves to {undone: result}
 * when the server has done it, else to {kept, images}: whether an undo waits, and the ids of the images as far as they are known.
 */
export async function takeBack() {
  if (waiting().length > 0 && !outbox.error) await flush();
  const last = gestures().at(-1);
  if (last && !last.body.tried) {
    // The server has never seen it.
    store.remove(last.key);
    emit('trouble');
    return { kept: false, images: imagesOf(last.body) };
  }
  const older = waiting().length > 0;
  const images = last ? imagesOf(last.body) : (saved.pop() ?? []);
  const body = { person: state.person, token: token(), undo: true, images };
  if (last) body.of = last.key;
  const key = put(body);
  if (older) {
    emit('trouble');
    return { kept: true, images };
  }
  const { done, refused } = await attempt(key, body);
  if (refused) throw refused;
  return done ? { undone: done } : { kept: true, images };
}
