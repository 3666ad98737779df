// Every view: what it does, whether it is accessible, how it looks (SHOTS=folder).

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  api,
  check,
  end,
  faults,
  go,
  known,
  movedOn,
  origin,
  said,
  shown,
  stateOf,
  visit,
  waitFor,
} from './browser.mjs';

const axe = createRequire(import.meta.url).resolve('axe-core');
const shots = process.env.SHOTS;
if (shots) mkdirSync(shots, { recursive: true });

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

await check('grid: Enter accepts suggestions for what has no label, and overwrites nothing', async () => {
  const page = await visit({ person: 'Gus' });
  await go(page, 'browse');
  await page.waitForSelector('.tile');
  await page.locator('#grid').focus();
  await page.keyboard.press('Control+a');
  const request = page.waitForRequest('**/api/answers', { timeout: 3000 }).catch(() => null);
  const before = await api(page, '/api/images?limit=100');
  await page.keyboard.press('Enter');
  const sent = await request;
  if (sent) {
    const open = new Map(before.images.map((one) => [one.id, one]));
    for (const one of sent.postDataJSON().answers) {
      const image = open.get(one.image);
      if (!image) continue;
      assert.ok(!['labelled', 'discarded'].includes(image.state), `image ${image.id} was ${image.state}`);
      assert.equal(one.class, image.suggestion.class);
    }
    await waitFor('it says so', async () => /labelled \d+ image/.test(await said(page)));
    await api(page, '/api/undo', { person: 'Gus' });
  }
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

await check('classes: add, rename, give a key, move, merge and take it back, delete', async () => {
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
  const there = async () => (await api(page, '/api/project')).classes.some((one) => one.id === added.id);
  await waitFor('merged', async () => !(await there()));
  assert.equal((await stateOf(page, id)).class, target.id);
  await page.click(`#class-split-${added.id}`);
  await waitFor('a class again', there);
  assert.equal((await stateOf(page, id)).class, added.id);
  assert.equal(await page.locator(`#class-delete-${added.id}`).count(), 0, 'it can be deleted with a label');
  await api(page, '/api/undo', { person: 'Ada' });
  await page.reload();
  await page.click(`#class-delete-${added.id}`);
  await waitFor('deleted', async () => !(await there()));
  await end(page);
});

await check('the strategy can be changed on the page', async () => {
  const page = await visit();
  const { strategy } = (await api(page, '/api/project')).settings;
  await go(page, 'progress');
  await page.click('text=Settings');
  assert.equal(await page.locator('#set-strategy').inputValue(), strategy);
  await page.selectOption('#set-strategy', 'margin');
  await page.click('dialog[open] button.main');
  await waitFor('it is set', async () => (await api(page, '/api/project')).settings.strategy === 'margin');
  await api(page, '/api/settings', { strategy }, 'PUT');
  await end(page);
});

await check('in Review Enter keeps the label, another key takes the suggestion', async () => {
  const page = await visit();
  const { images } = await api(page, '/api/review?kind=doubt&limit=60');
  const place = images.findIndex((one) => one.suggestion && one.suggestion.class !== one.class);
  const image = images[Math.max(place, 0)];
  assert.ok(image || !known, 'nothing is doubted');
  if (image) {
    await go(page, 'review?kind=doubt');
    for (const [key, expected] of [
      ['Enter', image.class],
      ...(place < 0 ? [] : [['Shift+Enter', image.suggestion.class]]),
    ]) {
      await page.locator(`#review-${image.id}`).click();
      await waitFor('it is shown', async () =>
        (await page.locator('.view.review .frame img').getAttribute('src'))?.endsWith(`/${image.id}`),
      );
      const request = page.waitForRequest('**/api/answers');
      await page.keyboard.press(key);
      const [answer] = (await request).postDataJSON().answers;
      assert.deepEqual([answer.image, answer.act, answer.class], [image.id, 'label', expected]);
      await waitFor('it says so', async () => /settled/.test(await said(page)));
      await api(page, '/api/undo', { person: 'Ada' });
    }
  }
  await end(page);
});

await check('a class has a description and examples, beside the image on one key; an image a note and a flag', async () => {
  const page = await visit();
  const { classes } = await api(page, '/api/project');
  const [one] = classes;
  await go(page, 'classes');
  await page.click(`#class-describe-${one.id}`);
  await page.fill('#description', 'fine lines\nlike a net');
  await page.click('dialog[open] button.main');
  await waitFor('it is saved', async () => (await api(page, '/api/project')).guides[0]?.description === 'fine lines\nlike a net');
  await go(page, 'label');
  const id = await shown(page);
  const guide = page.locator('.view.label .guide');
  assert.equal(await guide.isVisible(), false);
  await page.keyboard.press('.');
  assert.match(await guide.innerText(), /like a net/);
  // It stays for the images that follow; what is labelled can be pinned as an example.
  await page.keyboard.press('1');
  await movedOn(page, id);
  assert.match(await guide.innerText(), /like a net/);
  await page.keyboard.press('ArrowLeft');
  await waitFor('back', async () => (await shown(page)) === id);
  await page.keyboard.press('Shift+F');
  await waitFor('it is flagged', async () => /flagged/.test(await page.locator('.view.label .caption').innerText()));
  await page.keyboard.press('Shift+I');
  await page.click('text=Pin as an example');
  await waitFor('it is pinned', async () => (await guide.locator('img').count()) === 1);
  await page.fill('#image-note', 'see the left edge');
  await page.click('text=Save the note');
  await waitFor('it is noted', async () => (await stateOf(page, id)).note === 'see the left edge');
  assert.equal(await page.locator('dialog[open] .remarks input').isChecked(), true);
  await page.keyboard.press('Escape');
  assert.match(await page.locator('.view.label .caption').innerText(), /see the left edge/);
  await go(page, 'browse?flag=true');
  await waitFor('it alone is listed', async () =>
    (await page.locator('.tile').evaluateAll((all) => all.map((tile) => tile.id))).join() === `tile-${id}`,
  );
  if (shots) {
    await go(page, 'label');
    await page.screenshot({ path: join(shots, 'guide.png') });
  }
  await api(page, `/api/classes/${one.id}/guide`, { description: '' }, 'PUT');
  await api(page, `/api/classes/${one.id}/examples`, { image: id, pinned: false });
  await api(page, `/api/images/${id}/note`, { person: 'Ada', note: '', flag: false }, 'PUT');
  await api(page, '/api/undo', { person: 'Ada' });
  await end(page);
});

await check('the link that skips the views leads to the images of the view at hand', async () => {
  const page = await visit();
  for (const [view, id] of [
    ['browse', 'grid'],
    ['classes', ''],
  ]) {
    await go(page, view);
    if (id) await page.waitForSelector('.tile');
    await page.locator('.skip').focus();
    await page.keyboard.press('Enter');
    assert.ok(page.url().endsWith(`#${view}`), page.url());
    assert.equal(await page.evaluate(() => document.activeElement.closest('.view')?.id), `view-${view}`);
    if (id) assert.equal(await page.evaluate(() => document.activeElement.id), id);
  }
  await end(page);
});

await check('a long name of a class, with a comma in it, fits everywhere', async () => {
  const page = await visit({ width: 390, height: 844 });
  const name = `crack, ${'deep and longer than any line '.repeat(5)}`.trim();
  const one = await api(page, '/api/classes', { name });
  await page.reload();
  for (const view of ['label', 'classes', 'progress', 'browse', 'exchange']) {
    await go(page, view);
    if (view === 'progress') {
      await waitFor('it is there', async () => (await page.locator('#view-progress').innerText()).includes(name));
      const cell = page.locator(`#view-progress [aria-label="Table of classes"] tbody th:has-text("crack,")`);
      assert.ok((await cell.evaluate((box) => box.getBoundingClientRect().width)) < 390, 'the name takes all the width');
    }
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    assert.ok(overflow <= 0, `${view} sticks out by ${overflow} pixels`);
  }
  await api(page, `/api/classes/${one.id}`, {}, 'DELETE');
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

await check('a confusion opens its images; accepting many says what it would cost; who labels is counted', async () => {
  const page = await visit();
  await go(page, 'progress');
  await page.waitForSelector('.figures');
  const status = await api(page, '/api/status');
  const counted = (await page.locator('.persons tbody').allInnerTexts()).join();
  for (const one of status.persons) assert.ok(counted.includes(one.person), one.person);
  const sure = status.acceptance.filter((one) => one.errors !== null && one.images > 0);
  assert.equal(await page.locator('.acceptance').count(), Math.min(1, sure.length));
  if (sure.length > 0) {
    await page.focus('#accept-above');
    await page.keyboard.press('Home');
    assert.match(
      await page.locator('.acceptance [role=status]').innerText(),
      new RegExp(`above ${sure[0].above * 100} %: expect [\\d,]+ errors? in `),
    );
    assert.equal(await page.locator('.acceptance a').getAttribute('href'), `#browse?state=open&low=${sure[0].above * 100}&sort=confidence`);
  }
  const labels = status.confusions.find((one) => one.labels > 0);
  if (labels) {
    const href = `#browse?class=${labels.class}&predicted=${labels.predicted}`;
    const { total } = await api(page, `/api/images?class=${labels.class}&predicted=${labels.predicted}`);
    assert.equal(total, labels.labels);
    await page.locator(`.confusions a[href="${href}"]`).first().click();
    await waitFor('its images', async () => (await page.locator('.found').innerText()).includes(String(total)));
  }
  await end(page);
});

await check(
  'training runs behind, and new suggestions slip in without touching the image on the screen',
  async () => {
    const page = await visit({ person: 'Tim' });
    const id = await shown(page);
    await go(page, 'progress');
    await page.click('text=Train now');
    await page.waitForSelector('progress');
    await go(page, 'label');
    const asked = page.waitForRequest('**/api/next**', { timeout: 90_000 });
    assert.match((await asked).url(), new RegExp(`have=${id}(&|$)`));
    await waitFor('it says so', async () => /new suggestions/.test(await said(page)), 10_000);
    assert.equal(await shown(page), id);
    await end(page);
  },
  { leftOut: known ? null : 'nobody knows how long it trains' },
);

await check('export downloads a file; taking it in again adds nothing', async () => {
  const page = await visit();
  await go(page, 'exchange');
  for (const format of ['csv', 'jsonl', 'label-studio']) {
    const waiting = page.waitForEvent('download');
    await page.click(`a[href="api/export?format=${format}"]`);
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

for (const theme of ['light', 'dark']) {
  for (const [width, height] of [
    [1280, 800],
    [390, 844],
    [844, 390],
  ]) {
    await check(`every view is accessible and fits: ${theme}, ${width} × ${height} pixels`, async () => {
      const page = await visit({ theme, width, height });
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
        const room = await page.evaluate(() =>
          [...document.querySelectorAll('.view:not([hidden]) .frame, .view:not([hidden]) .grid')]
            .filter((one) => one.offsetParent)
            .map((one) => Math.min(one.clientWidth, one.clientHeight)),
        );
        assert.ok(
          room.every((side) => side >= 140),
          `${name}: only ${room} pixels for the images`,
        );
        if (width < 900) {
          const small = await page.evaluate(() =>
            [...document.querySelectorAll('button, .views a')]
              .filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24)
              .map((one) => one.textContent),
          );
          assert.deepEqual(small, [], `${name}: too small for a finger`);
        }
        if ((theme === 'light') === (width === 1280) || name === 'label' || name === 'browse') {
          if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(readFileSync(axe, 'utf8'));
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
      await look('map', async () => {
        await go(page, 'map');
        await page.waitForSelector('.map-legend li, .map-wait:not([hidden]) h2');
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
