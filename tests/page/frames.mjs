// How many frames a second the map of the page draws while it is moved and enlarged, with points that are made up. No check.
//
//   node frames.mjs ADDRESS [POINTS]     against what `vabal label` prints; 100,000 points if not said
//   WEBGL=1 (also where the processor does it)  CHROMIUM=/usr/bin/chromium

import { chromium } from 'playwright-core';

const [address, points = '100000'] = process.argv.slice(2);
if (!address) {
  console.error('usage: node frames.mjs ADDRESS [POINTS]');
  process.exit(2);
}
const n = Number(points);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--enable-unsafe-swiftshader'],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
await page.addInitScript(() => localStorage.setItem('vabal.person', 'Ada'));
if (process.env.WEBGL)
  await page.addInitScript(() => {
    const plain = WebGLRenderingContext.prototype.getParameter;
    WebGLRenderingContext.prototype.getParameter = function (name) {
      return name === 0x9246 ? 'a card' : plain.call(this, name);
    };
  });

// Twenty clouds, a twentieth of the points labelled.
let seed = 1;
const random = () => {
  seed = (seed * 16_807) % 2_147_483_647;
  return seed / 2_147_483_647;
};
const clouds = Array.from({ length: 20 }, () => [0.1 + 0.8 * random(), 0.1 + 0.8 * random()]);
const places = Buffer.alloc(4 + 8 * n);
const colours = Buffer.alloc(12 + 6 * n, 255);
places.writeUInt32LE(n, 0);
colours.writeBigInt64LE(0n, 0);
colours.writeUInt32LE(n, 8);
for (let i = 0; i < n; i += 1) {
  const [x, y] = clouds[i % 20];
  const near = () => (random() + random() + random() - 1.5) * 0.12;
  const whole = (value) => Math.max(0, Math.min(65_535, Math.round(value * 65_535)));
  places.writeUInt32LE(i + 1, 4 + 4 * i);
  places.writeUInt16LE(whole(x + near()), 4 + 4 * n + 4 * i);
  places.writeUInt16LE(whole(y + near()), 4 + 4 * n + 4 * i + 2);
  const labelled = i % 20 === 7;
  if (labelled) colours.writeUInt16LE(i % 3, 12 + 2 * i);
  colours.writeUInt16LE(i % 3, 12 + 2 * n + 2 * i);
  colours[12 + 4 * n + i] = labelled ? 1 : 0;
  colours[12 + 5 * n + i] = i % 255;
}
const fulfil = (body, contentType = 'application/octet-stream') => (route) => route.fulfill({ body, contentType });
await page.route('**/api/map', fulfil(JSON.stringify({ state: 'ready', map: 'made-up', images: n }), 'application/json'));
await page.route('**/api/map/points*', fulfil(places));
await page.route('**/api/map/colours*', fulfil(colours));

if (process.env.ASSETS)
  await page.route(/\/assets\/\w+\.(js|css)$/, (route) =>
    route.fulfill({ path: `${process.env.ASSETS}/${new URL(route.request().url()).pathname.split('/').pop()}` }),
  );
await page.goto(address);
await page.waitForSelector('.views a');
const begun = Date.now();
await page.click('.views a[data-view=map]');
await page.waitForSelector('.map-legend li');
console.log(`${n} points shown after ${Date.now() - begun} ms, ${process.env.WEBGL ? 'by WebGL' : 'by WebGL where there is a graphics card, else into a bitmap'}`);

const frames = (move) =>
  page.evaluate(
    ([way]) =>
      new Promise((resolve) => {
        const canvas = document.querySelector('.map-canvas');
        const { left, top, width, height } = canvas.getBoundingClientRect();
        const place = (i) => ({ clientX: left + width / 2 + 80 * Math.sin(i / 9), clientY: top + height / 2 + 60 * Math.cos(i / 7) });
        const send = (type, more) =>
          canvas.dispatchEvent(new PointerEvent(type, { pointerId: 1, button: 0, bubbles: true, cancelable: true, ...more }));
        canvas.setPointerCapture = () => {};
        let i = 0;
        const times = [];
        let last = performance.now();
        if (way === 'pan') send('pointerdown', place(0));
        const step = () => {
          const now = performance.now();
          times.push(now - last);
          last = now;
          i += 1;
          if (i > 150) {
            send('pointerup', place(0));
            times.splice(0, 5);
            times.sort((a, b) => a - b);
            resolve({ mean: times.reduce((sum, one) => sum + one, 0) / times.length, late: times[Math.floor(times.length * 0.95)] });
            return;
          }
          if (way === 'pan') send('pointermove', place(i));
          else
            canvas.dispatchEvent(
              new WheelEvent('wheel', { deltaY: i % 60 < 30 ? -40 : 40, bubbles: true, cancelable: true, ...place(0) }),
            );
          requestAnimationFrame(step);
        };
        requestAnimationFrame(step);
      }),
    [move],
  );
for (const move of ['pan', 'zoom']) {
  const { mean, late } = await frames(move);
  console.log(`${move}: ${(1000 / mean).toFixed(0)} frames a second, 95 % within ${late.toFixed(0)} ms`);
}
await browser.close();
