// Answers given by keys: saved, said, undone, found again.

import assert from 'node:assert/strict';
import {
  address,
  allowFailures,
  api,
  browser,
  check,
  end,
  go,
  known,
  movedOn,
  origin,
  said,
  shown,
  stateOf,
  suggested,
  visit,
  waitFor,
} from './browser.mjs';

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
  // Another project of this browser is at another port, which has a store of its own and the same cookies.
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await page.waitForSelector('.view.label .frame img');
  assert.equal(await page.locator('dialog[open]').count(), 0);
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

await check('a key waits for the answer alone, and the next image is there already decoded', async () => {
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
  // Questions and images that do not come hold nothing up: what is shown next was there before.
  await page.route(/\/api\/next|\/image\/\d+$/, () => {});
  const held = await shown(page);
  await page.keyboard.press('1');
  await movedOn(page, held);
  await page.unroute(/\/api\/next|\/image\/\d+$/);
  assert.ok(
    times.every((one) => one.decoded),
    'an image was shown before it was decoded',
  );
  for (let i = 0; i < 9; i += 1) await api(page, '/api/undo', { person: 'Ada' });
  await end(page);
});

await check('Enter accepts the suggestion, and says so to the server', async () => {
  const page = await visit();
  const image = await suggested(page);
  assert.ok(image || !known, 'nothing is suggested');
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
  assert.ok(image || !known, 'nothing is suggested');
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
  allowFailures();
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

await check('size and place stay from image to image, and a small image is at most eight times as large', async () => {
  const page = await visit();
  const look = () => page.locator('.view.label .frame img').evaluate((one) => one.style.transform);
  const scale = async () => Number(/scale\(([\d.]+)\)/.exec(await look())[1]);
  const sizes = async () => (await page.locator('.caption .size').first().innerText()).split(' × ').map(Number);
  const next = async () => {
    const id = await shown(page);
    await page.keyboard.press('ArrowRight');
    await movedOn(page, id);
  };
  assert.ok((await scale()) <= 8, `${await scale()} times as large`);
  assert.equal(await page.locator('.view.label .frame img.sharp').count(), 0, 'pixels are sharp without being asked for');
  for (let i = 0; i < 6; i += 1) await page.keyboard.press('+');
  await page.mouse.move(300, 300);
  await page.mouse.down();
  await page.mouse.move(260, 330);
  await page.mouse.up();
  const before = await look();
  const size = String(await sizes());
  let same = 0;
  for (let i = 0; i < 12 && same < 2; i += 1) {
    await next();
    if (String(await sizes()) !== size) continue;
    same += 1;
    assert.equal(await look(), before);
  }
  assert.equal(same, 2, 'no image of the same size among twelve');
  await page.keyboard.press('0');
  assert.ok((await scale()) <= 8);
  await end(page);
});

await check('two tabs of one person are asked different images, and each hears what the other saves', async () => {
  const page = await visit({ person: 'Zoe' });
  const other = await page.context().newPage();
  await other.goto(address);
  await other.waitForSelector('.view.label .frame img');
  const seen = [[], []];
  for (let i = 0; i < 8; i += 1)
    for (const [place, tab] of [page, other].entries()) {
      const id = await shown(tab);
      seen[place].push(id);
      await tab.keyboard.press('1');
      await movedOn(tab, id);
    }
  assert.equal(new Set(seen.flat()).size, 16, `asked twice: ${JSON.stringify(seen)}`);
  for (let i = 0; i < 16; i += 1) await api(page, '/api/undo', { person: 'Zoe' });
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

await check('exact copies take the label on request, and one undo takes all back', async () => {
  const page = await visit({ person: 'Kim' });
  const { groups } = await api(page, '/api/duplicates?near=0&limit=30');
  const image = groups.find((all) => all.images.every((other) => other.state === 'open' && !other.missing))?.images[0];
  assert.ok(image || !known, 'there are no copies');
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

await check('who is faster than the questions waits for them, and goes on', async () => {
  const page = await visit({ person: 'Ann' });
  await page.route('**/api/next**', async (route) => {
    await new Promise((resolve) => {
      setTimeout(resolve, 1500);
    });
    await route.continue();
  });
  const seen = new Set();
  for (let i = 0; i < 30; i += 1) {
    await waitFor(
      'an image',
      async () => (await page.locator('.empty:not([hidden])').count()) === 0 && !seen.has(await shown(page)),
    );
    const id = await shown(page);
    seen.add(id);
    await page.keyboard.press('ArrowRight');
  }
  assert.equal(seen.size, 30);
  await end(page);
});
