// What only a real server tells: training that runs, answers that outlive a crash, files that go in and out.

import assert from 'node:assert/strict';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  allowFailures,
  api,
  check,
  end,
  go,
  movedOn,
  program,
  restarted,
  said,
  shown,
  stateOf,
  visit,
  waitFor,
} from './browser.mjs';
import { CLASSES, truth } from './program.mjs';

// Labels the image on the screen as what it is. Resolves to its number.
async function label(page) {
  const id = await shown(page);
  const { path } = await stateOf(page, id);
  await page.keyboard.press(String(truth(path) + 1));
  await movedOn(page, id);
  return id;
}

await check('a project as `vabal init` made it: images to label at once, the classes with their keys', async () => {
  const page = await visit();
  const project = await api(page, '/api/project');
  assert.deepEqual(
    project.classes.map((one) => [one.name, one.key]),
    CLASSES.map((name, i) => [name, `Digit${i + 1}`]),
  );
  assert.equal(project.counts.labelled, 0);
  assert.ok(await page.locator('.view.label .frame img').first().evaluate((one) => one.naturalWidth > 0));
  await end(page);
});

await check('enough labels begin a training by themselves; labelling goes on, and suggestions slip in', async () => {
  const page = await visit();
  await waitFor('the first choice', async () => (await api(page, '/api/pulse')).training.state !== 'running', 60_000);
  const before = (await api(page, '/api/project')).round;
  // All that is said: the next answer may follow at once.
  await page.evaluate(() => {
    window.heard = [];
    const box = document.getElementById('said');
    new MutationObserver(() => window.heard.push(box.textContent)).observe(box, { childList: true, subtree: true });
  });
  let given = 0;
  while ((await api(page, '/api/pulse')).training.state !== 'running') {
    assert.ok(given < 60, 'sixty labels, and no training');
    await label(page);
    given += 1;
  }
  // While it runs, a key is answered as ever.
  await label(page);
  const id = await shown(page);
  const heard = () => page.evaluate(() => window.heard.some((one) => /new suggestions/.test(one)));
  await waitFor('it says so', heard, 90_000);
  assert.equal(await shown(page), id, 'the image on the screen was changed');
  assert.ok((await api(page, '/api/project')).round > before);
  const { images } = await api(page, '/api/images?state=open&sort=confidence&limit=5');
  assert.ok(images.length > 0 && images.every((one) => one.suggestion));
  // What is measured in the checks that follow is the page, not how a training shares the machine with it.
  await api(page, '/api/settings', { retrain_every: 10_000 }, 'PUT');
  await end(page);
});

await check('killed and started again: nothing is lost, what was unsent is sent by itself, and undo reaches back', async () => {
  allowFailures();
  const page = await visit({ person: 'Eve' });
  const first = await label(page);
  await program.kill();
  const second = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, second);
  await waitFor('it says so', async () => /1 answer not saved/.test(await page.locator('#trouble').innerText()));
  await program.start();
  // The token is kept in the project: the page goes on by itself.
  await waitFor('it is sent', async () => (await stateOf(page, second)).state === 'labelled', 20_000);
  assert.equal((await stateOf(page, first)).state, 'labelled');
  await waitFor('the trouble is over', async () => (await page.locator('#trouble').innerText()) === '');
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Control+z');
  await waitFor('the first is back', async () => (await shown(page)) === first);
  for (const id of [first, second]) assert.equal((await stateOf(page, id)).state, 'open');
  await end(page);
});

await check('a page with an old token says so, and the new address can be pasted', async () => {
  allowFailures();
  const page = await visit({ person: 'Eve' });
  await program.kill();
  const id = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, id);
  const old = program.url;
  rmSync(join(program.project, 'token'));
  await program.start();
  restarted();
  assert.notEqual(program.url, old);
  await waitFor(
    'it asks to sign in',
    async () => /no longer signed in/.test(await page.locator('#trouble').innerText()),
    20_000,
  );
  await page.fill('.trouble input', old);
  await page.keyboard.press('Enter');
  await waitFor('it refuses the old one', async () => /does not know this address/.test(await said(page)));
  await page.fill('.trouble input', program.url);
  await page.keyboard.press('Enter');
  await waitFor('the trouble is over', async () => (await page.locator('#trouble').innerText()) === '');
  await waitFor('it is sent', async () => (await stateOf(page, id)).state === 'labelled');
  await api(page, '/api/undo', { person: 'Eve' });
  await end(page);
  // Loaded anew, the page is not there at all: what stands in its place takes the address too.
  const other = await visit({ person: 'Eve', signIn: false });
  await other.goto(`${new URL(program.url).origin}/`);
  await other.fill('input[name=token]', program.url);
  await other.keyboard.press('Enter');
  await other.waitForSelector('.view.label .frame img');
  assert.ok(!other.url().includes('token'), 'the token stays in the address');
  await end(other);
});

await check('behind a proxy that shows it below a path, all of the page works', async () => {
  const { port } = new URL(program.url);
  const proxy = createServer((from, to) => {
    const path = from.url.replace(/^\/labels\/steel/, '');
    const passed = request({ port, path, method: from.method, headers: from.headers }, (answer) => {
      to.writeHead(answer.statusCode, answer.headers);
      answer.pipe(to);
    });
    passed.on('error', () => to.destroy());
    from.pipe(passed);
  });
  await new Promise((resolve) => {
    proxy.listen(0, '127.0.0.1', resolve);
  });
  const at = `http://127.0.0.1:${proxy.address().port}/labels/steel/${new URL(program.url).search}`;
  const page = await visit({ person: 'Eve', at });
  const asked = [];
  page.on('request', (one) => asked.push(new URL(one.url()).pathname));
  const id = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, id);
  await page.keyboard.press('Backspace');
  await waitFor('it is back', async () => (await shown(page)) === id);
  await page.keyboard.press('g');
  await page.waitForSelector('.tile img');
  for (const view of ['review', 'classes', 'progress', 'exchange']) {
    await page.click(`a[data-view=${view}]`);
    await page.waitForSelector(`#view-${view}:not([hidden])`);
  }
  assert.ok(await page.evaluate(() => document.fonts.load('16px Inter').then((all) => all.length > 0)));
  assert.ok(asked.length > 0);
  assert.deepEqual(
    asked.filter((path) => !path.startsWith('/labels/steel/')),
    [],
  );
  await end(page);
  proxy.closeAllConnections();
  proxy.close();
});

await check('killed while it trains: the answers are there, and the next training runs to its end', async () => {
  allowFailures();
  const page = await visit();
  while ((await api(page, '/api/project')).counts.labelled < 14) await label(page);
  await waitFor('nothing runs', async () => (await api(page, '/api/pulse')).training.state !== 'running', 60_000);
  const { round, counts } = await api(page, '/api/project');
  await api(page, '/api/train', {});
  await waitFor('it trains', async () => (await api(page, '/api/pulse')).training.state === 'running');
  await program.kill();
  await program.start();
  await page.goto(program.url);
  await page.waitForSelector('.view.label .frame img');
  const again = await api(page, '/api/project');
  assert.deepEqual(again.counts, counts);
  assert.equal(again.round, round, 'a round that was broken off counts');
  await go(page, 'progress');
  await page.click('text=Train now');
  await waitFor('the next round', async () => (await api(page, '/api/project')).round > round, 60_000);
  await end(page);
});

await check('labels from a file go in through the page, and come out of it again', async () => {
  const page = await visit({ person: 'Ines' });
  const { images } = await api(page, '/api/images?state=open&limit=3');
  const before = (await api(page, '/api/project')).counts.labelled;
  const file = join(tmpdir(), `vabal-in-${process.pid}.csv`);
  writeFileSync(file, `path,class\n${images.map((one) => `${one.path},${CLASSES[truth(one.path)]}\n`).join('')}`);
  await go(page, 'exchange');
  await page.setInputFiles('#import-file', file);
  await page.click('text=Take the labels in');
  await waitFor('the result', async () => /3 answers added/.test(await page.locator('.result').innerText()));
  for (const one of images) assert.equal((await stateOf(page, one.id)).state, 'labelled');
  assert.equal((await api(page, '/api/project')).counts.labelled, before + 3);
  const waiting = page.waitForEvent('download');
  await page.click('a[href="api/export?format=csv"]');
  await (await waiting).saveAs(file);
  const lines = readFileSync(file, 'utf8').split('\n');
  for (const one of images)
    assert.ok(
      lines.some((line) => line.includes(one.path) && line.includes(CLASSES[truth(one.path)])),
      `${one.path} is not in the export`,
    );
  await end(page);
});
