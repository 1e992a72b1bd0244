import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { createBreakers } from '../../src/breakers/breakers.ts';
import type { Breaker, Transition } from '../../src/breakers/shell.ts';
import type { BreakerReport } from '../../src/breakers/calls.ts';

const FIGURES = {
  evolution: { failures: 5, resetSeconds: 300, maxResetSeconds: 1_800 },
  claude: { failures: 3, resetSeconds: 60, maxResetSeconds: 300 },
  database: { failures: 5, resetSeconds: 30, maxResetSeconds: 120 },
};

/** One process: nobody else tries. */
const ALONE = { takeTrial: async () => true, endTrial: () => {} };

function setUp(t: TestContext, figures = FIGURES) {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: Date.parse('2026-03-02T12:00:00Z') });
  const transitions: Transition[] = [];
  const probes: string[] = [];
  /** What the harmless call says; null: the other side is there. */
  const world: { probe: string | null } = { probe: null };
  const breakers = createBreakers(figures, {
    process: 'worker-b',
    onTransition: (transition) => transitions.push(transition),
    probe: async (name, instance) => {
      probes.push(`${name}/${instance ?? ''}`);
      return world.probe;
    },
    ...ALONE,
  });
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
  /** Moves the clock, and lets the probe that this starts end. */
  const tick = async (ms: number): Promise<void> => {
    t.mock.timers.tick(ms);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { breakers, transitions, probes, world, call, times, calls: () => calls, tick };
}

const states = (transitions: Transition[]): string[] =>
  transitions.map((each) => `${each.state}${each.reason === null ? '' : `: ${each.reason}`}`);

test('C1 opens: a number after 5 failures, and only that number', async (t) => {
  const { breakers, times, transitions } = setUp(t);
  const bad = breakers.evolution('bad');
  await times(4, bad, 'timeout');
  assert.equal(bad.isOpen(), false);
  await times(1, bad, 'timeout');
  assert.equal(bad.isOpen(), true);
  assert.deepEqual(transitions, [
    { breaker: 'evolution', instance: 'bad', state: 'open', reason: 'timeout', at: '2026-03-02T12:00:00.000Z' },
  ]);
  assert.deepEqual(await times(3, breakers.evolution('good'), null), ['called', 'called', 'called']);
  assert.deepEqual(await times(3, bad, null), ['open', 'open', 'open']);
});

test('C1 opens: the model after 3 failures', async (t) => {
  const { breakers, times } = setUp(t);
  await times(2, breakers.claude('haiku'), 'overloaded');
  assert.equal(breakers.claude('haiku').isOpen(), false);
  await times(1, breakers.claude('haiku'), 'overloaded');
  assert.equal(breakers.claude('haiku').isOpen(), true);
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
    await tick(20_000);
  }
  assert.equal(slow.isOpen(), false);
});

test('C1 C4 opens: the database after 5 failures; timeouts count, and are told apart', async (t) => {
  const { breakers, times } = setUp(t);
  const breaker = breakers.database();
  await times(2, breaker, 'timeout');
  await times(2, breaker, 'unreachable');
  assert.equal(breaker.isOpen(), false);
  await times(1, breaker, 'timeout');
  const { state, failures, timeouts, reason } = breaker.report();
  assert.deepEqual({ state, failures, timeouts, reason }, { state: 'open', failures: 5, timeouts: 3, reason: 'timeout' });
});

for (const [name, waits] of [
  ['evolution', [300, 600, 1_200, 1_800, 1_800]],
  ['claude', [60, 120, 240, 300, 300]],
  ['database', [30, 60, 120, 120]],
] as const) {
  test(`C2 recovers without a restart, without any work: ${name} is probed once after each wait, which doubles up to its cap; C3 nothing else goes out`, async (t) => {
    const { breakers, probes, world, times, calls, tick, transitions } = setUp(t);
    const breaker = name === 'database' ? breakers.database() : breakers[name]('a');
    await times(FIGURES[name].failures, breaker, 'unreachable');
    const before = calls();
    world.probe = 'still away';
    for (const [index, seconds] of waits.entries()) {
      assert.equal(breaker.report().recovery_ms, seconds * 1_000);
      await tick(seconds * 1_000 - 1);
      assert.deepEqual(await times(3, breaker, null), ['open', 'open', 'open']);
      assert.equal(probes.length, index);
      await tick(1);
      assert.equal(probes.length, index + 1, 'exactly one probe');
    }
    assert.equal(calls(), before);
    world.probe = null;
    await tick((waits.at(-1) ?? 0) * 1_000);
    assert.equal(breaker.report().state, 'closed');
    assert.deepEqual(states(transitions).slice(-3), ['open: still away', 'half_open: still away', 'closed: the probe succeeded']);
    assert.deepEqual(await times(2, breaker, null), ['called', 'called']);
    assert.equal(breaker.report().recovery_ms, FIGURES[name].resetSeconds * 1_000);
  });
}

test('C3 no hammering: while a probe is out nothing else goes', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 });
  const probe = Promise.withResolvers<string | null>();
  const breakers = createBreakers(FIGURES, { process: 'w', onTransition: () => {}, probe: () => probe.promise, ...ALONE });
  t.after(() => breakers[Symbol.dispose]());
  const breaker = breakers.claude('haiku');
  const ask = async () =>
    (
      await breaker.run(
        async () => 'down',
        (value) => value,
      )
    ).open;
  for (let index = 0; index < 3; index++) await ask();
  t.mock.timers.tick(60_000);
  assert.equal(breaker.report().state, 'half_open');
  assert.deepEqual(await Promise.all([ask(), ask()]), [true, true]);
  breaker.reset('reset by ana');
  probe.resolve('still down');
  await probe.promise;
  assert.equal(breaker.report().state, 'closed', 'a reset meanwhile makes the verdict of the probe void');
});

test('C3 a call from before the opening that ends while the probe is out decides nothing: the probe does', async (t) => {
  for (const late of [null, 'timeout', undefined]) {
    t.mock.timers.reset();
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 });
    const probe = Promise.withResolvers<string | null>();
    const told: Transition[] = [];
    const breakers = createBreakers(FIGURES, {
      process: 'w',
      onTransition: (each) => told.push(each),
      probe: () => probe.promise,
      ...ALONE,
    });
    t.after(() => breakers[Symbol.dispose]());
    const breaker = breakers.claude('haiku');
    const slow = Promise.withResolvers<string | null | undefined>();
    const ask = (answer: Promise<string | null | undefined>) =>
      breaker.run(
        () => answer,
        (value) => value,
      );
    const early = ask(slow.promise);
    for (let index = 0; index < 3; index++) await ask(Promise.resolve('overloaded'));
    t.mock.timers.tick(60_000);
    slow.resolve(late);
    await early;
    assert.equal(breaker.report().state, 'half_open', String(late));
    assert.deepEqual((await ask(Promise.resolve(null))).open, true);
    probe.resolve(null);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    assert.deepEqual(states(told), ['open: overloaded', 'half_open: overloaded', 'closed: the probe succeeded']);
  }
});

test('C3 on trial: a number that answers but refuses its messages costs one message for each recovery period', async (t) => {
  const { breakers, times, call, tick, calls, transitions } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(5, breaker, 'restricted');
  let sent = calls();
  for (const seconds of [300, 600, 1_200, 1_800, 1_800]) {
    await tick(seconds * 1_000);
    assert.deepEqual([breaker.report().state, breaker.report().on_trial], ['closed', true]);
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => call(breaker, 'restricted'))), ['called', 'open', 'open']);
    assert.equal(calls(), (sent += 1));
    assert.equal(breaker.report().state, 'open');
  }
  await tick(1_800_000);
  assert.equal(await call(breaker, null), 'called');
  assert.deepEqual([breaker.report().on_trial, breaker.report().recovery_ms], [false, 300_000]);
  assert.deepEqual(await Promise.all([1, 2, 3].map(() => call(breaker, null))), ['called', 'called', 'called']);
  assert.deepEqual(states(transitions).slice(-2), ['half_open: restricted', 'closed: the probe succeeded']);
});

test('C3 a call on trial that says nothing leaves the question open', async (t) => {
  const { breakers, times, call, tick } = setUp(t);
  const breaker = breakers.evolution('a');
  await times(5, breaker, 'timeout');
  await tick(300_000);
  await breaker.run(
    async () => null,
    () => undefined,
  );
  assert.equal(breaker.report().on_trial, true);
  await call(breaker, 'timeout');
  assert.equal(breaker.report().state, 'open');
});

test('C3 after a recovery it takes as many failures again', async (t) => {
  const { breakers, times, call, tick } = setUp(t, { ...FIGURES, claude: { failures: 3, resetSeconds: 10, maxResetSeconds: 10 } });
  const breaker = breakers.claude('haiku');
  await times(3, breaker, 'overloaded');
  await tick(10_000);
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
  await tick(100_000);
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
  breakers.reset('evolution', 'b', 'reset by ana');
  assert.equal(breaker.isOpen(), true, 'another number');
  breakers.reset(null, 'a', 'reset by ana');
  assert.equal(await call(breaker, null), 'called');
  assert.deepEqual(states(transitions), ['open: timeout', 'closed: reset by ana']);
});

test('C2 one process probes for all: the others follow the one whose breaker opened first', async (t) => {
  const { breakers, probes, times, call, tick, transitions } = setUp(t);
  const breaker = breakers.evolution('a');
  const elsewhere = (process: string, state: string, opened: string): { process: string; breakers: BreakerReport[] } => ({
    process,
    breakers: [
      { ...breaker.report(), state, reason: 'restricted', opened_at: opened, next_probe_at: '2026-03-02T12:05:00.000Z', follows: null },
    ],
  });
  breakers.follow([elsewhere('worker-a', 'open', '2026-03-02T11:59:00.000Z')]);
  assert.deepEqual([breaker.report().state, breaker.report().follows, breaker.retryInMs()], ['open', 'worker-a', 300_000]);
  assert.equal(await call(breaker, null), 'open');
  await tick(400_000);
  assert.deepEqual(probes, [], 'the other process probes');
  assert.equal(await call(breaker, null), 'open');
  // who follows does not lead
  breakers.evolution('b');
  breakers.follow([
    { process: 'worker-c', breakers: [{ ...breaker.report(), instance: 'b', state: 'open', follows: 'worker-a' }] },
    elsewhere('worker-a', 'half_open', '2026-03-02T11:59:00.000Z'),
  ]);
  assert.equal(breakers.evolution('b').isOpen(), false);
  breakers.follow([]);
  assert.deepEqual([breaker.report().state, breaker.report().on_trial], ['closed', true]);
  assert.equal(await call(breaker, null), 'called');
  assert.deepEqual(states(transitions), ['open: restricted', 'closed: it is closed in worker-a']);
  // open in both at the same time: the smaller name leads, the other follows
  await times(5, breaker, 'timeout');
  const mine = breaker.report().opened_at ?? '';
  breakers.follow([elsewhere('worker-z', 'open', mine)]);
  assert.equal(breaker.report().follows, null);
  breakers.follow([elsewhere('worker-a', 'open', mine)]);
  assert.equal(breaker.report().follows, 'worker-a');
  // a reset reaches the other a moment later: what it said before does not open this one again
  breakers.reset(null, null, 'reset by ana');
  breakers.follow([elsewhere('worker-a', 'open', mine)]);
  assert.equal(breaker.isOpen(), false);
});

test('C1 a call that throws is an error of the program, not of the other side, and is not swallowed', async (t) => {
  const { breakers } = setUp(t);
  await assert.rejects(
    breakers.claude('haiku').run(
      () => Promise.reject(new RangeError('bug')),
      () => null,
    ),
    RangeError,
  );
});

test('C1 each model has a breaker of its own', async (t) => {
  const { breakers, times, transitions } = setUp(t);
  await times(3, breakers.claude('haiku'), 'overloaded');
  assert.deepEqual([breakers.claude('haiku').isOpen(), breakers.claude('sonnet').isOpen()], [true, false]);
  assert.deepEqual(
    transitions.map(({ breaker, instance, state }) => [breaker, instance, state]),
    [['claude', 'haiku', 'open']],
  );
});

test('L15 retry-after: nothing goes out before it is over, and neither does the probe', async (t) => {
  const { breakers, probes, call, tick } = setUp(t);
  const breaker = breakers.claude('haiku');
  const limited = (restMs: number) =>
    breaker.run(
      async () => null,
      () => ({ reason: 'rate_limited', restMs }),
    );
  await limited(20_000);
  assert.deepEqual([breaker.report().state, breaker.retryInMs(), await call(breaker, null)], ['closed', 20_000, 'open']);
  assert.equal(breaker.availableForMs(), 0);
  await tick(20_000);
  assert.deepEqual([breaker.retryInMs(), await call(breaker, null)], [0, 'called']);
  await tick(60_000);
  for (const restMs of [0, 0, 90_000]) await limited(restMs);
  assert.deepEqual([breaker.report().state, breaker.retryInMs()], ['open', 90_000]);
  await tick(60_000);
  assert.deepEqual(probes, []);
  assert.equal(breaker.availableForMs(), 0);
  await tick(30_000);
  assert.deepEqual([probes.length, breaker.report().state], [1, 'closed']);
  await tick(7_000);
  assert.equal(breaker.availableForMs(), 7_000, 'since the probe, not since the start');
  await limited(60_000);
  breaker.reset('by hand');
  await tick(2_000);
  assert.equal(breaker.availableForMs(), 2_000);
  assert.equal(breaker.report().recovery_ms, 60_000, 'what was asked for is no failed probe');
  // a reset by hand is stronger than what was asked for
  await limited(50_000);
  breaker.reset('reset by ana');
  assert.equal(await call(breaker, null), 'called');
});

test('W4 a sign of life brings the probe forward: a word to 15 s after the opening, then twice as late each time; a reconnect to 5 s', async (t) => {
  const { breakers, times, probes, world, call, tick } = setUp(t);
  const number = breakers.evolution('julia');
  const word = (ageMs = 0) => breakers.hear('julia', { kind: 'word', ageMs });
  await times(5, number, 'connection_closed');
  breakers.hear('julia', { kind: 'word', ageMs: 60_000 });
  await tick(1_000);
  assert.equal(number.retryInMs(), 299_000, 'what came before the opening says nothing');
  word();
  assert.equal(number.retryInMs(), 14_000);
  await tick(14_000);
  assert.equal(probes.length, 1);
  // It answers, and the message fails all the same: twice as long, whatever is heard.
  assert.equal(await call(number, 'connection_closed'), 'called');
  await tick(2_000);
  word();
  word();
  assert.equal(number.retryInMs(), 28_000);
  await tick(28_000);
  assert.equal(probes.length, 2);
  await call(number, 'connection_closed');
  await tick(2_000);
  word(2_000);
  assert.equal(number.retryInMs(), 58_000);
  breakers.hear('julia', { kind: 'reconnect', ageMs: 0 });
  assert.equal(number.retryInMs(), 3_000);
  await tick(1_000);
  breakers.hear('julia', { kind: 'reconnect', ageMs: 1_000 });
  await tick(2_000);
  assert.equal(probes.length, 3);
  assert.equal(await call(number, null), 'called');
  assert.equal(number.report().recovery_ms, 300_000, 'well again: all is forgotten');
  // Nothing heard: as ever.
  await times(5, number, 'connection_closed');
  world.probe = 'unavailable';
  await tick(299_000);
  assert.equal(probes.length, 3);
  await tick(1_000);
  assert.equal(probes.length, 4);
  assert.equal(number.retryInMs(), 600_000);
});

test('W4 a breaker that follows another, or is closed, hears nothing; a rest that was asked for is kept', async (t) => {
  const { breakers, times, probes, tick } = setUp(t);
  breakers.hear('nobody', { kind: 'reconnect', ageMs: 0 });
  const closed = breakers.evolution('closed');
  breakers.hear('closed', { kind: 'reconnect', ageMs: 0 });
  assert.equal(closed.retryInMs(), 0);
  const follower = breakers.evolution('follower');
  const report = { ...follower.report(), state: 'open', opened_at: new Date(Date.now() - 1_000).toISOString(), follows: null };
  breakers.follow([{ process: 'worker-a', breakers: [{ ...report, next_probe_at: new Date(Date.now() + 200_000).toISOString() }] }]);
  await tick(1_000);
  breakers.hear('follower', { kind: 'reconnect', ageMs: 0 });
  await tick(100_000);
  assert.deepEqual(probes, []);
  const own = breakers.evolution('own');
  await times(5, own, 'timeout');
  await tick(1_000);
  breakers.hear('own', { kind: 'reconnect', ageMs: 0 });
  await tick(4_000);
  assert.deepEqual(probes, ['evolution/own']);
});
