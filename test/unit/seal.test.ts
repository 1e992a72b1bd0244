/** D2, D5, Z11: sealed backups: what goes in comes out, and nothing else does; `age` opens them. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { Readable } from 'node:stream';
import type { Duplex } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { sealing, unsealing } from '../../src/backup/seal.ts';
import { findAge } from '../support/age.ts';

const run = promisify(execFile);

const KEY = 'a-backup-key-of-tests-0123456789abcdef';
const CHUNK = 64 * 1024;
const TAG = 16;

/** In pieces of an odd size, as a pipe brings them. */
async function through(bytes: Buffer, stream: Duplex): Promise<Buffer> {
  const pieces = Array.from({ length: Math.ceil(bytes.length / 65_521) }, (_, index) =>
    bytes.subarray(index * 65_521, (index + 1) * 65_521),
  );
  return buffer(Readable.from(pieces).compose(stream));
}

test('D2 D5 what was sealed opens with its key, whatever its size, and no two files are alike', async () => {
  for (const size of [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7]) {
    const plain = randomBytes(size);
    const [sealed, again] = [await through(plain, sealing(KEY)), await through(plain, sealing(KEY))];
    assert.ok((await through(sealed, unsealing(KEY))).equals(plain), `${size} bytes`);
    assert.ok(!sealed.equals(again));
    assert.ok(size < 16 || !sealed.includes(plain.subarray(0, 16)));
  }
});

test('D2 D5 another key, a changed bit anywhere, a missing end, chunks in another order, more after the end: all refused', async () => {
  const sealed = await through(randomBytes(3 * CHUNK), sealing(KEY));
  // The header ends with a line of its MAC, the file's nonce (16 bytes) follows.
  const head = sealed.indexOf('\n', sealed.indexOf('\n--- ') + 1) + 1 + 16;
  const frame = CHUNK + TAG;
  const flipped = (at: number) => Buffer.concat([sealed.subarray(0, at), Buffer.from([(sealed[at] ?? 0) ^ 1]), sealed.subarray(at + 1)]);
  const chunk = (index: number) => sealed.subarray(head + index * frame, head + (index + 1) * frame);
  const bad: Record<string, Buffer> = {
    ...Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`head ${index}`, flipped(Math.floor((index * (head - 1)) / 11))])),
    'first byte': flipped(head),
    'last byte': flipped(sealed.length - TAG - 1),
    tag: flipped(sealed.length - 1),
    'cut between chunks': sealed.subarray(0, head + 2 * frame),
    'cut inside a chunk': sealed.subarray(0, head + 100),
    'only a head': sealed.subarray(0, head),
    nothing: Buffer.alloc(0),
    order: Buffer.concat([sealed.subarray(0, head), chunk(1), chunk(0), chunk(2)]),
    'a chunk left out': Buffer.concat([sealed.subarray(0, head), chunk(0), chunk(2)]),
    more: Buffer.concat([sealed, chunk(2)]),
    'one byte more': Buffer.concat([sealed, Buffer.from('x')]),
  };
  for (const [what, bytes] of Object.entries(bad)) await assert.rejects(through(bytes, unsealing(KEY)), /backup/, what);
  await assert.rejects(through(sealed, unsealing(`${KEY}x`)), /another one/);
});

test('Z11 what was sealed before 0.1.0 is refused by the name of its format, and what is not sealed at all by another sentence', async () => {
  await assert.rejects(through(Buffer.from('WHATS-AGENTS-SEALED-1\nand more of it'), unsealing(KEY)), /by a version before 0\.1\.0/);
  await assert.rejects(through(Buffer.from('PGDMP and so on, longer than a head'), unsealing(KEY)), /no encrypted backup/);
});

test('Z11 `age -d` opens what was sealed, asking for the key, and what `age -p` wrote opens here', async (t) => {
  const age = await findAge();
  if ('missing' in age) return t.skip(age.missing);
  const folder = await mkdtemp(path.join(tmpdir(), 'whats-agents-age-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const at = (name: string): string => path.join(folder, name);
  const plain = randomBytes(3 * CHUNK + 7);
  await writeFile(at('backup.age'), await through(plain, sealing(KEY)));
  // It asks on a terminal, which `script` is.
  const typed = (command: string, keys: string) =>
    run('/bin/sh', ['-c', `printf '${keys}' | script -qec "${command}" /dev/null`], { cwd: folder });
  await typed(`${age.program} -d -o backup backup.age`, `${KEY}\\n`);
  assert.ok((await readFile(at('backup'))).equals(plain));
  await typed(`${age.program} -p -o theirs.age backup`, `${KEY}\\n${KEY}\\n`);
  assert.ok((await through(await readFile(at('theirs.age')), unsealing(KEY))).equals(plain));
});
