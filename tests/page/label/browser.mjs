// A browser and a server to be used by checks: signs in, asks the server past the page, collects what goes wrong.
// Never here: a check.

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { serve } from './program.mjs';

const executablePath = [
  process.env.CHROMIUM,
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
].find((path) => path && existsSync(path));
if (!executablePath) {
  console.error('usage: node label.mjs PROGRAM | ADDRESS');
  console.error('  hint: needs Chromium (apt-get install chromium), or CHROMIUM=path');
  process.exit(2);
}
const [given] = process.argv.slice(2);
const isAddress = /^https?:/.test(given ?? '');
if (!given || (!isAddress && !existsSync(given))) {
  console.error(given ? `error: there is no program ${given}` : 'usage: node label.mjs PROGRAM | ADDRESS');
  console.error('  hint: cargo build --release --locked, then node label.mjs target/release/vabal');
  process.exit(2);
}
/** The file of the program; null where an address was given. */
export const file = isAddress ? null : given;
/** The server, started here; null where an address was given. */
export const program = file ? await serve(file) : null;
/** Whether the server is known to have suggestions and copies: what a check needs of them must be there. */
export const known = program !== null;
export let address = program?.url ?? given;
/** The server was started again, with another token. */
export const restarted = () => {
  address = program.url;
};
export const { origin } = new URL(address);
export const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--enable-unsafe-swiftshader'] });
export const faults = [];
let checks = 0;
// Failures asked for by a check; what the browser says of them is no fault.
let expected = false;
/** For the rest of this check, what fails is meant to fail. */
export const allowFailures = () => {
  expected = true;
};

/** A browser of its own, signed in. `person` null: the name is asked for. */
export async function visit({
  person = 'Ada',
  width = 1280,
  height = 800,
  theme = 'light',
  signIn = true,
  at = address,
} = {}) {
  const context = await browser.newContext({
    viewport: { width, height },
    colorScheme: theme,
    acceptDownloads: true,
    hasTouch: width < 900,
    reducedMotion: 'reduce',
  });
  if (person)
    await context.addInitScript((name) => {
      if (!localStorage.getItem('vabal.person')) localStorage.setItem('vabal.person', name);
    }, person);
  if (process.env.ASSETS)
    await context.route(/\/assets\/\w+\.(js|css)$/, (route) =>
      route.fulfill({ path: join(process.env.ASSETS, new URL(route.request().url()).pathname.split('/').pop()) }),
    );
  const page = await context.newPage();
  page.setDefaultTimeout(8000);
  page.on('pageerror', (error) => faults.push(`script error: ${error.stack}`));
  page.on('console', (message) => {
    if (!['error', 'warning'].includes(message.type()) || expected) return;
    // WebGL without a graphics card says that it is slow.
    if (/GL Driver Message/.test(message.text())) return;
    // An image whose file is gone is part of a project's life.
    if (/Failed to load resource/.test(message.text()) && /\/(image|thumb)\//.test(message.location().url)) return;
    faults.push(`console: ${message.text()} ${message.location().url}`);
  });
  page.on('request', (request) => {
    if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).origin !== new URL(at).origin)
      faults.push(`asks for ${request.url()}`);
  });
  if (signIn) {
    await page.goto(at);
    if (person) await page.waitForSelector('.frame img, .empty:not([hidden])');
  }
  return page;
}
export const end = (page) => page.context().close();

/** The server's own word, past the page. */
export const api = (page, path, body, method = body === undefined ? 'GET' : 'POST') =>
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
export const shown = async (page) =>
  Number((await page.locator('.view.label .frame img').first().getAttribute('src')).split('/').pop());
export const said = (page) => page.locator('#said').innerText();
export const stateOf = async (page, id) => (await api(page, `/api/images/${id}`)).image;
export const waitFor = async (what, probe, limit = 6000) => {
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
export const movedOn = (page, id) =>
  waitFor(
    `the page moves on from image ${id}`,
    async () => (await page.locator('.view.label .frame img').count()) > 0 && (await shown(page)) !== id,
  );
/** Goes to an open image with a suggestion; null when there is none near. */
export async function suggested(page) {
  for (let i = 0; i < 30; i += 1) {
    const id = await shown(page);
    const image = await stateOf(page, id);
    if (image.suggestion && image.state === 'open' && (await page.locator('.accept').count()) > 0) return image;
    await page.keyboard.press('ArrowRight');
    await movedOn(page, id);
  }
  return null;
}
export const go = async (page, view) => {
  await page.goto(`${origin}/#${view}`);
  await page.waitForSelector(`#view-${view.split('?')[0]}:not([hidden])`);
};

/** `leftOut`: why this cannot be checked with the server at hand. */
export async function check(name, run, { leftOut = null } = {}) {
  if (process.env.ONLY && !name.includes(process.env.ONLY)) return;
  if (leftOut) {
    console.log(`  left out: ${name}: ${leftOut}`);
    return;
  }
  checks += 1;
  try {
    await run();
  } catch (error) {
    faults.push(`${name}: ${error.stack ?? error}`);
  } finally {
    expected = false;
  }
}

/** Closes everything and says what was found. Resolves to whether all holds. */
export async function finish() {
  await browser.close();
  const code = await program?.close();
  if (code) faults.push(`vabal label ended with ${code} when it was asked to`);
  for (const fault of faults) console.error(fault);
  console.log(
    faults.length === 0
      ? `${checks} checks of the labelling page hold with ${file ?? origin}`
      : `${faults.length} faults in ${checks} checks`,
  );
  return faults.length === 0;
}
