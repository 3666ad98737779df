// Several tabs of one browser over one project: no image is asked in two of them, and each hears what the others save. Never
// here: several browsers; the server shares out the images between persons.

import { emit, on, state, store } from './state.js';

const mine = Math.random().toString(36).slice(2);
// A tab that says nothing for so long is closed, in milliseconds; a hidden one says something once a minute.
const GONE = 150_000;
const prefix = () => `vabal.held.${state.project.id}.`;
let channel = null;
let held = [];

/** Begins to speak with the other tabs, once the project is known. */
export function meetTabs() {
  try {
    channel = new BroadcastChannel(`vabal.${state.project.id}`);
    channel.addEventListener('message', ({ data }) => emit('images', data));
  } catch {
    /* an old browser: the pulse tells, later */
  }
  on('pulse', () => hold(held));
  window.addEventListener('pagehide', () => store.remove(prefix() + mine));
}

/** Tells the other tabs what has become of images. */
export const tell = (images) => channel?.postMessage(images.map(({ id, state: now, class: one }) => ({ id, state: now, class: one })));

/** Says which images are asked in this tab. */
export function hold(ids) {
  held = ids;
  store.set(prefix() + mine, JSON.stringify({ at: Date.now(), person: state.person, ids }));
}

/** The images that the person's other tabs ask. */
export function elsewhere() {
  const found = [];
  for (const key of store.keys(prefix())) {
    if (key === prefix() + mine) continue;
    try {
      const { at, person, ids } = JSON.parse(store.get(key));
      if (Date.now() - at > GONE) store.remove(key);
      else if (person === state.person) found.push(...ids);
    } catch {
      store.remove(key);
    }
  }
  return found;
}

/** Runs what takes images while no other tab does so too. */
export const alone = (run) =>
  navigator.locks ? navigator.locks.request(`vabal.next.${state.project.id}`, run) : run();
