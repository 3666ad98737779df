// The session that docs/guide.md tells of, played: makes its pictures anew, and prints what the commands say.
//
//   npm ci && node guide.mjs target/release/vabal ../../docs/figures > said.txt
//
// What the model learns, and so what it asks and says, depends on the machine: read the guide's numbers again afterwards.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';

const [program, figures] = process.argv.slice(2).map((path) => resolve(path));
if (!figures) {
  console.error('usage: node guide.mjs PROGRAM FOLDER');
  process.exit(2);
}
const cwd = mkdtempSync(join(tmpdir(), 'vabal-guide-'));
execFileSync('python3', [fileURLToPath(new URL('../../scripts/clothes.py', import.meta.url)), cwd]);
const truth = JSON.parse(readFileSync(join(cwd, 'truth.json'), 'utf8'));
const classes = ['trousers', 'dress', 'sandal', 'bag', 'boot'];
const classOf = (path) => classes.indexOf(truth[`photos/${path}`]);
function vabal(line) {
  const said = execFileSync(program, line.split(' '), { cwd, encoding: 'utf8' });
  console.log(`## vabal ${line}\n${said}`);
}
const set = 'first=30 retrain_every=30'.split(' ').map((one) => `--set ${one}`);
vabal(`init clothes --images photos --classes ${classes} ${set.join(' ')}`);

const serving = ['label', 'clothes', '--no-open', '--port', '0'];
const server = spawn(program, serving, { cwd, stdio: ['ignore', 'pipe', 'inherit'] });
process.once('exit', () => {
  server.kill('SIGKILL');
  rmSync(cwd, { recursive: true, force: true });
});
const address = await new Promise((found) => {
  let text = '';
  server.stdout.on('data', (part) => {
    text += part;
    const line = /http:\/\/\S+\?token=\w+/.exec(text);
    if (line) found(new URL(line[0]));
  });
});
async function api(path, body) {
  const response = await fetch(new URL(path, address), {
    method: body ? 'POST' : 'GET',
    headers: { Authorization: `Bearer ${address.searchParams.get('token')}`, 'Content-Type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${await response.text()}`);
  return response.json();
}
async function round(number) {
  for (;;) {
    const pulse = await api('/api/pulse');
    if (pulse.training.state === 'failed') throw new Error(pulse.training.error);
    if (pulse.training.state === 'idle' && pulse.round >= number) return;
    await new Promise((wait) => {
      setTimeout(wait, 200);
    });
  }
}
let token = 0;
function answer(person, image, act, name) {
  token += 1;
  const one = { image, act, seconds: 2, ...(act === 'label' ? { class: name } : {}) };
  return api('/api/answers', { person, token: `guide ${token}`, answers: [one] });
}

// Ada labels until a third of the way to the fourth training; of some images she cannot or will not say what they are.
const skips = new Map([
  [20, 'unsure'],
  [40, 'discard'],
  [55, 'unsure'],
  [70, 'later'],
]);
await round(0);
let trained = 0;
const boots = [];
for (let n = 1; ; n += 1) {
  const [image] = (await api('/api/next?person=Ada&n=1')).questions;
  const act = skips.get(n) ?? 'label';
  const { labels_until_training: left } = await answer('Ada', image.id, act, classOf(image.path));
  if (act === 'label' && classOf(image.path) === 4 && image.suggestion) boots.push(image.id);
  if (left === 0) {
    trained += 1;
    await round(trained);
  } else if (trained === 3 && left <= 20) break;
}
// Ben takes three boots for bags.
for (const image of boots.slice(-3)) await answer('Ben', image, 'label', 3);
vabal('status clothes');
vabal('export clothes --format csv --out labels.csv');
vabal('export clothes --format folders --out data-set --model');
vabal('export clothes --format jsonl --full --out backup.jsonl');
vabal('predict clothes new-photos --out predictions.csv');
console.log(readFileSync(join(cwd, 'predictions.csv'), 'utf8').split('\n').slice(0, 4).join('\n'));
const guesses = readFileSync(join(cwd, 'predictions.csv'), 'utf8').trim().split('\n').slice(1);
const right = guesses.filter((line) => truth[`new-photos/${line.split(',')[0]}`] === line.split(',')[1]);
console.log(`${right.length} of ${guesses.length} are right\n`);
console.log(readFileSync(join(cwd, 'data-set/DATASHEET.md'), 'utf8'));

const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
async function visit(width, height) {
  const viewport = { width, height };
  const context = await browser.newContext({ viewport, reducedMotion: 'reduce', hasTouch: width < 600 });
  await context.addInitScript(() => localStorage.setItem('vabal.person', 'Ada'));
  const page = await context.newPage();
  await page.goto(address.href);
  await page.waitForSelector('.view.label .frame img');
  return page;
}
async function shoot(page, name) {
  await page.evaluate(() => document.fonts.ready);
  if (!(await page.evaluate(() => document.fonts.check('16px Inter')))) throw new Error('the font is not there');
  await page.waitForTimeout(500);
  await page.screenshot({ path: join(figures, `guide-${name}.png`) });
}
const go = async (page, view) => {
  await page.goto(`${address.origin}/#${view}`);
  await page.waitForSelector(`#view-${view.split('?')[0]}:not([hidden])`);
};
const page = await visit(1280, 800);
await go(page, 'progress');
await page.waitForSelector('.figures');
await shoot(page, 'progress');
await page.locator('table').first().scrollIntoViewIfNeeded();
await page.evaluate(() => document.querySelector('#view-progress').scrollTo(0, 1e6));
await page.evaluate(() => document.querySelector('#main').scrollTo(0, 1e6));
await shoot(page, 'classes');
for (const [kind, name] of Object.entries({ conflict: 'conflict', doubt: 'review' })) {
  await go(page, `review?kind=${kind}`);
  await page.locator('[id^=review-]').first().click();
  await shoot(page, name);
}
await go(page, 'browse?state=open&predicted=2&sort=confidence');
await page.waitForSelector('.tile');
await page.locator('#grid').focus();
await page.keyboard.press('ArrowRight');
for (let i = 0; i < 3; i += 1) await page.keyboard.press('Shift+ArrowRight');
await shoot(page, 'grid');
await go(page, 'label');
for (let i = 0; i < 20 && (await page.locator('.accept').count()) === 0; i += 1) {
  await page.keyboard.press('ArrowRight');
  await page.waitForTimeout(200);
}
await shoot(page, 'label');
const narrow = await visit(390, 844);
for (let i = 0; i < 20 && (await narrow.locator('.accept').count()) === 0; i += 1) {
  await narrow.keyboard.press('ArrowRight');
  await narrow.waitForTimeout(200);
}
await shoot(narrow, 'narrow');
await browser.close();

vabal('train clothes');
vabal('query clothes -n 20 --out next.csv');
const [head, ...rows] = readFileSync(join(cwd, 'next.csv'), 'utf8').trim().split('\n');
const filled = rows.slice(0, 5).map((row) => `${row},${truth[`photos/${row.split(',')[1]}`]}`);
writeFileSync(join(cwd, 'filled.csv'), `${head},class\n${filled.join('\n')}\n`);
vabal('import clothes filled.csv');
process.exit(0);
