/**
 * Loads all code of the product and its packages, starts nothing, and leaves their compiled form in NODE_COMPILE_CACHE. The image is built with it:
 * a container whose /tmp is empty at each start would compile everything again, which costs a second and some 30 MB.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire, flushCompileCache } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** These begin to work when they are loaded. */
const PROGRAMS = new Set(['main.ts', 'migrate.ts', 'cli.ts', 'telemetry.ts', path.join('backup', 'main.ts')]);
const source = path.resolve(import.meta.dirname, '../src');
const resolve = createRequire(path.join(source, 'main.ts')).resolve;

let loaded = 0;
for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
  if (!name.endsWith('.ts')) continue;
  const file = path.join(source, name);
  if (!PROGRAMS.has(path.basename(name))) {
    await import(pathToFileURL(file).href);
    loaded += 1;
  }
  // What is loaded late, and only in some modes or settings.
  for (const [, lazy = ''] of readFileSync(file, 'utf8').matchAll(/\bimport\('([^.'][^']*)'\)/g)) {
    try {
      resolve(lazy);
    } catch {
      continue; // a development package: not in the image
    }
    await import(lazy);
  }
}
flushCompileCache();
process.stdout.write(`compiled ${loaded} files and what they import\n`);
