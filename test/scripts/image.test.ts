/** The image: built and run by scripts/image-check, which says itself what it cannot check on this machine. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { projectRoot } from '../../scripts/lib/tools.ts';

/** What image-check ends with where it cannot run. */
const CANNOT_RUN = 3;

test('P1 P2 P3 P4 P8 P11 P13 P14 D7 image: the Dockerfile builds, and all modes run from the result as they should', async (t) => {
  const { code, stdout, stderr } = await run('scripts/image-check', ['--git-sha', 'a-commit-of-tests']);
  if (code === CANNOT_RUN) return t.skip(stderr.trim());
  assert.equal(code, 0, `${stdout}\n${stderr}`);
  const said = new Set([...stdout.matchAll(/^ok {6}(\S+)/gm)].map(([, row]) => row));
  for (const row of ['P1', 'P2', 'P3', 'P4', 'P8', 'P11', 'P13', 'P14', 'D7', 'image-check'])
    assert.ok(said.has(row), `${row}:\n${stdout}`);
  assert.match(stdout, /"git_sha":"a-commit-of-tests"/);
  for (const [line] of stdout.matchAll(/^.*(?:NOT CHECKED|memory|MB of it).*$/gm)) t.diagnostic(line);
});

test('P3 image: its base has the Node that the tests run on, and one that the lock file names', async () => {
  const version = /^ARG NODE_IMAGE=docker\.io\/library\/node:([\d.]+)-slim$/m.exec(await text('Dockerfile'))?.[1];
  const lock = JSON.parse(await text('package-lock.json')) as { packages: Record<string, { version?: string }> };
  assert.equal(version, lock.packages['node_modules/node']?.version);
  assert.equal(version, process.versions.node);
});

test('P13 image: it refuses root and a shell in between, and holds only what runs', async () => {
  const dockerfile = await text('Dockerfile');
  assert.match(dockerfile, /^USER 1000:1000$/m);
  assert.match(dockerfile, /^ENTRYPOINT \["\/app\/scripts\/entrypoint\.sh"\]$/m);
  assert.match(dockerfile, /--omit=dev --ignore-scripts/);
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, files = '']) => files.split(' '));
  const ignored = await text('.dockerignore');
  for (const file of copied)
    assert.match(ignored, new RegExp(`^!${file.split('/')[0] === 'scripts' ? file : (file.split('/')[0] ?? '')}$`, 'm'), file);
});

function text(file: string): Promise<string> {
  return readFile(path.join(projectRoot, file), 'utf8');
}

function run(file: string, args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(path.join(projectRoot, file), args, { maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr });
    });
  });
}
