/** What the README says of the kill matrix is what docs/chaos.md has measured. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const read = (file: string): string => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8');

test('X1 the matrix in the README: as many cells and messages as docs/chaos.md, and no cell of that is other than 0 / 0 / 0', () => {
  const measured = read('docs/chaos.md');
  const totals = /(\d+) cells, (\d+) messages: 0 lost, 0 doubled, 0 reordered/.exec(measured);
  assert.ok(totals, 'docs/chaos.md has totals without a loss, a double or a wrong order');
  const [, cells = '', messages = ''] = totals;
  const filled = measured
    .split('\n')
    .filter((line) => /^\| (sig|queue|postgres|evolution|webhook)/.test(line))
    .flatMap((line) => line.split('|').slice(2, -1));
  assert.equal(filled.length, Number(cells));
  assert.deepEqual(
    filled.filter((cell) => !cell.trim().startsWith('0 / 0 / 0')),
    [],
  );
  assert.ok(read('README.md').includes(`${cells} cells, ${messages} messages`), 'README.md');
  assert.ok(read('README.pt-BR.md').includes(`${cells} células, ${messages} mensagens`), 'README.pt-BR.md');
});
