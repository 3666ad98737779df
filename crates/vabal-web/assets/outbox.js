// Answers on their way: kept in the browser until the server has them on disk, resent with the same token. Never here: views.

import { post, ApiError } from './api.js';
import { plural, say } from './dom.js';
import { emit, state, store, takeOver } from './state.js';

// One entry of storage an answer, so that two windows never overwrite each other. The project's name is part of the key:
// another project on the same port must not receive them.
const prefix = () => `vabal.out.${state.project?.id ?? `${state.project?.name}|${state.project?.images}`}.`;
// Milliseconds after which an answer counts as not saved.
const WAIT = 12_000;
let serial = 0;
const flying = new Set();
export const outbox = { error: null, refused: [] };

export function token() {
  if (crypto.randomUUID) return crypto.randomUUID();
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

const waiting = () => store.keys(prefix()).filter((key) => !flying.has(key));
/** How many answers are not on disk yet, not counting those on their way. */
export const unsent = () => waiting().reduce((sum, key) => sum + (read(key)?.answers.length ?? 0), 0);
export const unsentFor = (id) => waiting().some((key) => read(key)?.answers.some((answer) => answer.image === id));

function read(key) {
  try {
    return JSON.parse(store.get(key));
  } catch {
    return null;
  }
}

/**
 * Saves answers. Resolves to {saved: result} when they are on disk, {kept: error} when they will be sent again,
 * {refused: error} when the server will never take them.
 */
export async function submit(answers, { source = 'page', duplicates = false } = {}) {
  serial += 1;
  const key = `${prefix()}${String(Date.now()).padStart(14, '0')}.${String(serial).padStart(5, '0')}.${Math.random().toString(36).slice(2, 8)}`;
  const body = { person: state.person, token: token(), answers, source };
  if (duplicates) body.duplicates = true;
  const older = waiting().length > 0;
  store.set(key, JSON.stringify(body));
  // While the server is in trouble nobody waits for it at every key: the pulse sends what is kept.
  if (older && (outbox.error || !(await flush(key)))) {
    emit('trouble');
    return { kept: outbox.error };
  }
  flying.add(key);
  try {
    const result = await post('/api/answers', body, { wait: WAIT });
    store.remove(key);
    takeOver(result);
    if (outbox.error) settle(null);
    return { saved: result };
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

function settle(error) {
  outbox.error = error;
  emit('trouble');
}

let flushing = null;
/** Sends what waits, oldest first, up to but not including `before`. True when nothing older waits any more. */
export function flush(before = '\uffff') {
  flushing ??= (async () => {
    let sent = 0;
    for (const key of waiting().filter((one) => one < before)) {
      const body = read(key);
      if (body) {
        try {
          const result = await post('/api/answers', body, { wait: WAIT });
          takeOver(result);
          emit('images', result.images);
          sent += body.answers.length;
        } catch (error) {
          if (!(error instanceof ApiError)) throw error;
          if (error.passing) {
            settle(error);
            return false;
          }
          outbox.refused.push({ body, error });
        }
      }
      store.remove(key);
    }
    settle(null);
    if (sent > 0) say(`${plural(sent, 'answer')} saved that had waited`);
    return true;
  })().finally(() => {
    flushing = null;
  });
  return flushing;
}

/**
 * Takes back the newest answer that waits, if the server surely does not have it.
 * Gives the images it was for, 'unknown' when nobody knows whether it was saved, null when nothing waits.
 */
export function takeBack() {
  const key = waiting().at(-1);
  if (!key) return null;
  if (!outbox.error || outbox.error.status === 0) return 'unknown';
  const body = read(key);
  store.remove(key);
  emit('trouble');
  return body?.answers.map((answer) => answer.image) ?? null;
}
