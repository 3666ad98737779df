// Uses the labelling page in a real browser as a person does, by keys above all, and checks what came of it on the server.
//
//   npm ci && node label.mjs [ADDRESS]      ADDRESS: what `vabal label` prints, token included; without one, a server in memory
//   CHROMIUM=/usr/bin/chromium  SHOTS=FOLDER (screenshots of every view)  ONLY=part of the names of checks
//
// Needs a project with two classes and sixty open images or more; it adds classes and answers. Never here: the rules of the
// store, the statistics; they are tested where they are made.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { start } from './mock.mjs';

const executablePath = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path && existsSync(path));
if (!executablePath) {
  console.error('usage: node label.mjs [ADDRESS]\n  hint: needs Chromium (apt-get install chromium), or CHROMIUM=path');
  process.exit(2);
}
const mock = process.argv[2] ? null : await start();
const address = process.argv[2] ?? mock.url;
const origin = new URL(address).origin;
const axe = createRequire(import.meta.url).resolve('axe-core');
const shots = process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
const faults = [];
let checks = 0;
// Failures asked for by a check; what the browser says of them is no fault.
let expected = false;

/** A browser of its own, signed in. `person` null: the name is asked for. */
async function visit({ person = 'Ada', width = 1280, height = 800, theme = 'light', signIn = true } = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    acceptDownloads: true,
    hasTouch: width < 600,
    reducedMotion: 'reduce',
  });
  if (person)
    await context.addInitScript((name) => {
      if (!localStorage.getItem('vabal.person')) localStorage.setItem('vabal.person', name);
    }, person);
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  page.on('pageerror', (error) => faults.push(`script error: ${error.stack}`));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || expected) return;
    // An image whose file is gone is part of a project's life.
    if (/Failed to load resource/.test(message.text()) && /\/(image|thumb)\//.test(message.location().url)) return;
    faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== origin)
      faults.push(`asks for ${request.url()}`);
  });
  if (signIn) {
    await page.goto(address);
    if (person) await page.waitForSelector('.frame img, .empty:not([hidden])');
  }
  return page;
}
const end = (page) => page.context().close();

/** The server's own word, past the page. */
const api = (page, path, body, method = body === undefined ? 'GET' : 'POST') =>
  page.evaluate(
    async ([where, what, how]) => {
      const response = await fetch(where, {
        method: how,
        headers: what === undefined ? {} : { 'Content-Type': 'application/json' },
        body: what === undefined ? undefined : JSON.stringify(what),
      });
      return response.json();
    },
    [path, body, method],
  );
const shown = async (page) =>
  Number((await page.locator('.view.label .frame img').first().getAttribute('src')).split('/').pop());
const said = (page) => page.locator('#said').innerText();
const stateOf = async (page, id) => (await api(page, `/api/images/${id}`)).image;
const waitFor = async (what, probe, limit = 6000) => {
  const until = Date.now() + limit;
  for (;;) {
    const value = await probe();
    if (value) return value;
    if (Date.now() > until) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 40);
    });
  }
};
const movedOn = (page, id) =>
  waitFor(
    `the page moves on from image ${id}`,
    async () => (await page.locator('.view.label .frame img').count()) > 0 && (await shown(page)) !== id,
  );
/** Goes to an open image with a suggestion; null when there is none near. */
async function suggested(page) {
  for (let i = 0; i < 30; i += 1) {
    const id = await shown(page);
    const image = await stateOf(page, id);
    if (image.suggestion && image.state === 'open' && (await page.locator('.accept').count()) > 0) return image;
    await page.keyboard.press('ArrowRight');
    await movedOn(page, id);
  }
  return null;
}
const go = async (page, view) => {
  await page.goto(`${origin}/#${view}`);
  await page.waitForSelector(`#view-${view.split('?')[0]}:not([hidden])`);
};

async function check(name, run) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) return;
  checks += 1;
  try {
    await run();
  } catch (error) {
    faults.push(`${name}: ${error.stack ?? error}`);
  } finally {
    expected = false;
  }
}

await check('who comes without the token is told where to find it', async () => {
  expected = true;
  const page = await visit({ person: null, signIn: false });
  const response = await page.goto(`${origin}/`);
  assert.equal(response.status(), 401);
  assert.match(await page.content(), /vabal label/);
  await end(page);
});

await check('the name is asked once, and keys typed into it label nothing', async () => {
  const page = await visit({ person: null });
  await page.waitForSelector('dialog[open] input');
  assert.ok(!page.url().includes('token'), 'the token stays in the address');
  const before = (await api(page, '/api/project')).counts.labelled;
  await page.keyboard.press('Escape');
  assert.equal(await page.locator('dialog[open]').count(), 1, 'the first question cannot be dismissed');
  await page.keyboard.type('Tess 12 d');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.view.label .frame img');
  assert.equal((await api(page, '/api/project')).counts.labelled, before);
  await page.reload();
  await page.waitForSelector('.view.label .frame img');
  assert.equal(await page.locator('dialog[open]').count(), 0);
  assert.equal(await page.locator('#person-name').innerText(), 'Tess 12 d');
  await end(page);
});

await check('a key labels, the server has it, the page says so and moves on', async () => {
  const page = await visit();
  const { classes, counts } = await api(page, '/api/project');
  const id = await shown(page);
  await page.keyboard.press('2');
  await movedOn(page, id);
  const { image, history } = await api(page, `/api/images/${id}`);
  assert.equal(image.state, 'labelled');
  assert.equal(image.class, classes[1].id);
  assert.equal(history.at(-1).person, 'Ada');
  assert.match(
    await said(page),
    new RegExp(`^labelled .+ as ${classes[1].name}.*, ${counts.labelled + 1} of ${counts.images}`),
  );
  await end(page);
});

await check('an answer to a key comes within 50 ms, and the next image is there already decoded', async () => {
  const page = await visit();
  await page.waitForTimeout(600);
  await page.evaluate(() => {
    window.times = [];
    let from = null;
    document.addEventListener(
      'keydown',
      () => {
        from = performance.now();
      },
      true,
    );
    new MutationObserver(() => {
      const image = document.querySelector('.view.label .frame img');
      if (from !== null && image) {
        window.times.push({ took: performance.now() - from, decoded: image.complete && image.naturalWidth > 0 });
        from = null;
      }
    }).observe(document.querySelector('.view.label .frame'), { childList: true });
  });
  for (let i = 0; i < 8; i += 1) {
    const id = await shown(page);
    await page.keyboard.press('1');
    await movedOn(page, id);
    await page.waitForTimeout(60);
  }
  const times = await page.evaluate(() => window.times);
  const took = times.map((one) => one.took).sort((a, b) => a - b);
  console.log(`  key to next image: median ${took[4].toFixed(1)} ms, most ${took.at(-1).toFixed(1)} ms`);
  assert.ok(took[4] < 50, `median ${took[4]} ms`);
  assert.ok(
    times.every((one) => one.decoded),
    'an image was shown before it was decoded',
  );
  for (let i = 0; i < 8; i += 1) await api(page, '/api/undo', { person: 'Ada' });
  await end(page);
});

await check('the page does not move on before the server has the answer; keys meanwhile do nothing', async () => {
  const page = await visit();
  const id = await shown(page);
  let sent = 0;
  await page.route('**/api/answers', async (route) => {
    sent += 1;
    await new Promise((resolve) => {
      setTimeout(resolve, 500);
    });
    await route.continue();
  });
  await page.keyboard.press('1');
  await page.waitForTimeout(200);
  assert.equal(await shown(page), id);
  await page.keyboard.press('2');
  await movedOn(page, id);
  await page.waitForTimeout(100);
  assert.equal(sent, 1);
  await page.unroute('**/api/answers');
  await end(page);
});

await check('Enter accepts the suggestion, and says so to the server', async () => {
  const page = await visit();
  const image = await suggested(page);
  if (image) {
    const request = page.waitForRequest('**/api/answers');
    await page.keyboard.press('Enter');
    const body = (await request).postDataJSON();
    assert.equal(body.answers[0].suggested, image.suggestion.class);
    assert.ok(body.answers[0].seconds >= 0);
    await movedOn(page, image.id);
    assert.equal((await stateOf(page, image.id)).class, image.suggestion.class);
  }
  await end(page);
});

await check('hidden suggestions are hidden everywhere, and not sent', async () => {
  const page = await visit();
  const image = await suggested(page);
  if (image) {
    const name = (await api(page, '/api/project')).classes.find((one) => one.id === image.suggestion.class).name;
    await page.keyboard.press('h');
    assert.equal(await page.locator('.accept').count(), 0);
    assert.ok(!(await page.locator('.why').innerText()).includes(name), 'the reason names the class');
    await page.keyboard.press('Enter');
    assert.match(await said(page), /hidden/);
    assert.equal(await shown(page), image.id);
    const request = page.waitForRequest('**/api/answers');
    await page.keyboard.press('1');
    assert.equal((await request).postDataJSON().answers[0].suggested, undefined);
    await movedOn(page, image.id);
  }
  await end(page);
});

await check('later, unsure and discard are three things', async () => {
  const page = await visit();
  for (const [key, state] of [
    ['Space', 'later'],
    ['u', 'unsure'],
    ['d', 'discarded'],
  ]) {
    const id = await shown(page);
    await page.keyboard.press(key);
    await movedOn(page, id);
    assert.equal((await stateOf(page, id)).state, state);
  }
  await end(page);
});

await check('undo brings back the image, also after a restart', async () => {
  const page = await visit({ person: 'Uma' });
  const first = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, first);
  const second = await shown(page);
  await page.keyboard.press('d');
  await movedOn(page, second);
  await page.keyboard.press('Backspace');
  await waitFor('the second image is back', async () => (await shown(page)) === second);
  assert.equal((await stateOf(page, second)).state, 'open');
  await page.reload();
  await page.waitForSelector('.view.label .frame img');
  await page.keyboard.press('Control+z');
  await waitFor('the first image is back', async () => (await shown(page)) === first);
  assert.equal((await stateOf(page, first)).state, 'open');
  expected = true;
  await page.keyboard.press('Control+z');
  await waitFor('it says that nothing is left', async () => /nothing to undo/.test(await said(page)));
  await end(page);
});

await check('the arrows go back and forth, and an old answer can be changed', async () => {
  const page = await visit();
  const id = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, id);
  const following = await shown(page);
  await page.keyboard.press('ArrowLeft');
  await waitFor('back', async () => (await shown(page)) === id);
  assert.equal(await page.locator('.class-button.chosen').count(), 1);
  await page.keyboard.press('2');
  await waitFor('forth', async () => (await shown(page)) === following);
  const { classes } = await api(page, '/api/project');
  assert.equal((await stateOf(page, id)).class, classes[1].id);
  await page.keyboard.press('ArrowRight');
  await movedOn(page, following);
  assert.equal((await stateOf(page, following)).state, 'open');
  await end(page);
});

await check('zoom, brightness and contrast by keys; reset puts all back', async () => {
  const page = await visit();
  const style = () => page.locator('.view.label .frame img').evaluate((one) => [one.style.transform, one.style.filter]);
  const [transform] = await style();
  await page.keyboard.press('+');
  assert.notEqual((await style())[0], transform);
  await page.keyboard.press('0');
  assert.equal((await style())[0], transform);
  await page.keyboard.press(']');
  await page.keyboard.press('}');
  assert.equal((await style())[1], 'brightness(1.1) contrast(1.1)');
  await page.keyboard.press('-');
  await page.keyboard.press('r');
  assert.deepEqual(await style(), [transform, '']);
  await end(page);
});

await check('keys go by their place, whatever the layout prints on them', async () => {
  const page = await visit();
  const { classes } = await api(page, '/api/project');
  const press = (code, key, more = {}) =>
    page.evaluate(
      (init) => document.body.dispatchEvent(new KeyboardEvent('keydown', { bubbles: true, cancelable: true, ...init })),
      { code, key, ...more },
    );
  // AZERTY: the key of 1 prints &. The number block: 2. German: ? is Shift and the key right of 0.
  for (const [code, key, place] of [
    ['Digit1', '&', 0],
    ['Numpad2', '2', 1],
  ]) {
    const id = await shown(page);
    await press(code, key);
    await movedOn(page, id);
    assert.equal((await stateOf(page, id)).class, classes[place].id);
  }
  await press('Minus', '?', { shiftKey: true });
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Escape');
  const id = await shown(page);
  await press('Digit1', '1', { ctrlKey: true });
  await press('Digit1', '1', { repeat: true });
  await press('Digit1', '1', { isComposing: true });
  await page.waitForTimeout(150);
  assert.equal(await shown(page), id, 'a shortcut of the browser, a held key or a half-written letter has labelled');
  await end(page);
});

await check('images passed over are not lost, nor handed out twice', async () => {
  const page = await visit({ person: 'Pia' });
  const seen = [];
  for (let i = 0; i < 16; i += 1) {
    const id = await shown(page);
    seen.push(id);
    await page.keyboard.press('ArrowRight');
    await movedOn(page, id);
  }
  assert.equal(new Set(seen).size, seen.length);
  await end(page);
});

await check('a class is found by letters of its name', async () => {
  const page = await visit();
  const { classes } = await api(page, '/api/project');
  const wanted = classes.at(-1);
  const id = await shown(page);
  await page.keyboard.press('/');
  await page.waitForSelector('dialog[open] [role=combobox]');
  await page.keyboard.type(wanted.name);
  await page.keyboard.press('Enter');
  await movedOn(page, id);
  assert.equal((await stateOf(page, id)).class, wanted.id);
  await end(page);
});

await check('a key can be changed, and the focus comes back from the dialog', async () => {
  const page = await visit();
  await page.locator('#help-button').focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  for (let i = 0; i < 60; i += 1) await page.keyboard.press('Tab');
  assert.ok(
    await page.evaluate(
      () =>
        document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement),
    ),
    'the focus left the dialog',
  );
  await page.locator('#change-discard').click();
  await page.keyboard.press('x');
  await page.keyboard.press('Escape');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'help-button');
  const id = await shown(page);
  await page.keyboard.press('d');
  await page.waitForTimeout(150);
  assert.equal(await shown(page), id, 'the old key still acts');
  await page.keyboard.press('x');
  await movedOn(page, id);
  assert.equal((await stateOf(page, id)).state, 'discarded');
  await end(page);
});

await check('grid: a range by Shift, a class key for all of them, one undo for the gesture', async () => {
  const page = await visit({ person: 'Gus' });
  await page.keyboard.press('g');
  await page.waitForSelector('.tile');
  await page.selectOption('select[name=state]', 'open');
  await waitFor(
    'open ones alone',
    async () => (await page.locator('.tile').count()) > 0 && (await page.locator('.tile:not(.open)').count()) === 0,
  );
  await page.locator('#grid').focus();
  await page.keyboard.press('ArrowRight');
  for (let i = 0; i < 4; i += 1) await page.keyboard.press('Shift+ArrowRight');
  assert.equal(await page.locator('.tile[aria-selected=true]').count(), 5);
  const ids = await page
    .locator('.tile[aria-selected=true]')
    .evaluateAll((all) => all.map((one) => Number(one.id.slice(5))));
  assert.ok(await page.locator('#grid').getAttribute('aria-activedescendant'));
  await page.keyboard.press('2');
  await waitFor('it says five', async () => /labelled 5 images as/.test(await said(page)));
  const { classes } = await api(page, '/api/project');
  for (const id of ids) assert.equal((await stateOf(page, id)).class, classes[1].id);
  await page.keyboard.press('Backspace');
  await waitFor('undone as a whole', async () => /5 images as before/.test(await said(page)));
  for (const id of ids) assert.equal((await stateOf(page, id)).state, 'open');
  await page.keyboard.press('Control+a');
  const { total } = await api(page, '/api/images?state=open&limit=1');
  assert.match(
    await page.locator('.view.browse .panel h2').innerText(),
    new RegExp(`^${Math.min(100, total)} images? selected|^\\d+ images selected`),
  );
  await page.keyboard.press('Escape');
  assert.match(await page.locator('.view.browse .panel h2').innerText(), /Nothing/);
  await end(page);
});

await check('search and filters narrow the grid and stay in the address', async () => {
  const page = await visit();
  const {
    images: [image],
  } = await api(page, '/api/images?limit=1');
  await go(page, 'browse');
  await page.waitForSelector('.tile');
  await page.fill('input[name=search]', image.path);
  await waitFor('one tile', async () => (await page.locator('.tile').count()) === 1);
  assert.match(page.url(), /search=/);
  await page.reload();
  await waitFor('one tile again', async () => (await page.locator('.tile').count()) === 1);
  await page.fill('input[name=search]', 'surely no such file');
  await waitFor('it says none', async () => /No image fits/.test(await page.locator('.grid-box').innerText()));
  await end(page);
});

await check('what two people said differently is a conflict, and review settles it', async () => {
  const page = await visit();
  const { classes } = await api(page, '/api/project');
  const {
    images: [image],
  } = await api(page, '/api/images?state=open&limit=1');
  await api(page, '/api/answers', {
    person: 'Ada',
    token: `a${Date.now()}`,
    answers: [{ image: image.id, act: 'label', class: classes[0].id }],
  });
  await api(page, '/api/answers', {
    person: 'Grace',
    token: `b${Date.now()}`,
    answers: [{ image: image.id, act: 'label', class: classes[1].id }],
  });
  assert.equal((await stateOf(page, image.id)).state, 'conflict');
  await go(page, 'review?kind=conflict');
  await page.locator(`#review-${image.id}`).click();
  assert.match(await page.locator('.said-list').innerText(), /Grace/);
  await page.keyboard.press('2');
  await waitFor('it is settled', async () => (await stateOf(page, image.id)).state === 'labelled');
  assert.equal((await stateOf(page, image.id)).class, classes[1].id);
  await page.keyboard.press('Backspace');
  await waitFor('undo brings the conflict back', async () => (await stateOf(page, image.id)).state === 'conflict');
  await page.locator(`#review-${image.id}`).click();
  await page.keyboard.press('1');
  await waitFor('settled again', async () => (await stateOf(page, image.id)).state === 'labelled');
  await end(page);
});

await check('classes: add, rename, give a key, move, merge', async () => {
  const page = await visit();
  const name = `try ${Date.now() % 100000}`;
  await go(page, 'classes');
  await page.fill('#new-class', name);
  await page.keyboard.press('Enter');
  const added = await waitFor('added', async () =>
    (await api(page, '/api/project')).classes.find((one) => one.name === name),
  );
  await page.fill(`#class-name-${added.id}`, `${name} b`);
  await page.keyboard.press('Enter');
  await waitFor('renamed', async () =>
    (await api(page, '/api/project')).classes.some((one) => one.name === `${name} b`),
  );
  await page.click(`#class-key-${added.id}`);
  await page.keyboard.press('Enter');
  await page.keyboard.press('d');
  assert.match(await page.locator('dialog[open] [role=status]').innerText(), /taken/);
  await page.keyboard.press('m');
  await waitFor(
    'it has a key',
    async () => (await api(page, '/api/project')).classes.find((one) => one.id === added.id).key === 'KeyM',
  );
  await page.click(`#class-up-${added.id}`);
  await waitFor(
    'it moved',
    async () => (await api(page, '/api/project')).classes.sort((a, b) => a.place - b.place).at(-1).id !== added.id,
  );
  await go(page, 'label');
  const id = await shown(page);
  await page.keyboard.press('m');
  await movedOn(page, id);
  assert.equal((await stateOf(page, id)).class, added.id);
  await go(page, 'classes');
  await page.click(`#class-merge-${added.id}`);
  const target = (await api(page, '/api/project')).classes.find((one) => one.id !== added.id);
  await page.selectOption('#merge-into', String(target.id));
  await page.click('dialog[open] button.main');
  await page.click('dialog[open] button.main');
  await waitFor('merged', async () => !(await api(page, '/api/project')).classes.some((one) => one.id === added.id));
  assert.equal((await stateOf(page, id)).class, target.id);
  await end(page);
});

await check('progress shows labels, accuracy as chart and table, and training', async () => {
  const page = await visit();
  await go(page, 'progress');
  await page.waitForSelector('.figures');
  const status = await api(page, '/api/status');
  const text = await page.locator('#view-progress').innerText();
  for (const one of status.classes) assert.ok(text.includes(one.name));
  if (status.rounds.some((one) => typeof one.balanced_accuracy === 'number')) {
    assert.equal(await page.locator('svg.chart').count(), 1);
    await page.locator('.rounds summary').click();
    assert.equal(await page.locator('.rounds tbody tr').count(), status.rounds.length);
  }
  assert.ok(text.includes(status.stopping.text));
  await end(page);
});

if (mock)
  await check(
    'training runs behind, and new suggestions slip in without touching the image on the screen',
    async () => {
      const page = await visit({ person: 'Tim' });
      const id = await shown(page);
      await go(page, 'progress');
      await page.click('text=Train now');
      await page.waitForSelector('progress');
      await go(page, 'label');
      const asked = page.waitForRequest('**/api/next**', { timeout: 15_000 });
      assert.match((await asked).url(), new RegExp(`have=${id}(&|$)`));
      await waitFor('it says so', async () => /new suggestions/.test(await said(page)));
      assert.equal(await shown(page), id);
      await end(page);
    },
  );

await check('export downloads a file; taking it in again adds nothing', async () => {
  const page = await visit();
  await go(page, 'exchange');
  for (const format of ['csv', 'jsonl', 'label-studio']) {
    const waiting = page.waitForEvent('download');
    await page.click(`a[href="/api/export?format=${format}"]`);
    const file = join(tmpdir(), `vabal-export-${process.pid}.${format === 'label-studio' ? 'json' : format}`);
    await (await waiting).saveAs(file);
    assert.ok(existsSync(file));
    if (format !== 'csv') continue;
    await page.setInputFiles('#import-file', file);
    await page.click('text=Take the labels in');
    await waitFor('the result', async () => /0 answers added/.test(await page.locator('.result').innerText()));
  }
  const odd = join(tmpdir(), `vabal-odd-${process.pid}.csv`);
  writeFileSync(odd, 'path,state,class\nno/such/file.png,labelled,nothing\n');
  await page.setInputFiles('#import-file', odd);
  await page.click('text=Take the labels in');
  await waitFor('unknown paths are named', async () =>
    /no\/such\/file\.png/.test(await page.locator('.result').innerText()),
  );
  await end(page);
});

await check(
  'a full disk, a silent server, an end of the session: answers are kept and sent again with the same token',
  async () => {
    expected = true;
    const page = await visit({ person: 'Fay' });
    for (const [how, words] of [
      [507, /disk is full/i],
      [0, /does not answer/],
      [401, /signed in/],
    ]) {
      const tokens = [];
      await page.route('**/api/answers', (route) => {
        tokens.push(route.request().postDataJSON().token);
        return how === 0
          ? route.abort()
          : route.fulfill({
              status: how,
              contentType: 'application/json',
              body: how === 401 ? '' : JSON.stringify({ error: { what: 'the disk is full' } }),
            });
      });
      const id = await shown(page);
      await page.keyboard.press('1');
      await movedOn(page, id);
      await waitFor('it says what is wrong', async () => words.test(await page.locator('#trouble').innerText()));
      assert.match(await page.locator('#trouble').innerText(), /1 answer not saved/);
      assert.match(await said(page), /not saved yet/);
      const second = await shown(page);
      await page.keyboard.press('2');
      await movedOn(page, second);
      if (how === 507) {
        // The answers survive the page.
        page.once('dialog', (dialog) => dialog.accept());
        await page.reload();
        await page.waitForSelector('.view.label .frame img');
      }
      await page.unroute('**/api/answers');
      const resent = [];
      page.on('request', (request) => {
        if (request.url().endsWith('/api/answers')) resent.push(request.postDataJSON().token);
      });
      await waitFor(
        'both are on the server',
        async () =>
          (await stateOf(page, id)).state === 'labelled' && (await stateOf(page, second)).state === 'labelled',
      );
      await waitFor('the trouble is over', async () => (await page.locator('#trouble').innerText()) === '');
      assert.equal(resent[0], tokens[0]);
      assert.equal((await api(page, `/api/images/${id}`)).history.filter((one) => one.person === 'Fay').length, 1);
      page.removeAllListeners('request');
    }
    await end(page);
  },
);

await check('an export that fails says why in the page', async () => {
  expected = true;
  const page = await visit();
  await go(page, 'exchange');
  await page.route('**/api/export**', (route) =>
    route.fulfill({
      status: 507,
      contentType: 'application/json',
      body: JSON.stringify({ error: { what: 'the disk is full' } }),
    }),
  );
  await page.click('a[href="/api/export?format=csv"]');
  await waitFor('it says so', async () => /disk is full/i.test(await said(page)));
  await end(page);
});

await check('an answer the server never takes is not lost silently, and the page stays', async () => {
  expected = true;
  const page = await visit();
  await page.route('**/api/answers', (route) =>
    route.fulfill({
      status: 400,
      contentType: 'application/json',
      body: JSON.stringify({ error: { what: 'there is no such class', hint: 'load the page again' } }),
    }),
  );
  const id = await shown(page);
  await page.keyboard.press('1');
  await waitFor('it says why', async () => /not saved.*no such class.*load the page again/i.test(await said(page)));
  assert.equal(await shown(page), id);
  await end(page);
});

await check('an image that is gone says so in its place, and can be put off', async () => {
  expected = true;
  const page = await visit({ signIn: false });
  await page.route(/\/image\/\d+$/, (route) =>
    route.fulfill({
      status: 404,
      contentType: 'application/json',
      body: JSON.stringify({ error: { what: 'the file is gone' } }),
    }),
  );
  await page.goto(address);
  await waitFor('it says so', async () => /the file is gone/.test(await page.locator('.frame').innerText()));
  await page.unroute(/\/image\/\d+$/);
  await page.keyboard.press('u');
  await waitFor('it goes on', async () => /unsure/.test(await said(page)));
  await end(page);
});

await check('exact copies take the label on request, and one undo takes all back', async () => {
  const page = await visit({ person: 'Kim' });
  const { groups } = await api(page, '/api/duplicates?near=0&limit=30');
  const image = groups.find((all) => all.images.every((other) => other.state === 'open' && !other.missing))?.images[0];
  if (image) {
    await page.goto(`${origin}/#label?image=${image.id}`);
    await waitFor('the image', async () => (await shown(page)) === image.id);
    await page.locator('.copies input').check();
    await page.keyboard.press('1');
    await waitFor('copies are named', async () => /and \d+ cop(y|ies)/.test(await said(page)));
    await page.keyboard.press('Backspace');
    await waitFor('both are back', async () => /images as before/.test(await said(page)));
    assert.equal((await stateOf(page, image.id)).state, 'open');
  }
  await end(page);
});

await check('an image not on the screen cannot be labelled', async () => {
  expected = true;
  const page = await visit({ signIn: false });
  await page.route(/\/image\/\d+$/, (route) =>
    route.fulfill({
      status: 404,
      contentType: 'application/json',
      body: JSON.stringify({ error: { what: 'the file is gone' } }),
    }),
  );
  const sent = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/api/answers')) sent.push(request);
  });
  await page.goto(address);
  await waitFor('it says so', async () => /the file is gone/.test(await page.locator('.frame').innerText()));
  await page.keyboard.press('1');
  await waitFor('it refuses', async () => /not on the screen/.test(await said(page)));
  assert.equal(sent.length, 0);
  await end(page);
});

await check('two people never hold the same images', async () => {
  const [one, two] = [await visit({ person: 'Left' }), await visit({ person: 'Right' })];
  const held = [new Set(), new Set()];
  for (let i = 0; i < 5; i += 1) {
    for (const [place, page] of [one, two].entries()) {
      const id = await shown(page);
      held[place].add(id);
      await page.keyboard.press('1');
      await movedOn(page, id);
    }
  }
  assert.deepEqual(
    [...held[0]].filter((id) => held[1].has(id)),
    [],
  );
  for (const person of ['Left', 'Right']) for (let i = 0; i < 5; i += 1) await api(one, '/api/undo', { person });
  await end(one);
  await end(two);
});

await check('a word in a name is text, never markup', async () => {
  const page = await visit();
  const name = `<img src=x onerror=alert(1)> ${Date.now() % 1000}`;
  const one = await api(page, '/api/classes', { name });
  await page.reload();
  await page.waitForSelector('.class-button');
  assert.ok((await page.locator('.class-list').first().innerText()).includes('<img'));
  await api(page, `/api/classes/${one.id}/merge`, { into: (await api(page, '/api/project')).classes[0].id });
  await end(page);
});

for (const theme of ['light', 'dark']) {
  for (const width of [1280, 390]) {
    await check(`every view is accessible and fits: ${theme}, ${width} pixels`, async () => {
      const page = await visit({ theme, width, height: width < 600 ? 844 : 800 });
      const look = async (name, settle = null) => {
        if (settle) await settle();
        await page.waitForTimeout(350);
        if (shots) await page.screenshot({ path: join(shots, `${name}-${width}-${theme}.png`) });
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        assert.ok(overflow <= 0, `${name} sticks out by ${overflow} pixels`);
        const cut = await page.evaluate(() =>
          [...document.querySelectorAll('.panel button, .top button, .viewer-bar button')]
            .filter(
              (one) => one.offsetParent && one.scrollWidth > one.clientWidth + 2 && !one.querySelector('.class-name'),
            )
            .map((one) => one.textContent),
        );
        assert.deepEqual(cut, [], `${name}: text is cut off`);
        if (width < 600) {
          const small = await page.evaluate(() =>
            [...document.querySelectorAll('button, .views a')]
              .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24)
              .map((one) => one.textContent),
          );
          assert.deepEqual(small, [], `${name}: too small for a finger`);
        }
        if ((theme === 'light') === (width === 1280) || name === 'label' || name === 'browse') {
          if (!(await page.evaluate(() => 'axe' in window)))
            await page.evaluate((await import('node:fs')).readFileSync(axe, 'utf8'));
          const { violations } = await page.evaluate(() =>
            window.axe.run(document, {
              runOnly: {
                type: 'tag',
                values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'],
              },
            }),
          );
          for (const { id, help, nodes } of violations)
            faults.push(
              `${name}, ${theme}, ${width}: ${id}: ${help}: ${nodes
                .slice(0, 3)
                .map((node) => `${node.html.slice(0, 140)} ${node.any?.[0]?.message ?? ''}`)
                .join(' ; ')}`,
            );
        }
      };
      await look('label');
      await look('help', async () => {
        await page.click('#help-button');
      });
      await page.keyboard.press('Escape');
      await look('find', async () => {
        await page.keyboard.press('/');
      });
      await page.keyboard.press('Escape');
      await look('details', async () => {
        await page.keyboard.press('Shift+I');
      });
      await page.keyboard.press('Escape');
      await look('browse', async () => {
        await go(page, 'browse');
        await page.waitForSelector('.tile');
        await page.locator('#grid').focus();
        await page.keyboard.press('ArrowRight');
        await page.keyboard.press('Shift+ArrowRight');
      });
      for (const kind of ['doubt', 'conflict', 'copies', 'near'])
        await look(`review-${kind}`, async () => {
          await go(page, `review?kind=${kind}`);
        });
      await look('classes', async () => {
        await go(page, 'classes');
      });
      await look('progress', async () => {
        await go(page, 'progress');
        await page.waitForSelector('.figures');
        await page.locator('.rounds summary').click();
      });
      await look('settings', async () => {
        await page.click('text=Settings');
      });
      await page.keyboard.press('Escape');
      await look('exchange', async () => {
        await go(page, 'exchange');
      });
      await end(page);
    });
  }
}

await check('the theme can be chosen, and lasts', async () => {
  const page = await visit();
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  assert.equal(await ground(), 'rgb(255, 255, 255)');
  await page.click('#theme-button');
  await page.click('#theme-button');
  assert.equal(await ground(), 'rgb(17, 22, 28)');
  await page.reload();
  assert.equal(await ground(), 'rgb(17, 22, 28)');
  assert.ok(
    await page.evaluate(() => document.fonts.load('16px Inter').then((all) => all.length > 0)),
    'the font is not served',
  );
  await end(page);
});

if (mock)
  await check('a hundred thousand images: keys stay fast, the grid stays small', async () => {
    const large = await start({ images: 100_000, classes: 40 });
    try {
      const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
      await page.addInitScript(() => localStorage.setItem('vabal.person', 'Ada'));
      await page.goto(large.url);
      await page.waitForSelector('.view.label .frame img');
      await page.goto(`${new URL(large.url).origin}/#browse`);
      await page.waitForSelector('.tile');
      for (let i = 0; i < 12; i += 1) {
        await page.locator('#grid').evaluate((one) => {
          one.scrollTop = one.scrollHeight;
        });
        await page.waitForTimeout(80);
      }
      const tiles = await page.locator('.tile').count();
      assert.ok(tiles < 200, `${tiles} tiles in the page`);
      assert.match(await page.locator('.found').innerText(), /(99,999|100,000) images/);
      await page.locator('#grid').focus();
      const took = await page.evaluate(async () => {
        const times = [];
        for (let i = 0; i < 10; i += 1) {
          const from = performance.now();
          document
            .getElementById('grid')
            .dispatchEvent(new KeyboardEvent('keydown', { code: 'ArrowDown', key: 'ArrowDown', bubbles: true }));
          times.push(performance.now() - from);
          await new Promise(requestAnimationFrame);
        }
        return times.sort((a, b) => a - b)[5];
      });
      console.log(`  a key in the grid: median ${took.toFixed(1)} ms`);
      assert.ok(took < 50);
      await page.close();
    } finally {
      await large.close();
    }
  });

await browser.close();
await mock?.close();
for (const fault of faults) console.error(fault);
console.log(
  faults.length === 0 ? `${checks} checks of the labelling page hold` : `${faults.length} faults in ${checks} checks`,
);
process.exit(faults.length === 0 ? 0 : 1);
