import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createBreakers } from '../../src/breakers.ts';
import type { Breaker, Transition } from '../../src/breakers.ts';

const FIGURES = {
  evolution: { failures: 5, resetSeconds: 300, maxResetSeconds: 1_800 },
  claude: { failures: 3, resetSeconds: 60, maxResetSeconds: 300 },
};

function setUp(t: TestContext, figures = FIGURES) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.parse('2026-03-02T12:00:00Z') });
  const transitions: Transition[] = [];
  const breakers = createBreakers(figures, (transition) => transitions.push(transition));
  t.after(() => breakers[Symbol.dispose]());
  let calls = 0;
  const call = async (breaker: Breaker, failure: string | null) => {
    const guarded = await breaker.run(
      async () => {
        calls += 1;
        return failure;
      },
      (value) => value,
    );
    return guarded.open ? 'open' : 'called';
  };
  const times = async (count: number, breaker: Breaker, failure: string | null): Promise<string[]> => {
    const seen: string[] = [];
    for (let index = 0; index < count; index++) seen.push(await call(breaker, failure));
    return seen;
  };
  return { breakers, transitions, call, times, calls: () => calls, tick: (ms: number) => t.mock.timers.tick(ms) };
}

test('C1 opens: a number after 5 failures, and only that number', async (t) => {
  const { breakers, times, transitions } = setUp(t);
  const bad = breakers.evolution('bad');
  await times(4, bad, 'timeout');
  assert.equal(bad.isOpen(), false);
  await times(1, bad, 'timeout');
  assert.equal(bad.isOpen(), true);
  assert.deepEqual(transitions, [{ breaker: 'evolution', instance: 'bad', state: 'open', reason: 'timeout' }]);
  assert.deepEqual(await times(3, breakers.evolution('good'), null), ['called', 'called', 'called']);
  assert.deepEqual(await times(3, bad, null), ['open', 'open', 'open']);
});

test('C1 opens: the model after 3 failures', async (t) => {
  const { breakers, times } = setUp(t);
  await times(2, breakers.claude(), 'overloaded');
  assert.equal(breakers.claude().isOpen(), false);
  await times(1, breakers.claude(), 'overloaded');
  assert.equal(breakers.claude().isOpen(), true);
});

test('C1 opens: fewer failures than the figure never open it, however few calls there were', async (t) => {
  const { breakers, times } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(4, breaker, null);
  await times(4, breaker, 'timeout');
  assert.equal(breaker.isOpen(), false);
  await times(1, breaker, 'timeout');
  assert.equal(breaker.isOpen(), true);
});

test('C1 opens: a few failures among many good calls do not, nor failures that are minutes old', async (t) => {
  const { breakers, times, tick } = setUp(t);
  const busy = breakers.evolution('busy');
  await times(20, busy, null);
  await times(6, busy, 'timeout');
  assert.equal(busy.isOpen(), false);
  const slow = breakers.evolution('slow');
  for (let index = 0; index < 8; index++) {
    await times(1, slow, 'timeout');
    tick(20_000);
  }
  assert.equal(slow.isOpen(), false);
});

test('C3 no hammering: while open nothing goes out; then one probe at a time, and the wait doubles up to its cap', async (t) => {
  const { breakers, times, call, calls, tick, transitions } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(5, breaker, 'timeout');
  for (const [waited, next] of [
    [300, 600],
    [600, 1_200],
    [1_200, 1_800],
    [1_800, 1_800],
  ] as const) {
    const before = calls();
    assert.equal(breaker.report().recovery_ms, waited * 1_000);
    tick(waited * 1_000 - 1);
    assert.deepEqual(await times(5, breaker, null), Array(5).fill('open'));
    assert.equal(calls(), before);
    tick(1);
    assert.deepEqual(await Promise.all([1, 2, 3, 4].map(() => call(breaker, 'still down'))), ['called', 'open', 'open', 'open']);
    assert.equal(calls(), before + 1, 'one probe');
    assert.equal(breaker.report().recovery_ms, next * 1_000);
  }
  tick(1_800_000);
  assert.equal(await call(breaker, null), 'called');
  assert.deepEqual(
    { open: breaker.isOpen(), state: breaker.report().state, recovery: breaker.report().recovery_ms },
    { open: false, state: 'closed', recovery: 300_000 },
  );
  assert.deepEqual(
    transitions.slice(0, 3).map((each) => each.state),
    ['open', 'half_open', 'open'],
  );
  assert.equal(transitions.at(-1)?.state, 'closed');
});

test('C3 after a recovery it takes as many failures again', async (t) => {
  const { breakers, times, call, tick } = setUp(t, { ...FIGURES, claude: { failures: 3, resetSeconds: 10, maxResetSeconds: 10 } });
  const breaker = breakers.claude();
  await times(3, breaker, 'overloaded');
  tick(10_000);
  assert.equal(await call(breaker, null), 'called');
  await times(2, breaker, 'overloaded');
  assert.equal(breaker.isOpen(), false);
  await times(1, breaker, 'overloaded');
  assert.equal(breaker.isOpen(), true);
});

test('C3 whoever is turned away is told when to come again', async (t) => {
  const { breakers, times, tick } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(5, breaker, 'timeout');
  tick(100_000);
  const turned = await breaker.run(
    async () => null,
    () => null,
  );
  assert.deepEqual(turned, { open: true, retryInMs: 200_000 });
  assert.equal(breaker.retryInMs(), 200_000);
});

test('C5 a reset by hand closes it', async (t) => {
  const { breakers, times, call, transitions } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(5, breaker, 'timeout');
  breaker.reset();
  assert.equal(await call(breaker, null), 'called');
  assert.equal(transitions.at(-1)?.state, 'closed');
});

test('C1 a call that throws is an error of the program, not of the other side, and is not swallowed', async (t) => {
  const { breakers } = setUp(t);
  await assert.rejects(
    breakers.claude().run(
      () => Promise.reject(new RangeError('bug')),
      () => null,
    ),
    RangeError,
  );
});
