/** What the product does in several places is written in one: the source is read for a second writing of it. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { wakeAll } from '../../src/outbox/wake.ts';

const SRC = path.join(import.meta.dirname, '../../src');

/** The files of src in which the words are found, but for those that may have them. */
function writtenIn(words: RegExp, but: readonly string[]): string[] {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return files.filter((file) => words.test(readFileSync(path.join(SRC, file), 'utf8')) && !but.includes(file.replaceAll(path.sep, '/')));
}

test('D8 waking what is due: in lists of at most 50, in its order, one list after the other; a queue that is away ends it', async () => {
  const woken: number[][] = [];
  let under = 0;
  const wake = async (list: readonly number[]): Promise<void> => {
    assert.equal(under++, 0, 'one at a time');
    await Promise.resolve();
    under--;
    if (list.includes(0)) throw new Error('away');
    woken.push([...list]);
  };
  const many = Array.from({ length: 120 }, (_, index) => 1_000 - index);
  assert.equal(await wakeAll(many, wake), 120);
  assert.equal(await wakeAll([], wake), 0);
  assert.deepEqual(
    woken.map((list) => list.length),
    [50, 50, 20],
  );
  assert.deepEqual(woken.flat(), many);
  await assert.rejects(wakeAll([...many.slice(0, 60), 0, ...many.slice(60)], wake), /away/);
  assert.equal(woken.length, 4);
});

test('D8 waking what is due is written once', () => {
  const loop = /for \(const [^)]+\)+\s*\{?\s*await [\w.]*wake(Turn|Send)\(/;
  assert.match('for (const lane of await sweepSends(ctx.db, 500)) await ctx.queues.wakeSend(lane);', loop);
  assert.deepEqual(writtenIn(loop, []), []);
  assert.deepEqual(writtenIn(/\bsweepSends\(/, ['outbox/calls.ts', 'outbox/wake.ts']), []);
  assert.deepEqual(writtenIn(/\bsweepTurns\(/, ['turns/calls.ts', 'turns/wake.ts']), []);
});

test('E1 telling alerts is written once', () => {
  assert.deepEqual(writtenIn(/\bapplyAlerts\(/, ['watch/alert-calls.ts', 'watch/alerts.ts']), []);
  const [calls] = [readFileSync(path.join(SRC, 'watch/alerts.ts'), 'utf8').match(/\bapplyAlerts\(/g)];
  assert.equal(calls?.length, 1);
});
