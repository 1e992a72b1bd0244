/** What the product is made of: licences that allow it, packages that are pinned, install scripts that were chosen. Reads what is installed; needs no network. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { projectRoot } from '../../scripts/lib/tools.ts';

type Locked = {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  devOptional?: boolean;
  integrity?: string;
  hasInstallScript?: boolean;
  license?: string;
  link?: boolean;
};

/** Licences that ask for no more than their text. */
const SHIPPED = new Set([
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BSD-0-Clause',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
  // brought by mammoth: jszip, of which the MIT is taken; pako; duck, whose file is the one with two clauses
  '(MIT OR GPL-3.0-or-later)',
  '(MIT AND Zlib)',
  'BSD',
]);
/** Only used while developing, and given to nobody: weak copyleft is fine there. */
const TOOLS = new Set([...SHIPPED, 'MPL-2.0', 'CC-BY-4.0', 'Python-2.0', '(MIT OR CC0-1.0)', 'MIT OR Apache-2.0', '(MIT OR Apache-2.0)']);

const read = (file: string): unknown => JSON.parse(readFileSync(path.join(projectRoot, file), 'utf8'));
const packagesOf = (lock: string): [place: string, locked: Locked][] =>
  Object.entries((read(lock) as { packages: Record<string, Locked> }).packages).filter(([place, { link }]) => place !== '' && !link);
const packages = packagesOf('package-lock.json');
/** The tools of the deploy have a lock of their own: nobody else should install them. */
const DEPLOY = 'scripts/deploy/cli';

test('D6 licences: every package that is shipped, and every tool, has a licence that allows it', () => {
  const found = new Map<string, string[]>();
  for (const [place, locked] of packages) {
    const manifest = path.join(place, 'package.json');
    // Packages for other systems are in the lock file and not on this machine.
    const licence =
      locked.license ?? (existsSync(path.join(projectRoot, manifest)) ? licenceOf(read(manifest) as Licensed) : 'not installed');
    const allowed = locked.dev === true || locked.devOptional === true ? TOOLS : SHIPPED;
    if (licence !== 'not installed' && !allowed.has(licence)) found.set(licence, [...(found.get(licence) ?? []), place]);
  }
  assert.deepEqual([...found], []);
  assert.ok(packages.length > 100);
});

test('D6 Z14 pinned: every package has a checksum, and of what is shipped only chosen ones run a script when they are installed', () => {
  assert.deepEqual(
    [...packages, ...packagesOf(`${DEPLOY}/package-lock.json`)]
      .filter(([, { integrity }]) => !/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? ''))
      .map(([place]) => place),
    [],
    'npm leaves out those for other systems when it has them from node_modules alone: delete their entries and run npm install --package-lock-only',
  );
  const allowed = Object.keys((read('package.json') as { allowScripts: Record<string, boolean> }).allowScripts);
  const scripted = packages
    .filter(([place, { hasInstallScript, dev }]) => hasInstallScript && dev !== true && existsSync(path.join(projectRoot, place)))
    .map(([place]) => place.replace(/^.*node_modules\//, ''));
  assert.deepEqual(
    scripted.filter((name) => !allowed.includes(name)),
    [],
  );
});

test('Z14 scripts: a package runs one when it is installed only where allowScripts names it, root and tools of the deploy', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-scripts-'));
  t.after(() => rm(folder, { recursive: true }));
  const npm = (...parameters: string[]) =>
    promisify(execFile)('npm', [...parameters, '--offline', '--no-audit', '--no-fund', '--loglevel=error'], {
      cwd: folder,
      // as on a machine of its own: what is set here comes from the npm that runs the tests
      env: { PATH: process.env['PATH'], HOME: folder },
    });
  const ran = async () => (await readdir(folder)).filter((name) => name.endsWith('.ran')).toSorted();
  for (const name of ['named', 'stranger']) {
    await mkdir(path.join(folder, name));
    const install = `node -e "require('fs').writeFileSync('${path.join(folder, name)}.ran', '')"`;
    await writeFile(path.join(folder, name, 'package.json'), JSON.stringify({ name, version: '1.0.0', scripts: { install } }));
  }
  await writeFile(
    path.join(folder, 'package.json'),
    JSON.stringify({ dependencies: { named: 'file:named', stranger: 'file:stranger' }, allowScripts: { named: true, stranger: false } }),
  );
  for (const place of ['.', DEPLOY]) {
    await copyFile(path.join(projectRoot, place, '.npmrc'), path.join(folder, '.npmrc'));
    await npm('install');
    assert.deepEqual(await ran(), [], place);
    await npm('ci');
    assert.deepEqual(await ran(), [], place);
  }
  const { stdout } = await promisify(execFile)('bash', ['-c', `${shellFunction('allowed_scripts')}\nallowed_scripts`], { cwd: folder });
  await npm('rebuild', '--ignore-scripts=false', ...stdout.trim().split(' '), 'of-another-system');
  assert.deepEqual(await ran(), ['named.ran']);
});

/** A function of scripts/lib/install.sh, which installs when it is read as a whole. */
function shellFunction(name: string): string {
  const lines = readFileSync(path.join(projectRoot, 'scripts/lib/install.sh'), 'utf8').split('\n');
  const start = lines.indexOf(`${name}() {`);
  assert.ok(start >= 0, name);
  return lines.slice(start, lines.indexOf('}', start) + 1).join('\n');
}

test('Z14 pinned: the workflow installs from lock files only, and the tool of the deploy is an exact release', () => {
  const workflow = readFileSync(path.join(projectRoot, '.github/workflows/ci.yml'), 'utf8');
  assert.doesNotMatch(workflow, /npm (?:install|i|add)\b|npx /);
  assert.ok(workflow.includes(`npm ci --prefix ${DEPLOY} `));
  const { dependencies, allowScripts } = read(`${DEPLOY}/package.json`) as Record<string, Record<string, string>>;
  assert.ok(dependencies !== undefined && allowScripts !== undefined);
  assert.ok(workflow.includes(`npm rebuild --prefix ${DEPLOY} --ignore-scripts=false ${Object.keys(allowScripts).join(' ')}\n`));
  assert.deepEqual(Object.keys(dependencies), ['@railway/cli']);
  for (const version of Object.values(dependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
});

type Licensed = { license?: string | { type?: string }; licenses?: { type?: string }[] };

function licenceOf(manifest: Licensed): string {
  const { license } = manifest;
  return (typeof license === 'string' ? license : license?.type) ?? manifest.licenses?.[0]?.type ?? 'none';
}
