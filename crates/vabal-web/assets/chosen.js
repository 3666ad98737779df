// Images that were chosen together: the server keeps them under a short name, which fits into an address. Never here: who chooses, what
// becomes of them.

import { post } from './api.js';

const counts = new Map();

/** Opens images in Browse. */
export async function openInBrowse(images) {
  const { selection, images: n } = await post('/api/selections', { images });
  counts.set(selection, n);
  location.hash = `#browse?among=${selection}`;
}

/** How many images a selection of this visit has; null where that is not known. */
export const chosenCount = (name) => counts.get(name) ?? null;
