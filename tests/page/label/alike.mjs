// Questions and their reasons, probabilities on the buttons, and images that are alike, over a project with features.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { allowFailures, api, check, end, file, go, said, shown, visit, waitFor } from './browser.mjs';
import { CLASSES, serve, truth } from './program.mjs';

const other = await serve(file, {
  set: { backbone: 'auto', size: 64, strategy: 'vabal', first: 12, retrain_every: 10_000 },
  images: 120,
});
const visitOther = (options = {}) => visit({ at: other.url, ...options });
const goOther = async (page, view) => {
  await page.goto(`${new URL(other.url).origin}/#${view}`);
  await page.waitForSelector(`#view-${view.split('?')[0]}:not([hidden])`);
};

await check('a cold start says for how many images a question stands', async () => {
  const page = await visitOther();
  await waitFor('the first choice', async () => (await api(page, '/api/pulse')).training.state !== 'running', 120_000);
  const { questions } = await api(page, '/api/next?person=Cold&n=8');
  const texts = questions.map((one) => one.why[0].text);
  assert.ok(texts.some((text) => /^stands for \d+ images like it$/.test(text)), texts.join('; '));
  for (const one of questions) assert.equal(one.holdout, one.why[0].text === 'a random image, to measure');
  await end(page);
});

await check('suggestions of another model come in through the page, with their source, and are no labels', async () => {
  const page = await visitOther({ person: 'Ines' });
  const { images } = await api(page, '/api/images?limit=1000');
  const path = join(tmpdir(), `vabal-model-${process.pid}.csv`);
  writeFileSync(
    path,
    `path,class,confidence\n${images.map((one) => `${one.path},${CLASSES[truth(one.path)]},0.75\n`).join('')}`,
  );
  await goOther(page, 'exchange');
  await page.setInputFiles('#import-file', path);
  await page.selectOption('#import-what', 'suggestions');
  await page.click('text=Take the suggestions in');
  await waitFor('the result', async () => /images with a suggestion/.test(await page.locator('.result').innerText()));
  const { counts, suggestions } = await api(page, '/api/project');
  assert.equal(counts.labelled, 0);
  assert.ok(suggestions.shown && suggestions.images === images.filter((one) => !one.holdout).length);
  await goOther(page, 'label');
  // What is on the screen stays as it is; what comes after has suggestions.
  const before = await shown(page);
  await page.keyboard.press('ArrowRight');
  await waitFor('the next image', async () => (await shown(page)) !== before);
  await waitFor('the suggestion', async () => {
    const { image } = await api(page, `/api/images/${await shown(page)}`);
    if (!image.holdout) return true;
    await page.keyboard.press('ArrowRight');
    return false;
  });
  await waitFor('its source', async () =>
    (await page.locator('.view.label .suggestion').innerText()).includes(suggestions.source),
  );
  await end(page);
});

await check('after a training each question has its own reason, with probabilities on the buttons', async () => {
  const page = await visitOther();
  const { questions } = await api(page, '/api/next?person=Ada&n=40');
  const answers = questions.map(({ id, path }) => ({ image: id, act: 'label', class: truth(path) }));
  await api(page, '/api/answers', { person: 'Ada', token: 'first', answers });
  await waitFor('the training', async () => (await api(page, '/api/project')).round > 0, 120_000);
  await waitFor('it is done', async () => (await api(page, '/api/pulse')).training.state !== 'running', 120_000);
  assert.equal((await api(page, '/api/project')).suggestions.shown, false);
  const next = (await api(page, '/api/next?person=Bea&n=30')).questions;
  const counts = new Map();
  for (const { why } of next.filter((one) => !one.holdout)) counts.set(why[0].text, (counts.get(why[0].text) ?? 0) + 1);
  const asked = next.filter((one) => !one.holdout && one.rank).length;
  assert.ok(asked > 5);
  for (const [text, times] of counts) assert.ok(times * 3 <= asked || /random/.test(text), `${times} of ${asked}: ${text}`);
  await page.reload();
  await page.waitForSelector('.view.label .frame img');
  let held = false;
  let rated = false;
  for (let n = 0; n < 12 && !(held && rated); n += 1) {
    const { image } = await api(page, `/api/images/${await shown(page)}`);
    const buttons = await page.locator('.view.label .class-button .rated').allInnerTexts();
    if (image.holdout) {
      assert.ok(buttons.every((text) => text === ''), 'the holdout has probabilities');
      assert.deepEqual(image.top, []);
      assert.match(await page.locator('.view.label .reasons').innerText(), /A random image, to measure/);
      held = true;
    } else if (image.top.length > 0) {
      for (const { class: id, p } of image.top) {
        const text = await page.locator(`.view.label .class-button[data-class="${id}"]`).innerText();
        const expected = p < 0.005 ? '< 1 %' : `${(100 * p).toFixed(0)} %`;
        assert.ok(text.includes(expected), `${text}: ${expected}`);
      }
      assert.ok(buttons.filter((text) => text !== '').length === Math.min(3, image.top.length));
      // A class keeps its name, also at the beginning of a sentence.
      const reasons = await page.locator('.view.label .reasons').innerText();
      for (const { text } of image.why.filter((one) => CLASSES.some((name) => one.text.startsWith(name)))) {
        assert.ok(reasons.includes(text), `${reasons}: ${text}`);
      }
      await page.keyboard.press('h');
      const hidden = await page.locator('.view.label .class-button .rated').allInnerTexts();
      assert.ok(hidden.every((text) => text === ''), 'hidden suggestions stand on the buttons');
      await page.keyboard.press('h');
      rated = true;
    }
    const id = await shown(page);
    await page.keyboard.press('ArrowRight');
    await waitFor('the next image', async () => (await shown(page)) !== id);
  }
  assert.ok(held && rated, 'no image of the holdout, or none with a suggestion');
  await end(page);
});

await check('more like this: the nearest images, from any view, by a link, with bulk answers', async () => {
  const page = await visitOther({ person: 'Lea' });
  const id = await shown(page);
  const { image } = await api(page, `/api/images/${id}`);
  const name = image.path.split('/').pop();
  await page.keyboard.press('Shift+KeyM');
  await page.waitForSelector('#view-browse:not([hidden]) .tile');
  assert.match(page.url(), new RegExp(`#browse\\?like=${id}$`));
  await waitFor('the chip', async () => (await page.locator('.chip').innerText()).includes(`like ${name}`));
  const { images, total } = await api(page, `/api/images?like=${id}`);
  assert.ok(images.length === 60 && total === 60 && images[0].id === id);
  assert.match(await page.locator('.found').innerText(), /60 images/);
  const kind = truth(image.path);
  const own = images.slice(1, 11).filter((one) => truth(one.path) === kind).length;
  assert.ok(own >= 6, `${own} of ten are of its class`);
  assert.equal(await page.locator('select[name=sort]').isDisabled(), true);
  // A filter holds beside it, and a bulk answer as ever.
  await Promise.all([
    page.waitForResponse((response) => response.url().includes('state=open')),
    page.selectOption('select[name=state]', 'open'),
  ]);
  await waitFor('the filter', async () => page.url().includes('state=open'));
  const open = (await api(page, `/api/images?like=${id}&state=open`)).total;
  await waitFor('its images', async () => (await page.locator('.found').innerText()).startsWith(`${open} image`));
  await page.keyboard.press('Escape');
  await page.locator('#grid').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('Shift+ArrowRight');
  await page.keyboard.press(String(kind + 1));
  await waitFor('two answers', async () => /labelled 2 images/.test(await said(page))).catch(async (error) => {
    throw new Error(`${error.message}, but: ${await said(page)}`);
  });
  await api(page, '/api/undo', { person: 'Lea' });
  // Off again, all images are there.
  await page.click('.chip button');
  await waitFor('the chip is gone', async () => !page.url().includes('like='));
  assert.equal(await page.locator('.chip').isVisible(), false);
  // A link, and from a tile.
  await goOther(page, `browse?like=${images[3].id}`);
  await waitFor('the link', async () =>
    (await page.locator('.chip').innerText()).includes(images[3].path.split('/').pop()),
  );
  await page.locator('.tile').nth(2).click();
  await page.keyboard.press('Shift+KeyM');
  await waitFor('another image', async () => !page.url().endsWith(`like=${images[3].id}`));
  await end(page);
});

await check('without features the control says why there is nothing alike', async () => {
  allowFailures();
  const page = await visit();
  await page.keyboard.press('Shift+KeyM');
  await waitFor('it says why', async () => /trains one from scratch/.test(await said(page)));
  assert.equal(await page.locator('.alike button').getAttribute('aria-disabled'), 'true');
  await go(page, 'browse?like=1');
  await waitFor('the error', async () => /no features/.test(await page.locator('.grid-box .empty').innerText()));
  await end(page);
});

if (process.env.SHOTS) {
  for (const theme of ['light', 'dark'])
    for (const [width, height] of [[1280, 800], [390, 844]]) {
      const page = await visitOther({ theme, width, height, person: 'Shot' });
      const at = (view) => page.screenshot({ path: `${process.env.SHOTS}/ask-${view}-${theme}-${width}.png` });
      for (let n = 0; n < 10 && (await page.locator('.accept').count()) === 0; n += 1) {
        await page.keyboard.press('ArrowRight');
        await page.waitForTimeout(200);
      }
      await at('label');
      await page.keyboard.press('Shift+KeyM');
      await page.waitForSelector('#view-browse:not([hidden]) .tile img');
      await page.waitForTimeout(400);
      await at('browse');
      await end(page);
    }
}

await other.close();
