// The real server: `vabal init` over a folder of pictures made on the spot, then `vabal label`; killed and started again
// on request. Never here: a check.

import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { draw, speck } from './pictures.mjs';

export const CLASSES = ['crazing', 'patches', 'pitted surface'];
// What pictures.mjs draws for each of them.
const KINDS = [0, 2, 3];
// Enough that nobody runs out: each of the persons who label here holds a dozen for ten minutes.
const IMAGES = 640;
// Small and quick: what the page does does not depend on how well the networks have learnt.
const QUICK = { backbone: 'none', passes: 300, size: 16, first: 12, retrain_every: 12, strategy: 'entropy' };
/** The class an image of this path is of, by its place. */
export const truth = (path) => CLASSES.findIndex((name) => path.startsWith(name.split(' ')[0]));

/** Pictures with something to see, some of other shapes, some twice. */
const surfaces = (n) => (images) => {
  for (let i = 0; i < n; i += 1) {
    const kind = i % KINDS.length;
    const picture = draw(...(i % 11 === 3 ? [120, 80] : [48, 48]), KINDS[kind], i);
    const name = `${CLASSES[kind].split(' ')[0]}_${String(i).padStart(3, '0')}`;
    writeFileSync(join(images, `${name}.png`), picture);
    if (i % 30 === 7) writeFileSync(join(images, `${name}_copy.png`), picture);
  }
};

/** `n` tiny pictures, no two the same, a thousand in a folder. */
export const specks = (n) => (images) => {
  for (let i = 0; i < n; i += 1) {
    const folder = join(images, String(Math.floor(i / 1000)).padStart(3, '0'));
    if (i % 1000 === 0) mkdirSync(folder);
    writeFileSync(join(folder, `${String(i).padStart(6, '0')}.png`), speck(i));
  }
};

function give(path, user) {
  chownSync(path, user, user);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) give(join(path, entry.name), user);
    else chownSync(join(path, entry.name), user, user);
  }
}

/**
 * Makes a project and serves it. Resolves to {url, folder, project, images, start, kill, close}; each start is at the same
 * port, with the token that the project keeps. `make` draws the images, `parent` is where all of it lies, `user` the number of the user whose
 * it is and who serves, if not this one.
 */
export async function serve(
  program,
  { images: n = IMAGES, make = surfaces(n), classes = CLASSES, set = {}, parent = tmpdir(), user = null } = {},
) {
  const folder = mkdtempSync(join(parent, 'vabal-page-'));
  const images = join(folder, 'images');
  const project = join(folder, 'project');
  mkdirSync(images);
  make(images);
  execFileSync(program, [
    ...['init', project, '--images', images, '--classes', classes.join(','), '--quiet'],
    ...Object.entries({ ...QUICK, ...set }).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
  ]);
  let served = program;
  if (user !== null) {
    // Where the program is, that user may not look.
    served = join(folder, 'vabal');
    copyFileSync(program, served);
    chmodSync(served, 0o755);
    give(folder, user);
  }

  let child = null;
  // Whatever ends the checks, no server stays behind.
  process.once('exit', () => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const ended = () => new Promise((resolve) => child.once('exit', resolve));
  const server = {
    url: null,
    folder,
    project,
    images,
    /** Starts the server, at the port it had. */
    async start() {
      const port = server.url ? new URL(server.url).port : '0';
      child = spawn(served, ['label', project, '--no-open', '--port', port], {
        stdio: ['ignore', 'pipe', 'pipe'],
        ...(user === null ? {} : { uid: user, gid: user }),
      });
      server.url = await new Promise((resolve, reject) => {
        let text = '';
        const hear = (part) => {
          text += part;
          const found = /http:\/\/\S+\?token=\w+/.exec(text);
          if (found) resolve(found[0]);
        };
        child.stdout.on('data', hear);
        child.stderr.on('data', hear);
        child.once('error', reject);
        child.once('exit', (code) => reject(new Error(`vabal label ended with ${code}: ${text}`)));
      });
    },
    /** Ends it as a power cut would. */
    async kill() {
      const end = ended();
      child.kill('SIGKILL');
      await end;
    },
    /** Ends it as Ctrl-C would, and takes all of it away unless it is to be started again. Resolves to its exit code. */
    async close(away = true) {
      const end = ended();
      child.kill('SIGINT');
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
      const code = await end;
      clearTimeout(late);
      if (away) rmSync(folder, { recursive: true, force: true });
      return code;
    },
  };
  await server.start();
  return server;
}
