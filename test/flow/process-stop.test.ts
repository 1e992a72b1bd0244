/** How a process ends: asked to, or killed at any moment. Nothing is lost, nothing is sent twice. Real processes. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { createRandom } from '../../simulator/clock.ts';
import { openContext } from '../../src/context.ts';
import { claimSend, sweepSends } from '../../src/outbox/calls.ts';
import { sweepTurns } from '../../src/turns/calls.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { runTurn } from '../../src/turns/turn.ts';
import { startSite } from '../support/site.ts';
import type { ModeProcess, Site } from '../support/site.ts';
import { configOf, testLogger } from '../support/system.ts';

const MARIA = { name: 'Maria', phone: '5511912345678' };

/** What left for WhatsApp, as text. */
function left(site: Site): string[] {
  return site.simulator.sends({ kind: 'text', sent: true }).map((send) => send.text);
}

async function rows(site: Site): Promise<string[]> {
  const found = await site.query<{ line: string }>(
    `select direction || ' ' || author || ' ' || status || coalesce('(' || reason || ')', '') || ': ' || text as line from messages order by id`,
  );
  return found.map(({ line }) => line);
}

test('P8 SIGTERM during a send: it is finished and recorded, nothing new is begun, exit 0', async (t) => {
  const site = await startSite(t);
  const [, worker] = await Promise.all([site.startReady('api'), site.startReady('worker')]);
  const maria = site.simulator.addContact(MARIA);
  site.simulator.script([{ text: 'A resposta.', repeat: true }]);
  site.simulator.fault({ target: 'send', kind: 'slow', ms: 2_000 });
  site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await site.simulator.waitFor((wire) => wire.sends.length === 1, 20_000);
  worker.signal('SIGTERM');
  await worker.line('Stopping');
  // Another message while it stops is for the next worker.
  const second = site.simulator.inbound({ contactId: maria.id, text: 'E mais uma coisa' });
  assert.equal(await worker.ended, 0);
  assert.deepEqual(worker.stderr, []);
  assert.deepEqual(left(site), ['A resposta.']);
  assert.match((await rows(site))[1] ?? '', /^out agent (sent|delivered): A resposta\.$/);
  assert.equal(worker.lines().at(-1)?.message, 'Stopped');
  await site.until(
    async () => (await site.query('select 1 from messages where provider_id = $1', [second.id])).length === 1,
    'the second message is kept',
  );

  await site.startReady('worker');
  await site.until(() => left(site).length === 2, 'the second answer');
  await site.until(
    async () => (await rows(site)).every((line) => /^(in contact answered|out agent delivered)/.test(line)),
    'all is settled',
  );
});

test('P8 SIGTERM while Evolution does not answer: the process ends in its grace time, and the message is neither lost nor sent again', async (t) => {
  const site = await startSite(t, { env: { SHUTDOWN_GRACE_MS: '300' } });
  const [, worker] = await Promise.all([site.startReady('api'), site.startReady('worker')]);
  const maria = site.simulator.addContact(MARIA);
  site.simulator.script([{ text: 'A resposta.', repeat: true }]);
  // It has left, but no answer ever comes, and no echo tells.
  site.simulator.fault({ target: 'webhook', kind: 'drop', match: { event: 'send.message' }, times: null });
  site.simulator.fault({ target: 'send', kind: 'hang', sent: true });
  site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await site.simulator.waitFor((wire) => wire.sends.length === 1, 20_000);
  worker.signal('SIGTERM');
  // Much longer than the grace, much shorter than the time limit of the call (90 s): the harness's patience is 30 s.
  assert.equal(await worker.ended, 0);
  assert.match((await rows(site))[1] ?? '', /^out agent (sending|uncertain|sent|delivered)/);
  // The lease runs out, and Evolution is asked whether it left.
  await recover(t, site);
  assert.match((await rows(site))[1] ?? '', /^out agent (sent|delivered)/);
  assert.equal((await rows(site)).length, 2, 'it is not taken for the words of a person');
  assert.deepEqual(left(site), ['A resposta.']);
});

test('P8 SIGTERM while the model thinks: the turn is given back and another worker answers', async (t) => {
  // short enough that a turn is given back at once, long enough for a busy machine to write that down
  const site = await startSite(t, { env: { SHUTDOWN_GRACE_MS: '8000' } });
  const [, worker] = await Promise.all([site.startReady('api'), site.startReady('worker')]);
  const maria = site.simulator.addContact(MARIA);
  site.simulator.fault({ target: 'claude', kind: 'hang' });
  site.simulator.script([{ text: 'A resposta.', repeat: true }]);
  site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await site.until(() => site.simulator.wire().claude.length === 1 || null, 'the model is asked');
  worker.signal('SIGTERM');
  assert.equal(await worker.ended, 0);
  assert.deepEqual(await site.query(`select status, reason from turns`), [{ status: 'superseded', reason: 'shutdown' }]);
  await site.startReady('worker');
  await site.until(() => left(site).length === 1, 'the answer');
  assert.deepEqual(left(site), ['A resposta.']);
});

test('P8 an idle process of each mode ends at once on SIGTERM and SIGINT, with 0, and says goodbye in process_status', async (t) => {
  const site = await startSite(t);
  const programs = await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('scheduler')]);
  await site.until(async () => (await site.query('select 1 from process_status')).length === 3, 'three heartbeats');
  for (const [index, program] of programs.entries()) program.signal(index === 1 ? 'SIGINT' : 'SIGTERM');
  assert.deepEqual(await Promise.all(programs.map(({ ended }) => ended)), [0, 0, 0]);
  for (const { stderr } of programs) assert.deepEqual(stderr, []);
  assert.deepEqual(await site.query('select id from process_status'), []);
});

test('P8 SIGTERM while the database does not answer: the end comes nevertheless, with 0', async (t) => {
  const site = await startSite(t, { env: { SHUTDOWN_GRACE_MS: '100' } });
  const worker = await site.startReady('worker');
  await site.until(async () => (await site.query('select 1 from process_status')).length === 1, 'a heartbeat');
  const blocker = new pg.Client({ connectionString: site.databaseUrl });
  blocker.on('error', () => {}); // the database is dropped under it
  await blocker.connect();
  t.after(() => blocker.end());
  await blocker.query('begin; lock table process_status in access exclusive mode');
  worker.signal('SIGTERM');
  // A statement gives up after 30 s by itself; docker stop would not wait for that.
  const patience = AbortSignal.timeout(20_000);
  const code = await Promise.race([
    worker.ended,
    new Promise((resolve) => patience.addEventListener('abort', () => resolve('still there'))),
  ]);
  assert.equal(code, 0);
});

test('P8 SIGTERM before the database was ever there ends the process, with 0', async (t) => {
  const site = await startSite(t);
  await site.databaseDoor(false);
  const worker = await site.start('worker');
  await worker.line('Waiting for the database');
  worker.signal('SIGTERM');
  assert.equal(await worker.ended, 0);
});

const KILLS = 20;
const LEAST_KILLS = 5;
/** After this fewer are enough: each needs a start, and the machine may be slow. Milliseconds. */
const KILLING_MS = 15_000;
const SEED = 20261123;

test(`P8 ${KILLS} SIGKILLs of workers under load: each inbound is answered once, none is lost (seed ${SEED})`, async (t) => {
  const site = await startSite(t, { env: { LOG_LEVEL: 'INFO' } });
  const random = createRandom(SEED);
  await site.startReady('api');
  site.simulator.script(
    Array.from({ length: 2 * KILLS + 2 }, (_, index) => ({ match: question(index), text: answer(index), repeat: true })),
  );
  let asked = 0;
  const ask = () => {
    const contact = site.simulator.addContact({ name: `C${asked}`, phone: `55119${10_000_000 + asked}` });
    site.simulator.inbound({ contactId: contact.id, text: question(asked++) });
  };

  const workers: ModeProcess[] = [await site.startReady('worker'), await site.startReady('worker')];
  const started = performance.now();
  let kills = 0;
  for (; kills < LEAST_KILLS || (kills < KILLS && performance.now() - started < KILLING_MS); kills++) {
    ask();
    ask();
    // Not after a time but after some number of things that happened.
    let events = Math.floor(random.next() * 14);
    await site.until(() => events-- === 0, 'events under load');
    const slot = kills % workers.length;
    workers[slot]?.signal('SIGKILL');
    workers[slot] = await site.start('worker');
    // The other one works meanwhile; when it was started just now, it is killed at its start, too.
    if (random.next() < 0.7) await workers[1 - slot]?.line('Worker started');
  }
  ask();
  await site.until(
    async () => Number((await site.query(`select count(*) from messages where direction = 'in'`))[0]?.['count']) === asked,
    'all are stored',
  );
  for (const worker of workers) worker.signal('SIGTERM');
  await Promise.all(workers.map(({ ended }) => ended));
  await recover(t, site, 'killed before the wire');

  const problems: string[] = [];
  let unproven = 0;
  for (let index = 0; index < asked; index++) {
    const times = left(site).filter((text) => text === answer(index)).length;
    const [row] = await site.query<{ status: string; out: string | null; listed: boolean }>(
      `select i.status, (select string_agg(o.status || coalesce('(' || o.reason || ')', ''), ',') from messages o where o.conversation_id = i.conversation_id and o.direction = 'out') as out,
         exists (select from handoffs h where h.conversation_id = i.conversation_id and h.status = 'open') as listed
       from messages i where i.direction = 'in' and i.text = $1`,
      [question(index)],
    );
    // Killed between the mark in the database and the wire: nobody can prove that it has not left, so a person decides.
    if (row?.status === 'answered' && row.out === 'unproven(worker_lost)' && row.listed && times === 0) unproven++;
    else if (times !== 1 || row?.status !== 'answered' || !/^(sent|delivered)$/.test(row.out ?? ''))
      problems.push(`${question(index)}: ${times} times, ${JSON.stringify(row)}`);
  }
  t.diagnostic(`${kills} kills, ${asked} inbound, ${unproven} unproven sends listed to a person`);
  assert.deepEqual(problems, []);
  assert.equal(left(site).length, new Set(left(site)).size, 'nothing twice');
  assert.ok(unproven <= kills);
});

const question = (index: number): string => `Pergunta #${String(index).padStart(3, '0')}#`;
const answer = (index: number): string => `Resposta #${String(index).padStart(3, '0')}#`;

/**
 * What the sweeps and the ends of leases do within some minutes, at once: with the product's own steps. Each round a minute passes for what is in doubt, since a
 * doubt has two minutes (DOUBT_MS in outbox/decide.ts).
 */
async function recover(t: TestContext, site: Site, first: 'killed before the wire' | null = null): Promise<void> {
  const ctx = await openContext(configOf({ ...site.env, RUN_MODE: 'worker' }), testLogger([], new EventEmitter()));
  t.after(() => ctx[Symbol.asyncDispose]());
  for (let round = 0; round < 20; round++) {
    await site.query(`update turns set lease_until = now() where status = 'open'`);
    await site.query(
      `update messages set lease_until = least(lease_until, now()), due_at = now(),
         claimed_at = case when status = 'queued' then claimed_at else claimed_at - interval '1 minute' end where status in ('queued', 'sending', 'uncertain')`,
    );
    const turns = await sweepTurns(ctx.db, 0, 1_000);
    const lanes = await sweepSends(ctx.db, 1_000);
    if (turns.length + lanes.length === 0) return;
    for (const conversation of turns) await runTurn(ctx, conversation, new AbortController().signal);
    // As a worker does that is killed between the mark in the database and the wire.
    if (round === 0 && first !== null)
      for (const conversation of turns.slice(0, 1)) await claimSend(ctx.db, conversation, ctx.sendPolicy, 0);
    for (const conversation of new Set([...turns, ...lanes])) while ((await sendNext(ctx, conversation)).kind === 'next');
  }
  throw new Error('the sweeps find work for ever');
}
