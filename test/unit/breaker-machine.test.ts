/** The machine of a breaker alone: whatever happens to it, in whatever order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { closedMachine, decide, isOpen, leads, reportOf, retryInMs, turnedAwayMs } from '../../src/breakers/decide.ts';
import type { Effect, Event, Machine } from '../../src/breakers/decide.ts';
import { MODEL_FAILURES } from '../../src/claude/model-failure.ts';
import { faultOf } from '../../src/whatsapp/send-fault.ts';

const FIGURES = { failures: 5, resetSeconds: 300, maxResetSeconds: 1_800 };
const BEGAN = Date.parse('2026-03-02T12:00:00Z');
const WHO = { name: 'evolution', instance: 'julia' };

/** A machine with a hand on its clock. `step` does what a shell does with the effects, but for the waiting. */
function start(trialAfterProbe = true) {
  let state = closedMachine({ figures: FIGURES, process: 'worker-b', trialAfterProbe }, BEGAN);
  let now = BEGAN;
  return {
    state: () => state,
    now: () => now,
    pass: (ms: number) => void (now += ms),
    step(event: Event): Effect[] {
      const decided = decide(state, event, now);
      state = decided.state;
      return decided.effects;
    },
    times(count: number, event: Event): Effect[] {
      return Array.from({ length: count }, () => this.step(event)).flat();
    },
  };
}

const FAILED: Event = { kind: 'ended', failure: { reason: 'timeout', restMs: 0 } };
const WENT: Event = { kind: 'ended', failure: null };
const kinds = (effects: Effect[]): string[] => effects.map((each) => (each.kind === 'tell' ? `tell ${each.state}` : each.kind));

test('C1 the machine opens at the last of so many failures in a row within the window, and not when the first is a minute old', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 30_000 }), { minLength: 4, maxLength: 12 }), (gaps) => {
      const machine = start();
      const at: number[] = [];
      for (const gap of [0, ...gaps]) {
        machine.pass(gap);
        at.push(Math.floor(machine.now() / 1000));
        const opens = at.filter((second) => second > Math.floor(machine.now() / 1000) - 60).length >= FIGURES.failures;
        assert.deepEqual(kinds(machine.step(FAILED)), opens ? ['open', 'tell open'] : []);
        if (opens) return;
      }
    }),
  );
});

test('C1 what says nothing against the other side is no failure: a refusal of the model, a request that it cannot take, a message that is wrong', () => {
  for (const kind of ['refusal', 'refused', 'context_exceeded', 'empty_answer', 'aborted'] as const)
    assert.equal(MODEL_FAILURES[kind].counts, false, kind);
  for (const wrong of ['bad_request', 'not_on_whatsapp'] as const)
    assert.notEqual(faultOf({ kind: 'not_sent', class: wrong, retryable: false, detail: '' })?.breaker, 'failure', wrong);
});

test('C2 half open: one probe, whatever else is asked; its failure doubles the wait, its success closes on trial', () => {
  const machine = start();
  machine.times(5, FAILED);
  machine.pass(300_000);
  assert.deepEqual(kinds(machine.step({ kind: 'due' })), ['tell half_open', 'probe']);
  assert.deepEqual(machine.times(3, { kind: 'due' }), [], 'no second probe');
  assert.deepEqual([...machine.step(FAILED), ...machine.step(WENT)], [], 'calls from before the opening decide nothing');
  assert.deepEqual(machine.step({ kind: 'probed', failure: { reason: 'unavailable', restMs: 0 } }), [
    { kind: 'open', forMs: 600_000 },
    { kind: 'tell', state: 'open', reason: 'unavailable' },
  ]);
  machine.pass(600_000);
  machine.step({ kind: 'due' });
  assert.deepEqual(kinds(machine.step({ kind: 'probed', failure: null })), ['close', 'tell closed']);
  assert.deepEqual([machine.state().onTrial, machine.state().recoveryMs], [true, 600_000]);
  machine.step({ kind: 'tried', out: true });
  assert.equal(turnedAwayMs(machine.state(), machine.now()), 5_000);
  machine.step(WENT);
  machine.step({ kind: 'tried', out: false });
  assert.deepEqual([machine.state().onTrial, machine.state().recoveryMs], [false, 300_000]);
});

test('C5 a probe that a reset overtook decides nothing, and is the probe of the next opening', () => {
  const machine = start();
  machine.times(5, FAILED);
  machine.step({ kind: 'due' });
  machine.step({ kind: 'reset', why: 'reset by ana' });
  machine.times(5, FAILED);
  assert.deepEqual(kinds(machine.step({ kind: 'due' })), ['tell half_open'], 'one is out');
  assert.deepEqual(kinds(machine.step({ kind: 'probed', failure: null })), ['close', 'tell closed']);
});

const failure = fc.record({
  reason: fc.constantFrom('timeout', 'restricted', 'unavailable'),
  restMs: fc.constantFrom(0, 0, 0, 20_000, 900_000),
});
const leader = fc.record({
  process: fc.constantFrom('worker-a', 'worker-c'),
  openedAt: fc.integer({ min: BEGAN - 60_000, max: BEGAN + 4_000_000 }),
  nextProbeAt: fc.option(fc.integer({ min: BEGAN, max: BEGAN + 4_000_000 })),
  reason: fc.option(fc.constant('restricted')),
});
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('ended' as const), failure: fc.option(failure, { freq: 6 }) }) },
  { weight: 4, arbitrary: fc.constant<Event>({ kind: 'due' }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('probed' as const), failure: fc.option(failure, { freq: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('tried' as const), out: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('followed' as const), leader: fc.option(leader, { freq: 2 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('heard' as const),
      sign: fc.constantFrom('reconnect' as const, 'word' as const),
      ageMs: fc.integer({ min: 0, max: 30_000 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Event>({ kind: 'reset', why: 'reset by ana' }) },
);
/** It opens soon, so that much happens to an open one. */
const FEW = { ...FIGURES, failures: 3 };
const history = fc.array(fc.record({ event, passed: fc.constantFrom(0, 0, 0, 0, 0, 1, 900, 5_000, 60_000) }), {
  minLength: 20,
  maxLength: 120,
});

/** What holds after each step, whatever came before. */
function check(before: Machine, happened: Event, { state, effects }: { state: Machine; effects: Effect[] }, now: number): void {
  const from = before.phase;
  const to = state.phase;
  const did = kinds(effects);
  assert.ok(!(from === 'closed' && to === 'half_open'), 'never closed to half open');
  if (to === 'half_open' && from !== 'half_open') assert.equal(from, 'open');
  if (to === 'half_open' && from === 'half_open') assert.deepEqual(effects, []);

  if (happened.kind === 'ended' && from !== 'closed') assert.equal(to, from, 'a call from before the opening decides nothing');

  // Who is told, and what the shell does, is what happened.
  assert.equal(did.filter((each) => each === 'close').length, to === 'closed' && from !== 'closed' ? 1 : 0);
  assert.ok(did.filter((each) => each === 'open').length <= 1);
  assert.equal(did.includes('tell closed'), to === 'closed' && from !== 'closed');
  assert.equal(did.includes('tell open'), to === 'open' && from !== 'open');

  // A probe goes out in half open only, and never a second one.
  if (did.includes('probe')) assert.deepEqual([from, to, before.probing, before.leader], ['open', 'half_open', false, null]);
  if (to === 'half_open' && state.leader === null) assert.ok(state.probing, 'somebody finds out');

  // It opens after so many failures, after one of a trial or a probe, or because another opened.
  if (from === 'closed' && to === 'open') {
    if (happened.kind === 'ended' && !before.onTrial) assert.ok(reportOf(WHO, state, now).failures >= FEW.failures);
    else assert.ok(happened.kind === 'followed' || happened.kind === 'ended');
  }
  if (from !== 'closed' && to === 'closed') assert.ok(happened.kind !== 'ended' && happened.kind !== 'heard' && happened.kind !== 'due');

  assert.equal(state.phase === 'closed', state.openedAt === null);
  if (state.leader !== null) assert.notEqual(state.phase, 'closed');
  if (state.onTrial) assert.equal(state.phase, 'closed');
  if (state.phase !== 'closed' || (state.onTrial && state.tried)) assert.ok(isOpen(state, now), 'nothing goes out');
  if (!isOpen(state, now)) assert.equal(retryInMs(state, now), 0);
  assert.ok(state.recoveryMs > 0 && state.recoveryMs <= FIGURES.maxResetSeconds * 1000);
  for (const effect of effects) if (effect.kind === 'open') assert.ok(effect.forMs >= 0 && now + effect.forMs >= state.restUntil);
}

test('C1 C2 C3 the machine over any history: never closed to half open, one probe, one trial, nothing goes out while it is not closed, each change told once', () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.boolean(), history, (trialAfterProbe, steps) => {
      let state = closedMachine({ figures: FEW, process: 'worker-b', trialAfterProbe }, BEGAN);
      let now = BEGAN;
      for (const { event: happened, passed } of steps) {
        now += passed;
        const decided = decide(state, happened, now);
        check(state, happened, decided, now);
        assert.deepEqual(decide(state, happened, now), decided, 'the same again: nothing outside was looked at');
        seen.add(`${state.phase} ${decided.state.phase}`);
        state = decided.state;
      }
    }),
    { numRuns: 2_000, seed: 20_260_302 },
  );
  for (const way of ['closed open', 'open half_open', 'half_open open', 'half_open closed', 'open closed']) assert.ok(seen.has(way), way);
});

test('C2 of two open breakers one leads, whoever looks', () => {
  const open = fc.record({ process: fc.constantFrom('a', 'b', 'c'), openedAt: fc.integer({ min: 0, max: 3 }) });
  fc.assert(
    fc.property(open, open, (one, other) => {
      const same = one.process === other.process && one.openedAt === other.openedAt;
      assert.equal(Number(leads(one, other)) + Number(leads(other, one)), same ? 0 : 1);
    }),
  );
});
