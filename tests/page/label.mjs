// Uses the labelling page in a real browser as a person does, by keys above all, and checks what came of it on the server.
//
//   npm ci && node label.mjs [ADDRESS]      ADDRESS: what `vabal label` prints, token included; without one, a server in memory
//   CHROMIUM=/usr/bin/chromium  SHOTS=FOLDER (screenshots of every view)  ONLY=part of the names of checks
//
// Needs a project with two classes and a hundred open images or more; it adds classes and answers. Never here: the rules of
// the store, the statistics; they are tested where they are made.

import { finish } from './label/browser.mjs';

await import('./label/answers.mjs');
await import('./label/trouble.mjs');
await import('./label/views.mjs');
process.exit((await finish()) ? 0 : 1);
