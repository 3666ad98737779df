// Uses the labelling page in a real browser as a person does, by keys above all, and checks what came of it on the server.
//
//   npm ci && node label.mjs target/release/vabal   against `vabal label`, over projects made for it, killed and started again
//   node label.mjs ADDRESS                          against what `vabal label` prints, token included
//   CHROMIUM=/usr/bin/chromium  SHOTS=FOLDER (screenshots of every view)  ONLY=part of the names of checks
//   ASSETS=crates/vabal-web/assets (files of the page as they are there, not as they were built into the program)
//
// At an ADDRESS it needs a project with two classes and 300 open images or more; it adds classes and answers. Never here: the rules of
// the store, the statistics; they are tested where they are made.

import { file, finish } from './label/browser.mjs';

if (file) await import('./label/real.mjs');
await import('./label/answers.mjs');
await import('./label/trouble.mjs');
await import('./label/map.mjs');
await import('./label/views.mjs');
if (file) await import('./label/alike.mjs');
if (file) await import('./label/limits.mjs');
process.exit((await finish()) ? 0 : 1);
