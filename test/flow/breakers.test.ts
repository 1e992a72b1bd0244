/** Breakers and the health of a number over several processes: who stops, who probes, who hears of a reset. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { checkInstancesJob } from '../../src/crons/check-instances.ts';
import type { Context } from '../../src/context.ts';
import { DatabaseAway } from '../../src/db/failures.ts';
import { listNumberHealth } from '../../src/numbers/calls.ts';
import { createHeartbeat } from '../../src/breakers/heartbeat.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { queueReplies, sendRow, states } from '../support/sends.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Circuit = { name: string; instance: string | null; process: string; state: string; reason: string | null; follows: string | null };

const phoneOf = (index: number): string => `55119${String(76_000_000 + index)}`;

async function circuits(system: System, name: string): Promise<Circuit[]> {
  const { breakers } = (await (await fetch(`${system.url}/health/circuit`)).json()) as { breakers: Circuit[] };
  return breakers.filter((each) => each.name === name);
}

async function token(role: string): Promise<string> {
  return new SignJWT({ role, tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject('ana')
    .setExpirationTime('5m')
    .sign(new TextEncoder().encode(JWT_SECRET));
}

async function reset(system: System, body: object): Promise<number> {
  const headers = { authorization: `Bearer ${await token('operator')}`, 'content-type': 'application/json' };
  return (await fetch(`${system.url}/admin/breaker/reset`, { method: 'POST', headers, body: JSON.stringify(body) })).status;
}

/** `count` replies to as many people fail in one context. */
async function failReplies(ctx: Context, system: System, from: number, count: number): Promise<number[]> {
  const ids: number[] = [];
  for (let index = from; index < from + count; index++) {
    const lane = await queueReplies(system, phoneOf(index), ['oi']);
    await sendNext(ctx, lane.conversation);
    ids.push(...lane.ids);
  }
  return ids;
}

test('C1 C3 C6 restriction (acceptance 3): five refused calls open the breaker of the number, its campaign is held with reason and time, what alerts need is there, and the other number goes on', async (t) => {
  const system = await startSystem(t, { workers: 0, simulator: { instances: [INSTANCE, 'outro'] } });
  const ctx = await system.openContext('worker');
  const beat = createHeartbeat(ctx);
  await system.query(`insert into instances (name, status) values ('outro', 'open')`);
  await system.query(`update instances set status = 'open'`);
  system.simulator.fault({ target: 'send', kind: 'status', status: 403, times: 3, match: { instance: INSTANCE } });
  system.simulator.fault({
    target: 'send',
    kind: 'status',
    status: 400,
    times: null,
    match: { instance: INSTANCE },
    body: { status: 400, error: 'Bad Request', response: { message: ['Error: not allowed'] } },
  });
  await failReplies(ctx, system, 0, 8);
  const calls = () => system.simulator.sends({ instance: INSTANCE }).length;
  assert.equal(calls(), 5);
  await beat();
  const [circuit] = await circuits(system, 'evolution');
  assert.deepEqual([circuit?.instance, circuit?.state, circuit?.process], [INSTANCE, 'open', ctx.process.id]);

  const campaign = async (instance: string, index: number) => {
    const [row] = await system.query<{ id: number; lane: number }>(
      `select (r ->> 'id')::int as id, (r ->> 'conversation_id')::int as lane from enqueue_message(jsonb_build_object('instance', $1::text, 'phone', $2::text, 'text', 'novidade', 'kind', 'campaign')) r`,
      [instance, phoneOf(index)],
    );
    assert.ok(row);
    await sendNext(ctx, row.lane);
    return row.id;
  };
  const held = await campaign(INSTANCE, 20);
  // three such answers have cost it the trust, too
  assert.deepEqual(await states(system, [held]), ['queued(number_trust)']);
  const { goes_at: goesAt, attempts } = await sendRow(system, held);
  assert.ok(goesAt !== null && goesAt.getTime() > Date.now() + 50 * 60_000, 'an hour at least');
  assert.equal(attempts, 0);
  assert.deepEqual(
    (await states(system, [await campaign('outro', 21)])).map((state) => state.replace('delivered', 'sent')),
    ['sent'],
  );
  const other = await queueReplies(system, phoneOf(22), ['tudo bem'], { instance: 'outro' });
  await sendNext(ctx, other.conversation);
  assert.equal(system.simulator.sends({ instance: 'outro', sent: true }).length, 2);
  assert.equal(calls(), 5);

  const [bad, good] = await listNumberHealth(system.ctx.db, 'default');
  assert.deepEqual([bad?.health, bad?.reason, good?.health, good?.trust], ['held', 'number_trust', 'ok', 100]);
  const told = await system.query(`select breaker, state, reason from circuit_transitions where instance = $1 order by id`, [INSTANCE]);
  assert.deepEqual(told, [
    { breaker: 'number', state: 'open', reason: 'number_restricted' },
    { breaker: 'evolution', state: 'open', reason: 'provider_error' },
  ]);
});

test('N1 over HTTP: a message without a number leaves from the fittest, one that names its number from that; MULTI_CHIP_ENABLED=false uses EVOLUTION_INSTANCE', async (t) => {
  for (const multiChip of ['true', 'false']) {
    const system = await startSystem(t, { workers: 0, env: { MULTI_CHIP_ENABLED: multiChip } });
    await system.query(`insert into instances (name, status, proactive) values ('outro', 'open', true), ('de fora', 'open', false)`);
    await system.query(`update instances set status = 'open'`);
    await system.query(
      `select number_trouble(id, '{"reason": "number_restricted", "minutes": 15, "trust": 10}', now()) from instances where name = $1`,
      [INSTANCE],
    );
    const post = async (index: number, body: object = {}): Promise<unknown> => {
      const headers = { authorization: `Bearer ${await token('sender')}`, 'content-type': 'application/json' };
      const message = JSON.stringify({ to: phoneOf(400 + index), text: 'oi', ...body });
      const response = await fetch(`${system.url}/api/messages`, { method: 'POST', headers, body: message });
      assert.equal(response.status, 202, await response.clone().text());
      const { id } = (await response.json()) as { id: number };
      return (await system.query(`select i.name from messages m join instances i on i.id = m.instance_id where m.id = $1`, [id]))[0]?.[
        'name'
      ];
    };
    assert.equal(await post(1), multiChip === 'true' ? 'outro' : INSTANCE);
    assert.equal(await post(2, { instance: INSTANCE }), INSTANCE);
    assert.equal(await post(3, { instance: 'de fora' }), 'de fora');
    const { chips } = (await (await fetch(`${system.url}/health/chips`)).json()) as {
      chips: { name: string; health: string; trust: number }[];
    };
    assert.deepEqual(
      chips.map(({ name, health, trust }) => [name, health, trust]),
      [
        [INSTANCE, 'held', 90],
        ['outro', 'ok', 100],
        ['de fora', 'ok', 100],
      ],
    );
  }
});

test('C2 C5 H4 two workers: one opens, the other follows it and does not call either; a reset over HTTP closes both, and is recorded', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const [first, second] = [await system.openContext('worker'), await system.openContext('worker')];
  const beats = [createHeartbeat(first), createHeartbeat(second)];
  const beat = async () => {
    for (const each of beats) await each();
  };
  await beat();
  system.simulator.fault({ target: 'send', kind: 'status', status: 500, times: null });
  await failReplies(first, system, 100, 5);
  await beat();
  await beat();
  assert.deepEqual(
    (await circuits(system, 'evolution'))
      .map(({ process, state, follows }) => [process, state, follows])
      .toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
    [
      [first.process.id, 'open', null],
      [second.process.id, 'open', first.process.id],
    ].toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1)),
  );
  const calls = system.simulator.sends().length;
  const [held] = await failReplies(second, system, 110, 1);
  assert.deepEqual(await states(system, [held ?? 0]), ['queued(breaker_open)']);
  assert.equal(system.simulator.sends().length, calls);

  assert.equal(await reset(system, { name: 'evolution', instance: INSTANCE }), 200);
  await beat();
  await beat();
  assert.deepEqual([first.breakers.evolution(INSTANCE).isOpen(), second.breakers.evolution(INSTANCE).isOpen()], [false, false]);
  assert.deepEqual(
    await system.query(
      `select process, state, reason from circuit_transitions where breaker = 'evolution' and state = 'closed' order by process`,
    ),
    [first.process.id, second.process.id].toSorted().map((process) => ({ process, state: 'closed', reason: 'reset by api:ana' })),
  );
  assert.deepEqual(await system.query(`select actor, action, subject from audit_log where action = 'breaker.reset'`), [
    { actor: 'api:ana', action: 'breaker.reset', subject: 'evolution' },
  ]);
  // a process that starts later has nothing to reset
  const third = createHeartbeat(await system.openContext('worker'));
  await third();
  assert.equal((await system.query(`select 1 from circuit_transitions where reason like 'reset%'`)).length, 2);
});

test('C2 two workers: after a probe that proves too little one real message a period goes out, not one of each worker', async (t) => {
  const system = await startSystem(t, {
    workers: 0,
    env: { EVOLUTION_BREAKER_RESET_SECONDS: '1', EVOLUTION_BREAKER_MAX_RESET_SECONDS: '1' },
  });
  const workers = [await system.openContext('worker'), await system.openContext('worker')];
  const beats = workers.map((ctx) => createHeartbeat(ctx));
  const beat = async () => {
    for (const each of [...beats, ...beats]) await each();
  };
  const reports = () => workers.map((ctx) => ctx.breakers.evolution(INSTANCE).report());
  system.simulator.fault({ target: 'send', kind: 'status', status: 500, times: null });
  const [first] = workers;
  assert.ok(first);
  await failReplies(first, system, 500, 5);
  await beat();
  let written = 510;
  const bothSend = async (): Promise<number> => {
    const before = system.simulator.sends().length;
    await Promise.all(workers.map((ctx) => failReplies(ctx, system, (written += 1), 1)));
    return system.simulator.sends().length - before;
  };
  for (let period = 0; period < 3; period++) {
    await system.until(async () => {
      await beat();
      return reports().every((report) => report.on_trial);
    }, `period ${period}: both may try`);
    assert.equal(await bothSend(), 1, `period ${period}`);
  }
  system.simulator.clearFaults();
  await system.until(async () => {
    await beat();
    return reports().every((report) => report.on_trial);
  }, 'the last trial');
  // the other one may follow as soon as the first message went
  assert.ok((await bothSend()) >= 1);
  for (const ctx of workers) await ctx.background.drain(10_000);
  assert.equal(await bothSend(), 2, 'one that went is enough for both to go on');
});

test('C5 a restart closes what was open, and that is recorded: at a stop, and for a process that was killed', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const stopped = (await system.openContext('worker')) as Context & AsyncDisposable;
  const killed = await system.openContext('worker');
  system.simulator.fault({ target: 'send', kind: 'status', status: 500, times: null });
  await failReplies(stopped, system, 200, 5);
  await failReplies(killed, system, 210, 5);
  await Promise.all([stopped.transitions.flush(), killed.transitions.flush()]);
  await createHeartbeat(killed)();
  await stopped[Symbol.asyncDispose]();
  const closed = async () =>
    (await system.query<{ process: string }>(`select process from circuit_transitions where state = 'closed' and reason = 'restart'`)).map(
      (row) => row.process,
    );
  assert.deepEqual(await closed(), [stopped.process.id]);
  const scheduler = await system.openContext('scheduler');
  await checkInstancesJob.run(scheduler, { signal: new AbortController().signal } as Parameters<typeof checkInstancesJob.run>[1]);
  assert.deepEqual(await closed(), [stopped.process.id], 'it lives');
  await system.query(`update process_status set seen_at = now() - interval '2 minutes' where id = $1`, [killed.process.id]);
  await checkInstancesJob.run(scheduler, { signal: new AbortController().signal } as Parameters<typeof checkInstancesJob.run>[1]);
  await checkInstancesJob.run(scheduler, { signal: new AbortController().signal } as Parameters<typeof checkInstancesJob.run>[1]);
  assert.deepEqual(await closed(), [stopped.process.id, killed.process.id]);
});

test('R3 C1 the database: after five failures nobody asks it any more, nothing leaves, and its own probe closes the breaker', async (t) => {
  let away = false;
  let asked = 0;
  const system = await startSystem(t, {
    workers: 0,
    env: { DATABASE_BREAKER_RESET_SECONDS: '1', DATABASE_BREAKER_MAX_RESET_SECONDS: '2' },
  });
  const ctx = await system.openContext('worker');
  const { openContext } = await import('../../src/context.ts');
  const flaky = await openContext(ctx.config, ctx.log, {
    overrides: {
      db: {
        close: async () => {},
        async call(name, args) {
          asked += 1;
          if (away) throw new DatabaseAway(name, 'connect ECONNREFUSED');
          return ctx.db.call(name, args);
        },
      },
    },
  });
  t.after(() => flaky[Symbol.asyncDispose]());
  const lane = await queueReplies(system, phoneOf(300), ['oi']);
  away = true;
  for (let index = 0; index < 5; index++) await assert.rejects(sendNext(flaky, lane.conversation), DatabaseAway);
  const before = asked;
  await assert.rejects(sendNext(flaky, lane.conversation), /its circuit breaker is open; next probe in/);
  await assert.rejects(createHeartbeat(flaky)(), DatabaseAway);
  const { state, failures } = flaky.breakers.database().report();
  assert.deepEqual([state, failures], ['open', 5]);
  assert.equal(system.simulator.sends().length, 0);
  // probes come by themselves and fail, until it is back
  await system.until(
    () => system.lines.filter((line) => line.context['breaker'] === 'database' && line.context['state'] === 'half_open').length >= 2,
    'probes',
  );
  assert.ok(asked <= before + 4, 'a flush of the history and the probes, nothing else');
  away = false;
  await system.until(() => flaky.breakers.database().report().state === 'closed', 'closed');
  await sendNext(flaky, lane.conversation);
  assert.equal(system.simulator.sends({ sent: true }).length, 1);
  await createHeartbeat(flaky)();
  const told = await system.query<{ state: string }>(`select state from circuit_transitions where breaker = 'database' order by id`);
  assert.deepEqual([told[0]?.state, told.at(-1)?.state], ['open', 'closed'], 'told when it was back');
});
