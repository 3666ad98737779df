// Pictures made on the spot: grey surfaces with a faint defect, as PNG. Never here: the server.

import { crc32 as zlibCrc, deflateSync } from 'node:zlib';

// A generator that gives the same numbers for the same seed (mulberry32).
export function draws(seed) {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const crc =
  zlibCrc ??
  ((table) => (bytes) => {
    let c = -1;
    for (const byte of bytes) c = table[(c ^ byte) & 255] ^ (c >>> 8);
    return (c ^ -1) >>> 0;
  })(
    Array.from({ length: 256 }, (_, n) => {
      let c = n;
      for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
      return c;
    }),
  );

function png(width, height, grey) {
  const chunk = (name, data) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    out.write(name, 4, 'latin1');
    data.copy(out, 8);
    out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 0, 0, 0, 0], 8);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y += 1) grey.copy(rows, y * (width + 1) + 1, y * width, (y + 1) * width);
  return Buffer.concat([
    Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]),
    chunk('IHDR', head),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** A picture of 8 × 8 pixels that is unlike that of every other number. */
export function speck(n) {
  const random = draws(n);
  const grey = Buffer.from(Array.from({ length: 64 }, () => random() * 256));
  grey.writeUInt32LE(n, 0);
  return png(8, 8, grey);
}

/** A grey surface with a faint defect of its class. */
export function draw(width, height, kind, seed) {
  const random = draws(seed);
  const grey = new Float32Array(width * height);
  const base = 110 + random() * 40;
  const slope = (random() - 0.5) * 30;
  for (let y = 0; y < height; y += 1) {
    const line = (random() - 0.5) * 8;
    for (let x = 0; x < width; x += 1) grey[y * width + x] = base + slope * (x / width) + line + (random() - 0.5) * 24;
  }
  const add = (x, y, by) => {
    const px = Math.round(x);
    const py = Math.round(y);
    if (px >= 0 && py >= 0 && px < width && py < height) grey[py * width + px] += by;
  };
  const blob = (cx, cy, r, by) => {
    for (let y = -r; y <= r; y += 1)
      for (let x = -r; x <= r; x += 1)
        if (x * x + y * y <= r * r) add(cx + x, cy + y, by * (1 - (x * x + y * y) / (r * r + 1)));
  };
  const size = Math.min(width, height);
  const streak = (length, angle, by, wide) => {
    const x = random() * width;
    const y = random() * height;
    for (let t = 0; t < length; t += 0.5) blob(x + Math.cos(angle) * t, y + Math.sin(angle) * t, wide, by);
  };
  const at = () => [random() * width, random() * height];
  if (kind === 0) for (let i = 0; i < 14; i += 1) streak(size * 0.4, random() * 0.6, -7, 1);
  else if (kind === 1)
    for (let i = 0; i < 3; i += 1) streak(size * 0.5, 1.5 + random() * 0.2, -14, Math.ceil(size / 40));
  else if (kind === 2) for (let i = 0; i < 5; i += 1) blob(...at(), Math.ceil(size / 6), 45);
  else if (kind === 3) for (let i = 0; i < 60; i += 1) blob(...at(), Math.ceil(size / 50), -50);
  else if (kind === 4) for (let i = 0; i < 25; i += 1) streak(size * 0.08, random() * 6, -12, 1);
  else if (kind === 5) for (let i = 0; i < 2; i += 1) streak(size, random() * 0.3 + 0.1, 22, 1);
  else if (kind === 6) for (let i = 0; i < 4; i += 1) blob(...at(), Math.ceil(size / 14), -60);
  else if (kind === 7) for (let i = 0; i < 40; i += 1) streak(size * 0.3, 0.02, 6, 1);
  else streak(size, 0, -30, Math.ceil(size / 30));
  return png(width, height, Buffer.from(grey.map((value) => Math.max(0, Math.min(255, value)))));
}
