/** I10: files that a model reads are known by their bytes, and no request has more of them than the API takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileKind, filesThatFit, modelFile, pictureFault } from '../../src/claude/files.ts';
import { pagesOf } from '../../src/files/documents.ts';
import { pdf, picture } from '../../simulator/pictures.ts';

test('I10 a picture or a PDF is known by its first bytes, whatever it is called', () => {
  const kinds = [
    ['\xff\xd8\xff\xe0\0\x10JFIF', 'jpeg'],
    ['\x89PNG\r\n\x1a\n\0\0\0\r', 'png'],
    ['GIF89a\x01\0\x01\0\0\0', 'gif'],
    ['RIFF\0\0\0\0WEBPVP8 ', 'webp'],
    ['%PDF-1.7\n%\xe2\xe3\xcf\xd3', 'pdf'],
    ['RIFF\0\0\0\0WAVE', null],
    ['<svg xmlns=""', null],
    ['PK\x03\x04', null],
    ['II*\0', null],
    ['\x89PNG', null],
    ['', null],
  ] as const;
  for (const [head, kind] of kinds) assert.equal(fileKind(Buffer.from(head, 'latin1')), kind, JSON.stringify(head));
});

test('I10 what the API would refuse of a picture is seen before it is asked', () => {
  assert.equal(pictureFault(picture('x')), null);
  assert.equal(pictureFault(picture('x', { width: 8_000 })), null);
  assert.equal(pictureFault(picture('x', { height: 8_001 })), 'too_large');
  assert.equal(pictureFault(Buffer.concat([picture('x'), Buffer.alloc(7_864_320)])), 'too_large');
  assert.equal(pictureFault(Buffer.from('\x89PNG\r\n\x1a\nnada', 'latin1')), 'broken');
  assert.equal(pictureFault(Buffer.from('\xff\xd8\xff', 'latin1')), 'broken');
});

test('I10 of what does not fit into one request the newest stay', () => {
  const photos = Array.from({ length: 22 }, (_, index) => modelFile(picture(String(index)), 'png', 0));
  assert.deepEqual(
    photos.map((file) => filesThatFit(photos, 'claude-haiku-5-5').has(file)),
    [false, false, ...Array.from({ length: 20 }, () => true)],
  );
  const long = [60, 50, 40].map((pages) => modelFile(pdf('x', { pages }), 'pdf', pages));
  const kept = (model: string) => long.map((file) => filesThatFit(long, model).has(file));
  assert.deepEqual(kept('claude-haiku-5-5'), [false, true, true]);
  // it reads 200,000 tokens
  assert.deepEqual(kept('claude-haiku-4-5'), [false, false, false]);
  const large = [1, 2, 3, 4].map(() => modelFile(Buffer.alloc(7_000_000), 'jpeg', 0));
  assert.equal(filesThatFit(large, 'claude-haiku-5-5').size, 2);
});

test('I10 pages of a PDF are counted; one with a password or a defect is told apart', async () => {
  assert.deepEqual(await pagesOf(pdf('x', { pages: 101 })), { kind: 'pages', count: 101, text: null });
  assert.deepEqual(await pagesOf(pdf('x', { locked: true })), { kind: 'locked' });
  assert.equal((await pagesOf(Buffer.from('%PDF-1.7 nada'))).kind, 'broken');
  assert.equal((await pagesOf(pdf('x').subarray(0, 200))).kind, 'broken');
});
