/** The stop button: by each route everything stops but what is on the wire; it holds over a day and restarts; what waited comes back without a blast. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import type { Context } from '../../src/context.ts';
import { JOBS } from '../../src/crons/all.ts';
import { sweepSendsJob } from '../../src/crons/sweep-sends.ts';
import { sweepTurnsJob } from '../../src/crons/sweep-turns.ts';
import { ask, command } from '../support/manager.ts';
import { startProgram } from '../support/process.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System, SystemOptions } from '../support/system.ts';
import { sendDue, turnsUntilDone } from '../support/turns.ts';

const MANAGER = '5511987650000';
const HOUR_MS = 3_600_000;

type Hooks = { after(hook: () => Promise<void>): void };

/** The statement of the runbooks, to the letter. */
function bySql(status: 'pausado' | 'ativo'): string {
  return `INSERT INTO julia_status (status, motivo, alterado_via) VALUES ('${status}', 'emergência', 'manual')`;
}

/** Messages that nobody asked for, each to somebody else; the sweeps would find those that are not woken here. */
async function queue(system: System, count: number, kind = 'campaign', from = 50_000_000): Promise<void> {
  await system.query(
    `select enqueue_message(jsonb_build_object('tenant', 'default', 'instance', 'julia-dev', 'phone', '55119' || ($3::int + n), 'text', $2::text || ' ' || n, 'kind', $2::text))
     from generate_series(1, $1::int) n`,
    [count, kind, from],
  );
  const lanes = await system.query<{ id: number }>(
    `select distinct conversation_id::int as id from messages where kind = $1 order by 1 limit 40`,
    [kind],
  );
  for (const { id } of lanes) await system.ctx.queues.wakeSend(id);
}

/** The same context, for which it is `now` in every function of the database that asks for the time. */
async function at(system: System, ctx: Context, now: () => Date): Promise<Context> {
  const rows = await system.query<{ name: string }>(
    `select proname as name from pg_proc where pronamespace = 'public'::regnamespace and 'p_now' = any (proargnames)`,
  );
  const timed = new Set(rows.map(({ name }) => name));
  return {
    ...ctx,
    db: { ...ctx.db, call: (name, args) => ctx.db.call(name, timed.has(name) ? { ...args, p_now: now().toISOString() } : args) },
  };
}

/** A day of the scheduler, hour by hour, and of workers that are woken for every conversation. */
async function aDayOf(system: System, ctx: Context): Promise<void> {
  let now = new Date();
  const clocked = await at(system, ctx, () => now);
  const jobs = JOBS.filter((job) => job.name !== 'backup');
  for (let hour = 1; hour <= 24; hour++) {
    now = new Date(Date.now() + hour * HOUR_MS);
    for (const job of jobs) await job.run(clocked, { tick: now, signal: new AbortController().signal });
    const lanes = await system.query<{ id: number }>('select id::int from conversations order by id limit 25');
    for (const { id } of lanes) {
      await turnsUntilDone(clocked, id);
      await sendDue(clocked, id);
    }
  }
}

async function stored(system: System, id: string): Promise<number> {
  const row = await system.until(
    async () => (await system.query<{ id: number }>('select conversation_id::int as id from messages where provider_id = $1', [id]))[0],
  );
  return row.id;
}

test('A1 pause by SQL: no model call and no send of any kind, inbound is stored, through a day of ticks and restarts', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const first = await system.addWorker();
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Oi!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'oi' });
  await system.until(() => system.simulator.sends().length === 1);
  await system.query(bySql('pausado'));

  const waiting = system.simulator.inbound({ contactId: maria.id, text: 'e o preço?' });
  const conversation = await stored(system, waiting.id);
  for (const [n, kind] of ['campaign', 'follow_up', 'notification', 'manual'].entries()) await queue(system, 3, kind, 50_000_000 + n * 100);
  await system.until(
    async () => (await system.query<{ n: number }>(`select count(*)::int as n from messages where reason = 'paused_all'`))[0]?.n === 12,
  );
  await first.stop(2_000);

  const ctx = await system.openContext('worker');
  await aDayOf(system, ctx);
  await system.addWorker();
  await system.ctx.queues.wakeTurn(conversation, 0);
  await aDayOf(system, ctx);
  assert.equal(system.simulator.wire().claude.length, 1);
  assert.equal(system.simulator.sends().length, 1);
  assert.ok((await system.dump()).includes('in contact received: e o preço?'));
  assert.deepEqual(await system.query('select count(*)::int as n from julia_status'), [{ n: 1 }], 'no heartbeat or job writes there');
});

test('A1 pause by SQL while the model is at work: its answer is not sent', async (t) => {
  const system = await startSystem(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  system.simulator.script([{ text: 'Custa dez reais.', delayMs: 60_000 }]);
  const { id } = system.simulator.inbound({ contactId: maria.id, text: 'e o preço?' });
  await stored(system, id);
  await system.until(async () => (await system.query(`select 1 from turns where status = 'open'`))[0], 'the turn at work');
  await system.query(bySql('pausado'));
  // within one look (0.7 s), not after the model's minute
  await system.until(async () => (await system.query(`select 1 from turns where status = 'superseded'`))[0], 'the turn given up');
  assert.equal(system.simulator.sends().length, 0);
  assert.ok((await system.dump()).includes('in contact received: e o preço?'));
});

test('A2 resume by SQL: what is young is answered; old messages, and answers that the pause held, are listed to a person', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const ctx = await system.openContext('worker');
  const [maria, pedro, rita] = ['Maria', 'Pedro', 'Rita'].map((name, n) =>
    system.simulator.addContact({ name, phone: `551191234567${n}` }),
  );
  assert.ok(maria && pedro && rita);
  system.simulator.script([
    { match: 'Rita', text: 'Oi Rita!' },
    { match: 'Maria', text: 'Oi Maria!' },
  ]);

  // Rita's answer is written, and the pause comes before it leaves.
  const ritas = await stored(system, system.simulator.inbound({ contactId: rita.id, text: 'sou a Rita' }).id);
  await turnsUntilDone(ctx, ritas);
  await system.query(bySql('pausado'));
  await sendDue(ctx, ritas);
  const pedros = await stored(system, system.simulator.inbound({ contactId: pedro.id, text: 'sou o Pedro' }).id);

  const threeHours = new Date(Date.now() + 3 * HOUR_MS);
  const later = await at(system, ctx, () => threeHours);
  const marias = await stored(system, system.simulator.inbound({ contactId: maria.id, text: 'sou a Maria' }).id);
  await system.query(`update messages set provider_at = $2, created_at = $2 where conversation_id = $1`, [marias, threeHours]);
  await system.query(bySql('ativo'));
  for (const job of [sweepTurnsJob, sweepSendsJob]) await job.run(later, { tick: threeHours, signal: new AbortController().signal });
  for (const id of [ritas, pedros, marias]) {
    await turnsUntilDone(later, id);
    await sendDue(later, id);
  }
  assert.deepEqual(
    system.simulator.sends().map(({ text }) => text),
    ['Oi Maria!'],
  );
  assert.ok((await system.dump()).includes('out agent cancelled(answer_too_old): Oi Rita!'));
  assert.ok((await system.dump()).includes('in contact skipped(too_old): sou o Pedro'));
  assert.deepEqual(await system.query('select conversation_id::int as id, reason, controls from handoffs order by 1'), [
    { id: ritas, reason: 'answer_too_old', controls: false },
    { id: pedros, reason: 'too_old', controls: false },
  ]);
});

test('A5 a paused conversation stays the contact’s conversation: it is not replaced, and others go on', async (t) => {
  const system = await startSystem(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  const pedro = system.simulator.addContact({ name: 'Pedro', phone: '5511912345679' });
  system.simulator.script([{ match: '', text: 'Oi!' }]);
  const conversation = await stored(system, system.simulator.inbound({ contactId: maria.id, text: 'oi' }).id);
  await system.until(() => system.simulator.sends().length === 1);
  await system.query(
    `insert into julia_status (status, motivo, alterado_via, scope, target) values ('pausado', 'reclamação', 'manual', 'conversation', $1)`,
    [String(conversation)],
  );
  assert.equal(await stored(system, system.simulator.inbound({ contactId: maria.id, text: 'de novo' }).id), conversation);
  const proactive = await system.query<{ id: number }>(
    `select (enqueue_message('{"tenant": "default", "instance": "julia-dev", "phone": "5511912345678", "text": "Oferta", "kind": "campaign"}') ->> 'conversation_id')::int as id`,
  );
  assert.equal(proactive[0]?.id, conversation);
  await system.ctx.queues.wakeSend(conversation);
  system.simulator.inbound({ contactId: pedro.id, text: 'oi' });
  await system.until(() => system.simulator.sends().length === 2);
  await system.until(async () => (await system.dump()).includes('out system queued(paused_conversation): Oferta'));
  assert.ok((await system.dump()).includes('in contact received: de novo'));
  assert.deepEqual(await system.query('select count(*)::int as n from conversations'), [{ n: 2 }]);
});

for (const scope of ['tenant', 'instance', 'campaign'] as const) {
  test(`A5 a pause of one ${scope} stops that one and nothing else`, async (t) => {
    const system = await startSystem(t);
    const targets = { tenant: 'default', instance: 'julia-dev', campaign: 'natal' };
    await system.query(`insert into julia_status (status, motivo, alterado_via, scope, target) values ('pausado', 'x', 'manual', $1, $2)`, [
      scope,
      targets[scope],
    ]);
    const campaign = (phone: string, id: string) =>
      system.query<{ id: number; lane: number }>(
        `select (e ->> 'id')::int as id, (e ->> 'conversation_id')::int as lane from enqueue_message(jsonb_build_object('tenant', 'default', 'instance', 'julia-dev', 'phone', $1::text, 'text', $2::text, 'kind', 'campaign', 'campaign_id', $2::text)) e`,
        [phone, id],
      );
    const [natal] = await campaign('5511950000001', 'natal');
    const [pascoa] = await campaign('5511950000002', 'pascoa');
    for (const lane of [natal?.lane ?? 0, pascoa?.lane ?? 0]) await system.ctx.queues.wakeSend(lane);
    await system.until(async () => (await system.dump()).includes(`out system queued(paused_${scope}): natal`));
    const other =
      scope === 'campaign' ? /^out system (sent|delivered): pascoa$/ : new RegExp(`^out system queued\\(paused_${scope}\\): pascoa$`);
    await system.until(async () => (await system.dump()).some((line) => other.test(line)));
  });
}

const ROUTES: Record<string, { pause(system: System, hooks: Hooks): Promise<void>; resume(system: System, hooks: Hooks): Promise<void> }> =
  {
    SQL: {
      pause: async (system) => void (await system.query(bySql('pausado'))),
      async resume(system) {
        await system.query(bySql('ativo'));
        await sweepSendsJob.run(system.ctx, { tick: new Date(), signal: new AbortController().signal });
      },
    },
    'the command line': { pause: (system, hooks) => cli(system, hooks, 'pause'), resume: (system, hooks) => cli(system, hooks, 'resume') },
    HTTP: { pause: (system) => http(system, 'pause'), resume: (system) => http(system, 'resume') },
    WhatsApp: { pause: (system) => whatsapp(system, 'pausar'), resume: (system) => whatsapp(system, 'retomar') },
  };

async function cli(system: System, hooks: Hooks, command: string): Promise<void> {
  const program = startProgram(hooks, 'src/admin/cli.ts', { args: [command], env: { USER: 'ana', DATABASE_URL: system.databaseUrl } });
  assert.equal(await program.ended, 0, program.stderr.join('\n'));
}

async function http(system: System, command: string): Promise<void> {
  const token = await new SignJWT({ sub: 'ana', role: 'operator', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('5 minutes')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const response = await fetch(`${system.url}/admin/${command}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: '{}',
  });
  assert.equal(response.status, 200);
}

async function whatsapp(system: System, words: string): Promise<void> {
  const before = await system.query(`select 1 from julia_status`);
  const manager = system.simulator.addContact({ name: 'Gestora', phone: MANAGER });
  await (words === 'pausar' ? ask : command)(system, manager.id, words);
  await system.until(async () => (await system.query('select 1 from julia_status')).length > before.length, words);
}

const STOPPED: SystemOptions = {
  workers: 2,
  env: { GESTOR_WHATSAPP: MANAGER, WORKER_CONCURRENCY: '1', MAX_MSGS_POR_HORA: '1000', MAX_MSGS_POR_DIA: '1000' },
};
/** Seconds between two messages of the campaign, so that it is under way for long enough to be stopped. */
const PACE = 0.2;

for (const [route, button] of Object.entries(ROUTES)) {
  // The row is the same by each route: the long way is gone once.
  const [size, aDay] = route === 'SQL' ? [500, true] : [60, false];
  test(`A1 A2 scenario 2: a campaign of ${size}, stopped by ${route}: at most one message per worker leaves after it${aDay ? ', a day later still nothing' : ''}, and no blast after the resume`, async (t) => {
    const system = await startSystem(t, STOPPED);
    const campaign = (): number => system.simulator.sends().filter(({ text }) => text.startsWith('campaign ')).length;
    await system.query('update instances set pace_min_seconds = $1, pace_max_seconds = $1', [PACE]);
    await queue(system, size);
    await system.until(() => campaign() >= 3, 'the campaign under way');
    await button.pause(system, t);
    const [wire] = await system.query<{ n: number }>(
      `select count(*)::int as n from messages where kind = 'campaign' and status = 'sending'`,
    );
    assert.ok((wire?.n ?? 9) <= 2, `one per worker: ${wire?.n}`);
    await system.until(async () => (await system.query(`select 1 from messages where status = 'sending'`)).length === 0, 'an empty wire');
    const stopped = campaign();
    if (aDay) await aDayOf(system, await system.openContext('worker'));
    assert.equal(campaign(), stopped, 'a day later');

    await button.resume(system, t);
    await system.until(() => campaign() >= stopped + 3, 'it goes on');
    const [gap] = await system.query<{ least: number }>(
      `select min(gap)::float as least from (select extract(epoch from claimed_at - lag(claimed_at) over (order by claimed_at)) as gap from messages where claimed_at is not null and kind = 'campaign') g`,
    );
    assert.ok((gap?.least ?? 0) >= PACE, `one after the other: ${gap?.least} s`);
  });
}
