// One image as large as its place allows: size, place, brightness, contrast, sharp pixels. Never here: what it is labelled.

import { fileName, h, iconButton, percent, put } from './dom.js';
import { imageAddress, get } from './api.js';
import { prefs, setPref, on } from './state.js';
import { shownCommand } from './keys.js';

/** The line below an image: folder, name, size. */
export function caption(image) {
  return h(
    'span',
    {},
    h('span', { className: 'folder' }, image.path.slice(0, image.path.length - fileName(image.path).length)),
    h('span', { className: 'file' }, fileName(image.path)),
    h('span', { className: 'size' }, `${image.width} × ${image.height}`),
    image.missing ? h('span', { className: 'bad' }, 'file is gone') : null,
    image.flag ? h('span', { className: 'bad' }, 'flagged') : null,
    image.note ? h('span', { className: 'note' }, image.note) : null,
  );
}

// Decoded images by id, the newest last. 24 of them: what lies ahead, and what was just answered.
const decoded = new Map();
const KEPT = 24;

/** The decoded picture of an image; asked for early, it is there when the image is shown. Rejects when it cannot be shown. */
export function picture(image) {
  let entry = decoded.get(image.id);
  if (entry?.failed) entry = null;
  if (!entry) {
    const element = new Image();
    element.decoding = 'async';
    element.draggable = false;
    element.alt = `Image ${image.path}`;
    element.src = imageAddress(image);
    entry = { element, failed: false };
    entry.ready = element.decode().then(() => {
      entry.done = true;
      return element;
    });
    entry.ready.catch(() => {
      entry.failed = true;
    });
  }
  decoded.delete(image.id);
  decoded.set(image.id, entry);
  for (const key of decoded.keys()) {
    if (decoded.size <= KEPT) break;
    decoded.delete(key);
  }
  return entry;
}

// Two at a time: large images must not take up every connection an answer could go through.
let wanted = [];
let fetching = 0;
/** Decodes these images in turn; a later call takes the place of an earlier one. */
export function prefetch(images) {
  wanted = images.filter((image) => !decoded.get(image.id)?.done);
  pump();
}
function pump() {
  while (fetching < 2 && wanted.length > 0) {
    fetching += 1;
    picture(wanted.shift())
      .ready.catch(() => {})
      .finally(() => {
        fetching -= 1;
        pump();
      });
  }
}

// A small image is made larger up to here, so that its pixels do not become the picture.
const LARGEST_FIT = 8;

export class Viewer {
  constructor() {
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.fitted = true;
    // What is looked at, kept from image to image: the size against the fitted one, and the part of the image in the middle.
    this.look = { zoom: 1, x: 0.5, y: 0.5 };
    this.image = null;
    this.element = null;
    this.seen = false;
    this.pointers = new Map();
    this.frame = h('div', { className: 'frame' });
    this.level = h('span', { className: 'level' });
    this.adjusted = h('button', {
      type: 'button',
      className: 'pill',
      hidden: true,
      on: { click: () => this.command('reset') },
    });
    const tool = (name, label, id, extra = {}) => {
      const one = iconButton(name, label, { className: 'quiet', ...extra, on: { click: () => this.command(id) } });
      one.title = `${label} (${shownCommand(id)})`;
      return one;
    };
    this.pixelButton = tool('pixels', 'Sharp pixels', 'pixels', { 'aria-pressed': 'false' });
    const slider = (label, name) => {
      const input = h('input', {
        type: 'range',
        min: '0.2',
        max: '4',
        step: '0.1',
        'aria-label': label,
        on: {
          input: () => {
            setPref(name, Number(input.value));
          },
        },
      });
      return input;
    };
    this.brightness = slider('Brightness', 'brightness');
    this.contrast = slider('Contrast', 'contrast');
    this.adjust = h(
      'div',
      { className: 'adjust', hidden: true },
      h('label', {}, h('span', {}, 'Brightness'), this.brightness),
      h('label', {}, h('span', {}, 'Contrast'), this.contrast),
    );
    this.adjustButton = iconButton('adjust', 'Brightness and contrast', {
      className: 'quiet',
      'aria-expanded': 'false',
      on: {
        click: () => {
          this.adjust.hidden = !this.adjust.hidden;
          this.adjustButton.setAttribute('aria-expanded', String(!this.adjust.hidden));
        },
      },
    });
    this.tools = h(
      'div',
      { className: 'viewer-tools' },
      this.adjusted,
      tool('minus', 'Smaller', 'zoomOut'),
      this.level,
      tool('plus', 'Larger', 'zoomIn'),
      tool('fit', 'Fit to the window', 'fit'),
      this.adjustButton,
      this.pixelButton,
    );
    this.root = h(
      'div',
      { className: 'viewer' },
      this.frame,
      h('div', { className: 'viewer-bar' }, (this.caption = h('p', { className: 'caption' })), this.tools),
      this.adjust,
    );
    new ResizeObserver(() => this.layout()).observe(this.frame);
    this.listen();
    on('prefs', (name) => {
      if (['brightness', 'contrast', 'pixelated'].includes(name)) this.paint();
    });
    this.paint();
  }

  /** Puts another line below the image. */
  describe(image, caption) {
    if (this.image?.id === image.id) put(this.caption, caption);
  }

  /** Shows an image; what went wrong is said in its place. Resolves when it is on the page. */
  async show(image, caption = '') {
    this.image = image;
    this.seen = false;
    this.stale = true;
    put(this.caption, caption);
    const entry = picture(image);
    if (entry.done) {
      this.place(entry.element);
      return;
    }
    this.frame.setAttribute('aria-busy', 'true');
    // What was there stays until the next is decoded; only a slow image empties the frame.
    const slow = setTimeout(() => {
      if (this.image === image) this.clear(h('p', { className: 'note-in' }, 'Loading the image…'));
    }, 150);
    try {
      const element = await entry.ready;
      if (this.image === image) this.place(element);
    } catch {
      const why = await reason(image);
      if (this.image === image) this.clear(h('p', { className: 'note-in' }, why));
    } finally {
      clearTimeout(slow);
    }
  }

  clear(...content) {
    this.element = null;
    this.stale = false;
    put(this.frame, ...content);
    this.frame.removeAttribute('aria-busy');
    this.paint();
  }

  /** Is this image itself before the eyes, not the last one, nor a message? */
  shows(image) {
    return this.image === image && this.seen;
  }

  place(element) {
    this.element = element;
    this.seen = true;
    this.stale = false;
    put(this.frame, element);
    this.frame.removeAttribute('aria-busy');
    this.layout();
  }

  /** Remembers what is looked at. */
  keepLook() {
    const { clientWidth: w, clientHeight: t } = this.frame;
    const { naturalWidth, naturalHeight } = this.element;
    this.look = {
      zoom: this.scale / this.fitScale,
      x: (w / 2 - this.x) / (this.scale * naturalWidth),
      y: (t / 2 - this.y) / (this.scale * naturalHeight),
    };
  }

  get fitScale() {
    const { clientWidth: w, clientHeight: t } = this.frame;
    return Math.min(w / this.element.naturalWidth, t / this.element.naturalHeight, LARGEST_FIT) || 1;
  }

  layout() {
    if (!this.element) return;
    const { zoom, x, y } = this.fitted ? { zoom: 1, x: 0.5, y: 0.5 } : this.look;
    this.scale = this.fitScale * zoom;
    this.x = this.frame.clientWidth / 2 - x * this.scale * this.element.naturalWidth;
    this.y = this.frame.clientHeight / 2 - y * this.scale * this.element.naturalHeight;
    this.keepInside();
    this.paint();
  }

  /** An image smaller than its frame is centred; a larger one never leaves a gap. */
  keepInside() {
    for (const [axis, space, size] of [
      ['x', this.frame.clientWidth, this.element.naturalWidth],
      ['y', this.frame.clientHeight, this.element.naturalHeight],
    ]) {
      const length = size * this.scale;
      this[axis] = length <= space ? (space - length) / 2 : Math.min(0, Math.max(space - length, this[axis]));
    }
  }

  paint() {
    const { brightness, contrast } = prefs;
    const neutral = brightness === 1 && contrast === 1;
    this.brightness.value = String(brightness);
    this.contrast.value = String(contrast);
    this.adjusted.hidden = neutral;
    if (!neutral) put(this.adjusted, `Brightness ${percent(brightness)}, contrast ${percent(contrast)}: reset`);
    if (!this.element) {
      this.level.textContent = '';
      return;
    }
    const sharp = prefs.pixelated;
    this.pixelButton.setAttribute('aria-pressed', String(sharp));
    this.element.classList.toggle('sharp', sharp && this.scale > 1);
    const { style } = this.element;
    style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    style.filter = neutral ? '' : `brightness(${brightness}) contrast(${contrast})`;
    this.level.textContent = percent(this.scale);
  }

  /** Zooms by a factor around a point of the frame, its middle by default. */
  zoom(factor, px = this.frame.clientWidth / 2, py = this.frame.clientHeight / 2) {
    if (!this.element) return;
    const scale = Math.min(64, Math.max(Math.min(this.fitScale, 1) / 4, this.scale * factor));
    this.x = px - (px - this.x) * (scale / this.scale);
    this.y = py - (py - this.y) * (scale / this.scale);
    this.scale = scale;
    this.fitted = Math.abs(scale / this.fitScale - 1) < 0.01;
    this.keepInside();
    this.keepLook();
    this.paint();
  }

  /** Carries out a command of looking; false if it is none. */
  command(id) {
    const step = (name, by) => setPref(name, Math.min(4, Math.max(0.2, Math.round((prefs[name] + by) * 10) / 10)));
    switch (id) {
      case 'zoomIn':
        this.zoom(1.25);
        break;
      case 'zoomOut':
        this.zoom(0.8);
        break;
      case 'fit':
        this.fitted = true;
        this.layout();
        break;
      case 'darker':
        step('brightness', -0.1);
        break;
      case 'brighter':
        step('brightness', 0.1);
        break;
      case 'lessContrast':
        step('contrast', -0.1);
        break;
      case 'moreContrast':
        step('contrast', 0.1);
        break;
      case 'pixels':
        setPref('pixelated', this.pixelButton.getAttribute('aria-pressed') !== 'true');
        break;
      case 'reset':
        setPref('brightness', 1);
        setPref('contrast', 1);
        this.fitted = true;
        this.layout();
        break;
      default:
        return false;
    }
    return true;
  }

  listen() {
    const { frame, pointers } = this;
    const at = (event) => {
      const box = frame.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    frame.addEventListener(
      'wheel',
      (event) => {
        event.preventDefault();
        this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.0015)), ...at(event));
      },
      { passive: false },
    );
    frame.addEventListener('dblclick', (event) => {
      if (this.fitted) this.zoom((this.fitScale < 1 ? 1 : this.fitScale * 3) / this.scale, ...at(event));
      else this.command('fit');
    });
    frame.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      pointers.set(event.pointerId, at(event));
      frame.setPointerCapture(event.pointerId);
    });
    frame.addEventListener('pointermove', (event) => {
      if (!pointers.has(event.pointerId) || !this.element) return;
      const [x, y] = at(event);
      const [fromX, fromY] = pointers.get(event.pointerId);
      if (pointers.size === 2) {
        const [, other] = [...pointers].find(([id]) => id !== event.pointerId);
        const before = Math.hypot(fromX - other[0], fromY - other[1]);
        if (before > 0)
          this.zoom(Math.hypot(x - other[0], y - other[1]) / before, (x + other[0]) / 2, (y + other[1]) / 2);
      } else {
        this.x += x - fromX;
        this.y += y - fromY;
        this.keepInside();
        this.keepLook();
        this.paint();
      }
      pointers.set(event.pointerId, [x, y]);
    });
    const up = (event) => pointers.delete(event.pointerId);
    frame.addEventListener('pointerup', up);
    frame.addEventListener('pointercancel', up);
  }
}

// Asks the server once more, only to hear in words why an image cannot be shown.
async function reason(image) {
  const rest = ' You can discard it, or put it off.';
  try {
    const response = await fetch(imageAddress(image), { credentials: 'same-origin' });
    if (response.ok) return `${image.path} cannot be shown: the browser cannot read it.${rest}`;
    const { error } = await response.json();
    return `${image.path} cannot be shown: ${error.what}${error.hint ? `; ${error.hint}.` : `.${rest}`}`;
  } catch {
    try {
      await get('/api/pulse');
    } catch (error) {
      return `${image.path} cannot be shown. ${error.message}`;
    }
    return `${image.path} cannot be shown: its file cannot be read.${rest}`;
  }
}
