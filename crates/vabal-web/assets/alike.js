// From any image to those that look most like it, in Browse. Never here: how alike is measured; the server does it.

import { h, icon, iconButton, say } from './dom.js';
import { state } from './state.js';
import { kbd, spoken } from './pick.js';
import { shownCommand } from './keys.js';

/** Why images cannot be compared in this project; null where they can. */
export const obstacle = () =>
  state.settings?.backbone === 'none'
    ? 'Images are compared by the features of a pretrained network, and this project trains one from scratch: backbone is none.'
    : null;

/** Opens Browse with the images that look most like this one. */
export function alike(image) {
  const why = obstacle();
  if (why) say(why, { bad: true });
  else location.hash = `browse?like=${image.id}`;
}

/** A button for it; `run` is called. */
export function alikeButton(run, { small = false } = {}) {
  const why = obstacle();
  const key = shownCommand('alike');
  const props = {
    title: why ?? `The images that look most like it (${key})`,
    'aria-disabled': why ? 'true' : null,
    'aria-keyshortcuts': spoken(key),
    on: { click: run },
  };
  return small
    ? iconButton('alike', 'More like this', props)
    : h('button', { type: 'button', ...props }, icon('alike'), h('span', {}, 'More like this'), kbd(key));
}
