// Opens report pages in a real browser, light and dark, wide and narrow, and checks what only a browser
// can tell: nothing is asked of the network, nothing sticks out, every drawing has its colours, and the
// page passes the accessibility rules of WCAG 2.2 AA.
//
//   npm ci && node report.mjs REPORT.html…        (CHROMIUM=/usr/bin/chromium)
//
// Never here: what the numbers are; that is tested where they are made.

import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium } from 'playwright-core';

const pages = process.argv.slice(2);
const executablePath = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']
  .find((path) => path && existsSync(path));
if (pages.length === 0 || !executablePath) {
  console.error('usage: node report.mjs REPORT.html…\n  hint: needs Chromium (apt-get install chromium), or CHROMIUM=path');
  process.exit(2);
}
const axe = createRequire(import.meta.url).resolve('axe-core');
const faults = [];
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });

for (const path of pages) {
  for (const colorScheme of ['light', 'dark']) {
    for (const width of [1280, 390]) {
      const where = `${path}, ${colorScheme}, ${width} pixels`;
      const fault = (text) => faults.push(`${where}: ${text}`);
      // The page must be readable without scripts: it is first loaded with scripts off.
      const plain = await browser.newContext({ colorScheme, viewport: { width, height: 900 }, javaScriptEnabled: false });
      await look(await plain.newPage(), path, fault);
      await plain.close();
      const context = await browser.newContext({ colorScheme, viewport: { width, height: 900 } });
      const page = await context.newPage();
      await look(page, path, fault);
      await page.evaluate(() => document.querySelectorAll('details').forEach((details) => { details.open = true; }));
      // Colours depend on the theme alone and layout on the width alone, so that two views see them all.
      if ((colorScheme === 'light') === (width === 1280)) {
        await page.addScriptTag({ path: axe });
        const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
        const { violations } = await page.evaluate((values) => window.axe.run(document, { runOnly: { type: 'tag', values } }), tags);
        for (const { id, help, nodes } of violations) {
          fault(`${id}: ${help}: ${nodes.slice(0, 3).map((node) => node.html.slice(0, 120)).join(' ; ')}`);
        }
      }
      const seen = await page.evaluate(() => ({
        overflow: document.documentElement.scrollWidth - window.innerWidth,
        figures: document.querySelectorAll('figure svg').length,
        blank: [...document.querySelectorAll('figure svg')].filter((svg) => {
          const { width, height } = svg.getBoundingClientRect();
          return width < 200 || height < 100;
        }).length,
        uncoloured: [...document.querySelectorAll('figure svg [fill^="var("], figure svg [stroke^="var("]')].filter((shape) => {
          const name = /var\((--[^)]+)\)/.exec(shape.getAttribute('fill') + shape.getAttribute('stroke'))[1];
          return getComputedStyle(shape).getPropertyValue(name) === '';
        }).length,
        cut: [...document.querySelectorAll('figure svg')].flatMap((svg) => {
          const box = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter((text) => {
            const { left, right, top, bottom } = text.getBoundingClientRect();
            return left < box.left - 1 || right > box.right + 1 || top < box.top - 1 || bottom > box.bottom + 1;
          }).map((text) => text.textContent);
        }),
        font: document.fonts.check('16px Inter'),
        broken: [...document.images].filter((image) => !image.complete || image.naturalWidth === 0).length,
        dark: getComputedStyle(document.body).backgroundColor,
      }));
      if (seen.overflow > 0) fault(`sticks out by ${seen.overflow} pixels`);
      if (seen.figures === 0) fault('has no figure');
      if (seen.blank > 0) fault(`${seen.blank} figures have no size`);
      if (seen.uncoloured > 0) fault(`${seen.uncoloured} shapes have no colour`);
      if (seen.cut.length > 0) fault(`text is cut off in a figure: ${seen.cut.slice(0, 5).join(', ')}`);
      if (!seen.font) fault('the font is not inside the page');
      if (seen.broken > 0) fault(`${seen.broken} pictures are broken`);
      const light = seen.dark === 'rgb(255, 255, 255)';
      if (light !== (colorScheme === 'light')) fault(`the ground is ${seen.dark}`);
      await context.close();
    }
  }
}
await browser.close();
for (const fault of faults) console.error(fault);
console.log(faults.length === 0 ? `${pages.length * 4} views are sound` : `${faults.length} faults`);
process.exit(faults.length === 0 ? 0 : 1);

// Loads a page and complains of errors, and of any request beyond the page itself and what it holds.
async function look(page, path, fault) {
  page.on('pageerror', (error) => fault(`script error: ${error.message}`));
  page.on('console', (message) => message.type() === 'error' && fault(`console: ${message.text()}`));
  const address = pathToFileURL(resolve(path)).href;
  page.on('request', (request) => {
    if (request.url() !== address && !request.url().startsWith('data:')) fault(`asks for ${request.url()}`);
  });
  await page.goto(address);
}
