/** Who waits for what in a soak: what is lost or doubled is counted, also under repeats. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { jidOf } from '../../bench/messages.ts';
import { openLedger } from '../../bench/soak-ledger.ts';

test('soak: each question has one answer; a second one is doubled, none is waiting, and strangers are nobody of ours', () => {
  const ledger = openLedger(71);
  const [first, second] = [ledger.ask(), ledger.ask()];
  assert.ok(first !== null && second !== null && first !== second);
  const order = ledger.order();
  assert.equal(ledger.waiting(), 3);
  for (const phone of [first, first, order]) assert.equal(ledger.left(jidOf(phone)), true);
  assert.equal(ledger.left(jidOf('5511987200001')), false);
  assert.deepEqual(ledger.tally, { asked: 2, answered: 1, ordered: 1, arrived: 1, doubled: 1 });
  assert.equal(ledger.waiting(), 1, 'the second question');
});

test('soak: who was answered writes again, and nobody writes who waits', () => {
  const ledger = openLedger(71);
  const seen = new Map<string, number>();
  for (let turn = 0; turn < 1_000; turn++) {
    const phone = ledger.ask();
    assert.ok(phone !== null);
    seen.set(phone, (seen.get(phone) ?? 0) + 1);
    ledger.left(jidOf(phone));
  }
  assert.ok(seen.size > 300 && seen.size < 500, `${seen.size} contacts`);
  const silent = openLedger(72);
  const asked = new Set(Array.from({ length: 5_000 }, () => silent.ask()));
  assert.equal(asked.size, 5_000);
  assert.equal(silent.ask(), null, 'all of them wait');
});
