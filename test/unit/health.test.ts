import assert from 'node:assert/strict';
import { test } from 'node:test';
import { degradations, queueLevel, scoreOf } from '../../src/watch/health-words.ts';
import type { HealthRows } from '../../src/watch/health-words.ts';
import { burning, objectives } from '../../src/watch/sla.ts';

const WELL: HealthRows = {
  paused: null,
  processes: ['api', 'worker', 'scheduler'].map((mode) => ({ mode, seen_seconds: 3 })),
  numbers: [{ name: 'julia', status: 'open' }],
  breakers: [],
  unanswered: { count: 0, oldest_seconds: null },
  deferred: { count: 0, oldest_seconds: null, reasons: [] },
  unheard: 0,
  media: { waiting: 0, reasons: {} },
  outbound: { due: 0, stuck: 0, uncertain: 0 },
};

test('P16 a process that is all of them is an api, a worker and a scheduler', () => {
  const all = (seen_seconds: number) => degradations({ ...WELL, processes: [{ mode: 'all', seen_seconds }] }, true);
  assert.deepEqual(all(3), []);
  assert.deepEqual(all(61), degradations({ ...WELL, processes: [] }, true), 'gone, it is none of them');
});

test('H10 the thresholds of the queue: 100 and 500 waiting, 1 and 10 stuck, 10 errors an hour, 60 minutes', () => {
  const level = (figures: Partial<Parameters<typeof queueLevel>[0]>) =>
    queueLevel({ backlog: 0, stuck: 0, errors_last_hour: 0, oldest_minutes: 0, ...figures }).status;
  assert.deepEqual(
    [level({}), level({ backlog: 99 }), level({ backlog: 100 }), level({ backlog: 499 }), level({ backlog: 500 })],
    ['ok', 'ok', 'warning', 'warning', 'critical'],
  );
  assert.deepEqual([level({ stuck: 1 }), level({ stuck: 9 }), level({ stuck: 10 })], ['warning', 'warning', 'critical']);
  assert.deepEqual(
    [level({ errors_last_hour: 9 }), level({ errors_last_hour: 10 }), level({ errors_last_hour: 999 })],
    ['ok', 'warning', 'warning'],
  );
  assert.deepEqual([level({ oldest_minutes: 59 }), level({ oldest_minutes: 60 })], ['ok', 'warning']);
  const both = queueLevel({ backlog: 500, stuck: 1, errors_last_hour: 0, oldest_minutes: 0 });
  assert.deepEqual(both, { status: 'critical', reasons: ['backlog is 500, at least 500', 'stuck is 1, at least 1'] });
});

test('H2 P12 each thing that is wrong has its words', () => {
  const reasons = (change: Partial<HealthRows>) => degradations({ ...WELL, ...change }, true).join('\n');
  assert.equal(reasons({}), '');
  assert.match(reasons({ processes: [{ mode: 'worker', seen_seconds: 61 }] }), /no worker is running.*\nno scheduler is running/);
  assert.match(reasons({ paused: 'all' }), /everything is paused/);
  for (const status of ['close', 'refused'])
    assert.match(reasons({ numbers: [{ name: 'julia', status }] }), /the number julia is disconnected/);
  assert.match(reasons({ unanswered: { count: 2, oldest_seconds: 301 } }), /2 messages are unanswered, the oldest for 5 minutes/);
  assert.equal(reasons({ unanswered: { count: 2, oldest_seconds: 299 } }), '');
  assert.match(
    reasons({ unanswered: { count: 60, oldest_seconds: 1 }, outbound: { due: 40, stuck: 0, uncertain: 0 } }),
    /100 messages wait in the queue/,
  );
  assert.match(reasons({ outbound: { due: 0, stuck: 2, uncertain: 3 } }), /2 sends or turns are stuck.*\n3 sends may or may not have left/);
});

test('W4 H2 a number that nothing leaves from, or that never ends connecting, or that WhatsApp closed, has its words', () => {
  const reasons = (change: Partial<HealthRows>) => degradations({ ...WELL, ...change }, true).join('\n');
  const open = (reason: string) => reasons({ breakers: [{ breaker: 'evolution', instance: 'julia', reason }] });
  assert.match(open('connection_closed'), /^nothing leaves from the number julia: Evolution says that the number is connected/);
  assert.match(open('unauthorized'), /^nothing leaves from the number julia: .*refused the key/);
  const number = { name: 'julia', status: 'connecting', seconds: 31, paired: true };
  assert.match(reasons({ numbers: [number] }), /^the number julia has been connecting for 31 s/);
  assert.equal(reasons({ numbers: [{ ...number, paired: false }] }), '', 'it waits for its code');
  assert.equal(reasons({ numbers: [{ ...number, seconds: 20 }] }), '');
  assert.match(
    reasons({ numbers: [{ ...number, status: 'close', code: 403 }] }),
    /is disconnected \(403: WhatsApp has banned or restricted it\)/,
  );
  assert.match(reasons({ numbers: [{ ...number, status: 'close', code: 401 }] }), /is disconnected \(401: its pairing is gone/);
});

test('I14 H2 the model unavailable and people whom nobody could tell have their words', () => {
  const reasons = (change: Partial<HealthRows>) => degradations({ ...WELL, ...change }, true).join('\n');
  const breakers = [{ breaker: 'claude', instance: 'haiku', reason: 'overloaded' }];
  assert.equal(reasons({ breakers }), 'the model haiku is unavailable (overloaded): the other one answers');
  const deferred = { count: 12, oldest_seconds: 240, reasons: ['model_breaker_open'] };
  assert.match(
    reasons({ breakers, deferred }),
    /^the model is unavailable: 12 conversations wait for it, the longest for 4 minutes, because the model was overloaded/,
  );
  assert.match(reasons({ deferred: { ...deferred, count: 1, reasons: ['model_unauthorized'] } }), /1 conversation waits .* the key/);
  assert.equal(reasons({ media: { waiting: 0, reasons: { media_locked: 3 } } }), '');
  assert.match(
    reasons({ media: { waiting: 2, reasons: { speech_key: 2, media_slow: 1, media_locked: 3 } } }),
    /^3 voice notes, pictures or documents were not read within the last hour, mostly because the speech service refused the key/,
  );
  assert.match(reasons({ unheard: 2 }), /^2 conversations wait for a person, and nobody could be told: no channel/);
});

const GOOD = { minutes: 60, up_minutes: 60, turns: 100, slow_turns: 0, failed_turns: 0, sends: 100, failed_sends: 0 };

test('E7 objectives: uptime 99.5 %, replies within 5 s, errors below 1 %; nothing to judge by is no miss', () => {
  const of = (change: Partial<typeof GOOD>) => objectives({ ...GOOD, ...change }).map(({ name, met }) => `${name} ${met}`);
  assert.deepEqual(of({}), ['uptime true', 'latency true', 'errors true']);
  assert.deepEqual(of({ minutes: 1000, up_minutes: 994 }), ['uptime false', 'latency true', 'errors true']);
  assert.deepEqual(of({ minutes: 1000, up_minutes: 995 }), ['uptime true', 'latency true', 'errors true']);
  assert.deepEqual(of({ slow_turns: 6 }), ['uptime true', 'latency false', 'errors true']);
  assert.deepEqual(of({ failed_sends: 3 }), ['uptime true', 'latency true', 'errors false']);
  const nothing = objectives({ minutes: 0, up_minutes: 0, turns: 0, slow_turns: 0, failed_turns: 0, sends: 0, failed_sends: 0 });
  assert.ok(nothing.every(({ met, actual }) => met && actual === null));
});

test('E7 burn: fast, or slower when the allowance of the month is gone; few events say nothing', () => {
  const burns = (hour: Partial<typeof GOOD>, month: Partial<typeof GOOD> = {}) =>
    burning({ ...GOOD, ...hour }, { ...GOOD, minutes: 43_200, up_minutes: 43_200, turns: 10_000, sends: 10_000, ...month }).map(
      ({ objective }) => objective,
    );
  assert.deepEqual(burns({}), []);
  assert.deepEqual(burns({ up_minutes: 56 }), [], '1 of 15 minutes: 13 times');
  assert.deepEqual(burns({ up_minutes: 55 }), ['uptime']);
  assert.deepEqual(burns({ failed_turns: 4 }), [], 'twice');
  assert.deepEqual(burns({ failed_turns: 4 }, { failed_turns: 400 }), ['errors'], 'twice, and the month is lost');
  assert.deepEqual(burns({ turns: 3, sends: 3, slow_turns: 3, failed_turns: 3 }), [], 'too few');
});

test('H10 the score says what it lacks', () => {
  const alerts = [
    { urgent: true, name: 'breaker_open', subject: 'evolution:julia' },
    { urgent: false, name: 'latency', subject: null },
  ];
  assert.deepEqual(scoreOf({ down: [], alerts: [], objectives: objectives(GOOD) }), { score: 100, costs: [] });
  assert.deepEqual(scoreOf({ down: [], alerts, objectives: objectives({ ...GOOD, up_minutes: 1 }) }), {
    score: 60,
    costs: [
      { points: 20, why: 'alert breaker_open (evolution:julia)' },
      { points: 10, why: 'alert latency' },
      { points: 10, why: 'the objective of uptime is missed' },
    ],
  });
  assert.equal(scoreOf({ down: ['the database does not answer'], alerts: [...alerts, ...alerts], objectives: [] }).score, 0);
});
