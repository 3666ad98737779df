// The map: that it appears, what colours it, what a line around points chooses, and the same without seeing it.

import assert from 'node:assert/strict';
import { allowFailures, api, check, end, go, known, program, said, stateOf, visit, waitFor } from './browser.mjs';
import { truth } from './program.mjs';

const WHOLE = 65_535;

/** Sees to it that there can be a map: of a network that is trained from scratch there is none before its first training. */
async function trained(page) {
  if ((await api(page, '/api/map')).state !== 'impossible') return;
  const { classes } = await api(page, '/api/project');
  // Of every class: they lie one behind the other.
  const open = (await api(page, '/api/images?state=open&limit=1000')).images;
  const images = open.filter((_, i) => i % 15 === 0);
  await api(page, '/api/answers', {
    person: 'Mia',
    token: `map${Date.now()}`,
    answers: images.map(({ id, path }) => ({ image: id, act: 'label', class: classes[truth(path)].id })),
  });
  await waitFor('a training', async () => (await api(page, '/api/map')).state !== 'impossible', 120_000);
  await waitFor('its end', async () => (await api(page, '/api/pulse')).training.state !== 'running', 120_000);
}

/** Opens the map, and reads its points from the server: {ids, at, scale, …}. */
async function open(page) {
  await go(page, 'map');
  await waitFor('the map', async () => (await page.locator('.map-stage:not([hidden]) .map-canvas[data-view]').count()) > 0, 120_000);
  await page.waitForSelector('.map-legend li');
  const { map } = await api(page, '/api/map');
  return page.evaluate(async (tag) => {
    const buffer = await (await fetch(`./api/map/points?map=${tag}`)).arrayBuffer();
    const n = new DataView(buffer).getUint32(0, true);
    return { tag, ids: [...new Uint32Array(buffer, 4, n)], at: [...new Uint16Array(buffer, 4 + 4 * n, 2 * n)] };
  }, map);
}

/** Where a place of the map is on the screen, and back. */
async function sight(page) {
  const [x, y, scale] = (await page.locator('.map-canvas').getAttribute('data-view')).split(' ').map(Number);
  const box = await page.locator('.map-canvas').boundingBox();
  return {
    box,
    pixel: (u, v) => [box.x + box.width / 2 + (u - x) * scale, box.y + box.height / 2 + (v - y) * scale],
    unit: (px, py) => [x + (px - box.x - box.width / 2) / scale, y + (py - box.y - box.height / 2) / scale],
  };
}

/** How many pixels of the map are no ground. */
const inked = (page) =>
  page.evaluate(
    () =>
      new Promise((resolve) => {
        const canvas = document.querySelector('.map-canvas');
        canvas.dispatchEvent(new WheelEvent('wheel', { deltaY: 0, bubbles: true, cancelable: true }));
        requestAnimationFrame(() => {
          const copy = document.createElement('canvas');
          [copy.width, copy.height] = [canvas.width, canvas.height];
          const context = copy.getContext('2d');
          context.drawImage(canvas, 0, 0);
          const { data } = context.getImageData(0, 0, copy.width, copy.height);
          let n = 0;
          for (let i = 0; i < data.length; i += 4)
            if (data[i] !== data[0] || data[i + 1] !== data[1] || data[i + 2] !== data[2]) n += 1;
          resolve(n);
        });
      }),
  );

const leftOut = known ? null : 'the server may have no features';

await check(
  'map: it appears, its colours switch, and it moves and grows by keys, wheel and buttons',
  async () => {
    const page = await visit();
    await trained(page);
    const { ids } = await open(page);
    assert.equal(ids.length, (await api(page, '/api/project')).counts.images);
    assert.ok((await inked(page)) > ids.length, 'nothing is drawn');
    const legend = () => page.locator('.map-legend').innerText();
    const labels = await legend();
    await page.click('.map-side >> text=Suggestion');
    await waitFor('other colours', async () => (await legend()) !== labels);
    assert.match(await legend(), /no suggestion, or held out/);
    await page.click('.map-side >> text=Doubt');
    await waitFor('doubt', async () => /80 to 100 %/.test(await legend()));
    await page.click('.map-side >> text="Label"');
    const look = () => page.locator('.map-canvas').getAttribute('data-view');
    const first = await look();
    const scale = async () => Number((await look()).split(' ')[2]);
    await page.locator('.map-canvas').focus();
    await page.keyboard.press('+');
    assert.ok((await scale()) > Number(first.split(' ')[2]));
    const enlarged = await look();
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await look(), enlarged);
    await page.keyboard.press('0');
    assert.equal(await look(), first);
    const { box } = await sight(page);
    await page.mouse.move(box.x + box.width / 3, box.y + box.height / 3);
    await page.mouse.wheel(0, -200);
    await waitFor('the wheel enlarges', async () => (await scale()) > Number(first.split(' ')[2]));
    await page.click('[aria-label="Show all"]');
    assert.equal(await look(), first);
    await end(page);
  },
  { leftOut },
);

await check(
  'map: a line around points opens these images in Browse, as a part of the filter that can be taken away',
  async () => {
    const page = await visit();
    await trained(page);
    const { ids, at } = await open(page);
    const { box, unit } = await sight(page);
    await page.click('.map-tools >> text=Choose');
    // A star, so that what is in its bays is left out.
    const corners = Array.from({ length: 10 }, (_, i) => {
      const reach = (i % 2 === 0 ? 0.42 : 0.2) * Math.min(box.width, box.height);
      const angle = (i * Math.PI) / 5;
      return [Math.round(box.x + box.width / 2 + reach * Math.cos(angle)), Math.round(box.y + box.height / 2 + reach * Math.sin(angle))];
    });
    await page.mouse.move(...corners[0]);
    await page.mouse.down();
    for (const corner of [...corners.slice(1), corners[0]]) await page.mouse.move(...corner, { steps: 4 });
    await page.mouse.up();
    const line = corners.map((corner) => unit(...corner));
    const within = (x, y) => {
      let inside = false;
      for (let a = 0, b = line.length - 1; a < line.length; b = a, a += 1)
        if (line[a][1] > y !== line[b][1] > y && x < ((line[b][0] - line[a][0]) * (y - line[a][1])) / (line[b][1] - line[a][1]) + line[a][0])
          inside = !inside;
      return inside;
    };
    // What lies on the line itself, to a pixel, may be on either side.
    const pixel = Math.abs(unit(corners[0][0] + 1, corners[0][1])[0] - line[0][0]);
    const offLine = (x, y) =>
      line.every(([ax, ay], a) => {
        const [bx, by] = line[(a + 1) % line.length];
        const along = Math.max(0, Math.min(1, ((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2)));
        return Math.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)) > 1.5 * pixel;
      });
    const places = new Map([...ids].map((id, i) => [id, [at[2 * i] / WHOLE, at[2 * i + 1] / WHOLE]]));
    const clear = ([, place]) => offLine(...place);
    const expected = [...places].filter((one) => clear(one) && within(...one[1])).map(([id]) => id);
    assert.ok(expected.length > 3 && expected.length < ids.length, `${expected.length} of ${ids.length}`);
    const found = () => page.locator('.map-chosen p').innerText();
    await waitFor('the line is closed', async () => / chosen$/.test(await found()));
    const chosen = Number.parseInt(await found(), 10);
    await page.click('text=Open in Browse');
    await page.waitForSelector('.tile');
    assert.match(await page.locator('.view.browse .pill:visible').innerText(), new RegExp(`^${chosen} from the map`));
    assert.match(await page.locator('.found').innerText(), new RegExp(`^${chosen} images`));
    const name = /among=(\d+)/.exec(page.url())[1];
    const { images } = await api(page, `/api/images?among=${name}&limit=1000`);
    assert.equal(images.length, chosen);
    const sure = images.map(({ id }) => id).filter((id) => clear([id, places.get(id)]));
    assert.deepEqual(sure, expected.sort((a, b) => a - b));
    // With another filter, and all of them labelled at once.
    const before = (await api(page, `/api/images?among=${name}&state=open`)).total;
    await page.selectOption('select[name=state]', 'open');
    await waitFor('open ones alone', async () => (await page.locator('.found').innerText()).startsWith(`${before} image`));
    await page.locator('#grid').focus();
    await page.keyboard.press('Control+a');
    await page.keyboard.press('u');
    await waitFor('all are marked', async () => /marked as unsure/.test(await said(page)));
    await page.keyboard.press('Backspace');
    await waitFor('and open again', async () => /before|open again/.test(await said(page)));
    await page.click('.view.browse .pill:visible');
    await waitFor('the filter alone', async () => !page.url().includes('among'));
    assert.equal(await page.locator('.view.browse .pill:visible').count(), 0);
    await end(page);
  },
  { leftOut },
);

await check(
  'map: without a mouse its regions are a table, and each opens in Browse',
  async () => {
    const page = await visit();
    await trained(page);
    const { ids } = await open(page);
    const rows = page.locator('.regions tbody tr');
    const sizes = (await rows.locator('td:nth-child(2)').allInnerTexts()).map((text) => Number(text.replace(',', '')));
    assert.equal(sizes.reduce((sum, n) => sum + n, 0), ids.length, 'the regions are not all of it');
    assert.match(await rows.first().innerText(), /labelled|no label/);
    await page.locator('.map-canvas').focus();
    for (let i = 0; i < 40; i += 1) {
      await page.keyboard.press('Tab');
      if (await page.evaluate(() => /^Region 1: browse/.test(document.activeElement.getAttribute('aria-label') ?? ''))) break;
    }
    await page.keyboard.press('Enter');
    await page.waitForSelector('.tile');
    assert.match(await page.locator('.found').innerText(), new RegExp(`^${sizes[0]} image`));
    await end(page);
  },
  { leftOut },
);

await check(
  'map: a point says what it is and opens; answers of others colour it, and nothing else is read again',
  async () => {
    const page = await visit();
    await trained(page);
    const { ids, at } = await open(page);
    const asked = [];
    page.on('request', (request) => asked.push(request.url()));
    const {
      images: [image],
    } = await api(page, '/api/images?state=open&limit=1');
    const { classes } = await api(page, '/api/project');
    const count = async () => {
      const text = await page.locator('.map-legend li', { hasText: classes[0].name }).innerText();
      return Number(/(\d+)\s*$/.exec(text)[1]);
    };
    const before = await count();
    await api(page, '/api/answers', {
      person: 'Otto',
      token: `o${Date.now()}`,
      answers: [{ image: image.id, act: 'label', class: classes[0].id }],
    });
    await waitFor('one more', async () => (await count()) === before + 1, 12_000);
    assert.ok(!asked.some((url) => /map\/(points|colours)/.test(url)), 'all was read again');
    const i = ids.indexOf(image.id);
    const { pixel } = await sight(page);
    const place = pixel(at[2 * i] / WHOLE, at[2 * i + 1] / WHOLE);
    await page.mouse.move(place[0] + 1, place[1] + 1);
    await page.waitForSelector('.map-card:not([hidden]) img');
    const name = await page.locator('.map-card .class-name').first().innerText();
    await page.mouse.click(...place);
    await page.waitForSelector('dialog[open] .details-grid');
    assert.match(await page.locator('dialog[open]').innerText(), new RegExp(name.replaceAll('.', '\\.')));
    await page.keyboard.press('Escape');
    await api(page, '/api/undo', { person: 'Otto' });
    assert.equal((await stateOf(page, image.id)).state, 'open');
    await waitFor('one less', async () => (await count()) === before, 12_000);
    await end(page);
  },
  { leftOut },
);

await check(
  'map: with WebGL, which has its own way to draw, it is drawn too',
  async () => {
    const page = await visit();
    await trained(page);
    await page.addInitScript(() => {
      // Here the processor does it, which the page does not want.
      const plain = WebGLRenderingContext.prototype.getParameter;
      WebGLRenderingContext.prototype.getParameter = function (name) {
        return name === 0x9246 ? 'a card' : plain.call(this, name);
      };
    });
    await page.reload();
    const { ids } = await open(page);
    assert.ok((await inked(page)) > ids.length, 'nothing is drawn');
    await end(page);
  },
  { leftOut },
);

if (program)
  await check('map: a selection that is no longer kept says so', async () => {
    const page = await visit();
    allowFailures();
    await go(page, 'browse?among=987654');
    await waitFor('why', async () => /no longer kept/.test(await page.locator('.grid-box').innerText()));
    await end(page);
  });
