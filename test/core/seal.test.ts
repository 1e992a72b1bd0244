/** D2, D5: sealed backups: what goes in comes out, and nothing else does. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { sealing, unsealing } from '../../src/backup/seal.ts';

const KEY = 'a-backup-key-of-tests-0123456789abcdef';
const CHUNK = 1024 * 1024;
/** Before the first chunk: the magic and the salt. */
const HEAD = 22 + 16;

/** In pieces of an odd size, as a pipe brings them. */
async function through(bytes: Buffer, stream: ReturnType<typeof sealing>): Promise<Buffer> {
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
  const frame = CHUNK + 4 + 16;
  const flipped = (at: number) => Buffer.concat([sealed.subarray(0, at), Buffer.from([(sealed[at] ?? 0) ^ 1]), sealed.subarray(at + 1)]);
  const chunk = (index: number) => sealed.subarray(HEAD + index * frame, HEAD + (index + 1) * frame);
  const head = sealed.subarray(0, HEAD);
  const bad: Record<string, Buffer> = {
    magic: flipped(3),
    salt: flipped(25),
    length: flipped(HEAD + 1),
    'first byte': flipped(HEAD + 4),
    'last byte': flipped(sealed.length - 17),
    tag: flipped(sealed.length - 1),
    'cut between chunks': sealed.subarray(0, HEAD + 2 * frame),
    'cut inside a chunk': sealed.subarray(0, HEAD + 100),
    'only a head': head,
    nothing: Buffer.alloc(0),
    order: Buffer.concat([head, chunk(1), chunk(0), chunk(2)]),
    'a chunk left out': Buffer.concat([head, chunk(0), chunk(2)]),
    more: Buffer.concat([sealed, chunk(2)]),
    'one byte more': Buffer.concat([sealed, Buffer.from('x')]),
  };
  for (const [what, bytes] of Object.entries(bad)) await assert.rejects(through(bytes, unsealing(KEY)), /backup/, what);
  await assert.rejects(through(sealed, unsealing(`${KEY}x`)), /another one/);
});
