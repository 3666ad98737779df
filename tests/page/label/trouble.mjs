// What goes wrong, and who may not: nothing is lost, everything is said.

import assert from 'node:assert/strict';
import {
  address,
  allowFailures,
  api,
  check,
  end,
  go,
  movedOn,
  origin,
  said,
  shown,
  stateOf,
  visit,
  waitFor,
} from './browser.mjs';

await check('who comes without the token is told where to find it', async () => {
  allowFailures();
  const page = await visit({ person: null, signIn: false });
  const response = await page.goto(`${origin}/`);
  assert.equal(response.status(), 401);
  assert.match(await page.content(), /vabal label/);
  await end(page);
});

await check('the page does not move on before the server has the answer; keys meanwhile wait for the images that follow', async () => {
  const page = await visit();
  const { classes } = await api(page, '/api/project');
  const id = await shown(page);
  const sent = [];
  // The first answer is held until it is let go, however slow the machine is.
  let letGo;
  const held = new Promise((resolve) => {
    letGo = resolve;
  });
  const asked = page.waitForRequest('**/api/answers');
  await page.route('**/api/answers', async (route) => {
    sent.push(route.request().postDataJSON().answers[0]);
    await held;
    await route.continue();
  });
  await page.keyboard.press('1');
  await asked;
  for (const key of ['2', 'u', '1']) await page.keyboard.press(key);
  await waitFor('it says that keys wait', async () => /^3 keys waiting/.test(await page.locator('#count-line').innerText()));
  assert.equal(await shown(page), id);
  assert.equal(sent.length, 1);
  letGo();
  await waitFor('all of it is sent', () => sent.length === 4, 20_000);
  assert.equal(new Set(sent.map((one) => one.image)).size, 4, 'two keys for one image');
  assert.deepEqual(
    sent.map((one) => (one.act === 'label' ? one.class : one.act)),
    [classes[0].id, classes[1].id, 'unsure', classes[0].id],
  );
  await waitFor('the last is saved', async () => (await stateOf(page, sent[3].image)).state === 'labelled');
  await page.unroute('**/api/answers');
  for (let i = 0; i < 4; i += 1) await api(page, '/api/undo', { person: 'Ada' });
  await end(page);
});

await check('sixty keys at once: each answers an image of its own, in order; as many undos take all of them back', async () => {
  const page = await visit({ person: 'Flo' });
  const { classes } = await api(page, '/api/project');
  const sent = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/api/answers')) sent.push(request.postDataJSON().answers[0]);
  });
  const press = (codes) =>
    page.evaluate((all) => {
      for (const [code, key] of all)
        document.body.dispatchEvent(new KeyboardEvent('keydown', { code, key, bubbles: true, cancelable: true }));
    }, codes);
  await press(Array.from({ length: 60 }, (_, i) => [`Digit${1 + (i % 2)}`, String(1 + (i % 2))]));
  const labelled = async () => {
    const { images } = await api(page, '/api/images?state=labelled&limit=1000');
    const ids = new Set(sent.map((one) => one.image));
    return images.filter((image) => ids.has(image.id)).length;
  };
  await waitFor('sixty are saved', async () => sent.length === 60 && (await labelled()) === 60, 60_000);
  assert.equal(new Set(sent.map((one) => one.image)).size, 60);
  assert.deepEqual(
    sent.map((one) => one.class),
    sent.map((_, i) => classes[i % 2].id),
  );
  await press(Array.from({ length: 60 }, () => ['Backspace', 'Backspace']));
  await waitFor('all are open again', async () => (await labelled()) === 0, 60_000);
  await waitFor('the first of them is back', async () => (await shown(page)) === sent[0].image);
  await end(page);
});

await check('undo while the server is away: at once on the screen, in order on the server when it is back', async () => {
  allowFailures();
  const page = await visit({ person: 'Ulf' });
  const ids = [];
  const label = async () => {
    const id = await shown(page);
    ids.push(id);
    await page.keyboard.press('1');
    await movedOn(page, id);
  };
  await label();
  await label();
  await page.route('**/api/**', (route) => route.abort());
  await label();
  const trouble = async (text) =>
    waitFor(text.source, async () => text.test(await page.locator('#trouble').innerText()));
  await trouble(/1 answer not saved/);
  // The first undo takes back what waits, the second what the server has.
  for (const place of [2, 1]) {
    await page.keyboard.press('Backspace');
    await waitFor(`image ${place} is back`, async () => (await shown(page)) === ids[place]);
  }
  await trouble(/1 answer and 2 undos not saved|2 undos not saved|1 undo not saved/);
  // What is answered after that waits behind it, also over a reload.
  await page.keyboard.press('2');
  await movedOn(page, ids[1]);
  page.once('dialog', (dialog) => dialog.accept());
  await page.unroute('**/api/**');
  await page.reload();
  await page.waitForSelector('.view.label .frame img');
  await waitFor('it is sent', async () => {
    const images = [];
    for (const id of ids) images.push(await stateOf(page, id));
    const { classes } = await api(page, '/api/project');
    return (
      images[0].class === classes[0].id && images[1].class === classes[1].id && images[2].state === 'open'
    );
  });
  await waitFor('the trouble is over', async () => (await page.locator('#trouble').innerText()) === '');
  const { history } = await api(page, `/api/images/${ids[1]}`);
  assert.deepEqual(
    history.filter((one) => one.person === 'Ulf').map((one) => [one.act, one.undone]),
    [['label', true], ['undo', false], ['label', false]],
  );
  for (let i = 0; i < 2; i += 1) await api(page, '/api/undo', { person: 'Ulf' });
  await end(page);
});

await check(
  'a full disk, a silent server, an end of the session: answers are kept and sent again with the same token',
  async () => {
    allowFailures();
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
  allowFailures();
  const page = await visit();
  await go(page, 'exchange');
  await page.route('**/api/export**', (route) =>
    route.fulfill({
      status: 507,
      contentType: 'application/json',
      body: JSON.stringify({ error: { what: 'the disk is full' } }),
    }),
  );
  await page.click('a[href="api/export?format=csv"]');
  await waitFor('it says so', async () => /disk is full/i.test(await said(page)));
  await end(page);
});

await check('an answer the server never takes is not lost silently, and the page stays', async () => {
  allowFailures();
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
  allowFailures();
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

await check('an image not on the screen cannot be labelled', async () => {
  allowFailures();
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
