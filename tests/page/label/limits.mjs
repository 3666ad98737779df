// Where the real server comes to its limits: many images, no space, no right to write. Each check has a project of its own.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { chmodSync, closeSync, mkdtempSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allowFailures, api, check, end, file, movedOn, said, shown, visit, waitFor } from './browser.mjs';
import { serve, specks } from './program.mjs';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const labelled = async (page) => (await api(page, '/api/project')).counts.labelled;
const trouble = (page) => page.locator('#trouble').innerText();
const press = async (page, key) => {
  const id = await shown(page);
  await page.keyboard.press(key);
  await movedOn(page, id);
};
const firstChoice = (page) =>
  waitFor('the first choice', async () => (await api(page, '/api/project')).round !== null, 60_000);

// A small disk of its own; null where that is not allowed.
function smallDisk() {
  const place = mkdtempSync(join(tmpdir(), 'vabal-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', place], { stdio: 'ignore' });
  } catch {
    rmSync(place, { recursive: true });
    return null;
  }
  return {
    place,
    /** Not a byte is left. */
    fill() {
      const filled = openSync(join(place, 'filled'), 'w');
      try {
        for (;;) writeSync(filled, Buffer.alloc(4096));
      } catch (error) {
        assert.equal(error.code, 'ENOSPC');
      } finally {
        closeSync(filled);
      }
    },
    free: () => rmSync(join(place, 'filled')),
    end() {
      execFileSync('umount', [place]);
      rmSync(place, { recursive: true });
    },
  };
}

const disk = smallDisk();
await check(
  'a disk that is full: it says so, keeps what is answered, and saves all of it when there is space again',
  async () => {
    allowFailures();
    const server = await serve(file, { make: specks(200), parent: disk.place, set: { first: 1000 } });
    try {
      const page = await visit({ at: server.url });
      await firstChoice(page);
      for (const key of ['1', '2', '1']) await press(page, key);
      assert.equal(await labelled(page), 3);
      disk.fill();
      // The page has some questions in store.
      for (let i = 0; i < 6; i += 1) await press(page, '2');
      const saved = await labelled(page);
      assert.ok(saved < 9, 'the disk is not full');
      assert.match(await trouble(page), /^The disk is full/);
      assert.match(await trouble(page), new RegExp(`${9 - saved} answers not saved yet`));
      // Ended by force: what was not saved is in the browser, what was saved is on the disk.
      await server.kill();
      await server.start();
      page.on('dialog', (dialog) => dialog.accept());
      await page.goto(server.url);
      await page.waitForSelector('#trouble .trouble');
      assert.equal(await labelled(page), saved);
      disk.free();
      await waitFor('all of it is saved', async () => (await labelled(page)) === 9, 15_000);
      await waitFor('it says so', async () => /answers? saved that had waited/.test(await said(page)));
      assert.equal(await trouble(page), '');
      await end(page);
    } finally {
      await server.close();
      disk.end();
    }
  },
  { leftOut: disk ? null : 'no disk can be mounted here' },
);

await check('a project that may not be written: it says so, and goes on by itself when it may', async () => {
  allowFailures();
  const server = await serve(file, { make: specks(200), user: isRoot ? NOBODY : null, set: { first: 1000 } });
  const files = () => readdirSync(server.project).map((name) => join(server.project, name));
  const forbid = () => [server.project, ...files()].forEach((path) => chmodSync(path, 0o555));
  const permit = () => [server.project, ...files()].forEach((path) => chmodSync(path, 0o755));
  try {
    let page = await visit({ at: server.url });
    await firstChoice(page);
    await press(page, '1');
    forbid();
    await server.close(false);
    await server.start();
    // Nothing can be handed out. What is labelled can be looked at.
    await page.goto(server.url);
    await waitFor('it says why', async () =>
      /cannot be used.*readonly.*goes on by itself/s.test(await page.locator('.empty').innerText()),
    );
    assert.equal(await labelled(page), 1);
    permit();
    await page.waitForSelector('.view.label .frame img', { timeout: 10_000 });
    await press(page, '2');
    await waitFor('it is saved', async () => (await labelled(page)) === 2);
    // A training that cannot write says so, and labels are not affected.
    for (const key of ['1', '1', '2', '2', '1', '2', '1', '2']) await press(page, key);
    forbid();
    await api(page, '/api/train', {});
    await page.goto(`${new URL(server.url).origin}/#progress`);
    await waitFor('it says why', async () =>
      /training failed\. Cannot .*ermission denied.*Labels are not affected/s.test(
        await page.locator('#view-progress').innerText(),
      ),
    );
    await end(page);
    // Images that have gone: each says so, none is labelled unseen, and the rest goes on.
    permit();
    page = await visit({ at: server.url });
    const before = await labelled(page);
    renameSync(server.images, `${server.images} gone`);
    // Some are in the browser already.
    for (let i = 0; i < 9; i += 1) {
      await page.keyboard.press('ArrowRight');
      await page.waitForTimeout(150);
    }
    const frame = page.locator('.view.label .frame:not([aria-busy])');
    await waitFor('it says so', async () => /cannot be shown/.test(await frame.innerText()));
    await page.keyboard.press('1');
    await waitFor('it refuses', async () => /not on the screen/.test(await said(page)));
    renameSync(`${server.images} gone`, server.images);
    await page.reload();
    await page.waitForSelector('.view.label .frame img');
    await press(page, '1');
    assert.equal(await labelled(page), before + 1);
    await end(page);
  } finally {
    permit();
    await server.close();
  }
});

await check('a hundred thousand images: keys stay fast, also while the first are chosen; the grid stays small', async () => {
  const begun = performance.now();
  const classes = Array.from({ length: 40 }, (_, i) => `defect ${i + 1}`);
  const server = await serve(file, { make: specks(100_000), classes, set: { size: 8, first: 1000 } });
  console.log(`  100,000 images made, imported and served in ${((performance.now() - begun) / 1000).toFixed(0)} s`);
  try {
    const page = await visit({ at: server.url });
    const times = [];
    for (let i = 0; i < 20; i += 1) {
      await page.waitForTimeout(100);
      const id = await shown(page);
      await page.evaluate(() => {
        document.addEventListener('keydown', () => { window.from = performance.now(); }, { capture: true, once: true });
        const frame = document.querySelector('.view.label .frame');
        new MutationObserver((_, observer) => {
          observer.disconnect();
          window.took = performance.now() - window.from;
        }).observe(frame, { childList: true });
      });
      await page.keyboard.press('1');
      await movedOn(page, id);
      times.push(await page.evaluate(() => window.took));
    }
    times.sort((a, b) => a - b);
    console.log(`  key to next image: median ${times[10].toFixed(1)} ms, most ${times.at(-1).toFixed(1)} ms`);
    await page.goto(`${new URL(server.url).origin}/#browse`);
    await page.waitForSelector('.tile');
    for (let i = 0; i < 12; i += 1) {
      await page.locator('#grid').evaluate((one) => {
        one.scrollTop = one.scrollHeight;
      });
      await page.waitForTimeout(80);
    }
    const tiles = await page.locator('.tile').count();
    assert.ok(tiles < 200, `${tiles} tiles in the page`);
    assert.match(await page.locator('.found').innerText(), /100,000 images/);
    await page.locator('#grid').focus();
    const took = await page.evaluate(async () => {
      const all = [];
      for (let i = 0; i < 10; i += 1) {
        const from = performance.now();
        document
          .getElementById('grid')
          .dispatchEvent(new KeyboardEvent('keydown', { code: 'ArrowDown', key: 'ArrowDown', bubbles: true }));
        all.push(performance.now() - from);
        await new Promise(requestAnimationFrame);
      }
      return all.sort((a, b) => a - b)[5];
    });
    console.log(`  a key in the grid: median ${took.toFixed(1)} ms`);
    await end(page);
  } finally {
    await server.close();
  }
});
