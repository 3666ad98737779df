// The real server: `vabal init` over a folder of pictures made on the spot, then `vabal label`; killed and started again
// on request. Never here: a check.

import { execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { draw } from './pictures.mjs';

export const CLASSES = ['crazing', 'patches', 'pitted surface'];
// What pictures.mjs draws for each of them.
const KINDS = [0, 2, 3];
const IMAGES = 320;
/** The class an image of this path is of, by its place. */
export const truth = (path) => CLASSES.findIndex((name) => path.startsWith(name.split(' ')[0]));

/** Makes a project and serves it. Resolves to {url, kill, start, close}; each start has another token, at the same port. */
export async function serve(program) {
  const folder = mkdtempSync(join(tmpdir(), 'vabal-page-'));
  const images = join(folder, 'images');
  const project = join(folder, 'project');
  mkdirSync(images);
  for (let i = 0; i < IMAGES; i += 1) {
    const kind = i % KINDS.length;
    const picture = draw(...(i % 11 === 3 ? [120, 80] : [48, 48]), KINDS[kind], i);
    const name = `${CLASSES[kind].split(' ')[0]}_${String(i).padStart(3, '0')}`;
    writeFileSync(join(images, `${name}.png`), picture);
    if (i % 30 === 7) writeFileSync(join(images, `${name}_copy.png`), picture);
  }
  // Small and quick: what the page does does not depend on how well the networks have learnt.
  const set = { passes: 300, size: 16, first: 12, retrain_every: 12, strategy: 'entropy' };
  execFileSync(program, [
    ...['init', project, '--images', images, '--classes', CLASSES.join(','), '--quiet'],
    ...Object.entries(set).flatMap(([key, value]) => ['--set', `${key}=${value}`]),
  ]);

  let child = null;
  // Whatever ends the checks, no server stays behind.
  process.once('exit', () => {
    child?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });
  const ended = () => new Promise((resolve) => child.once('exit', resolve));
  const server = {
    url: null,
    /** Starts the server, at the port it had. */
    async start() {
      const port = server.url ? new URL(server.url).port : '0';
      child = spawn(program, ['label', project, '--no-open', '--port', port], { stdio: ['ignore', 'pipe', 'pipe'] });
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
    /** Ends it as Ctrl-C would. Resolves to its exit code. */
    async close() {
      const end = ended();
      child.kill('SIGINT');
      const late = setTimeout(() => child.kill('SIGKILL'), 20_000);
      const code = await end;
      clearTimeout(late);
      return code;
    },
  };
  await server.start();
  return server;
}
