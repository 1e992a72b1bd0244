/** The lane in SQL: claims, records, echoes, look-ups in any order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import { INSTANCE } from '../support/system.ts';
import { FREE, queueReplies, sendRow, sendsDatabase, sentAs, states } from '../support/sends.ts';
import type { Claimed, SendsDatabase } from '../support/sends.ts';

const START = new Date('2026-03-02T12:00:00Z');
const later = (ms: number) => new Date(START.getTime() + ms);

const settle = (sends: SendsDatabase, claim: Claimed, providerId: string | null, now: Date) =>
  sends.db.call('settle_send', {
    p_message: claim.message_id,
    p_claim: claim.claim,
    p_provider_id: providerId,
    p_not_sent: false,
    p_next_ms: claim.looks < 5 ? 10_000 : null,
    p_now: now.toISOString(),
  });

async function webhook(sends: SendsDatabase, event: Record<string, unknown>, now: Date): Promise<Record<string, unknown>> {
  const result = (await sends.db.call('record_inbound', {
    p_webhooks: [{ instance: INSTANCE, event: 'send.message', raw: {}, requestId: 'r', events: [event] }],
    p_options: { takeoverMinutes: 30, takeoverCapMinutes: 240 },
    p_now: now.toISOString(),
  })) as { results: Record<string, unknown>[] }[];
  return result[0]?.results[0] ?? {};
}

const echo = (phone: string, text: string, providerId: string, sentAt: Date) => ({
  kind: 'message',
  instance: INSTANCE,
  instanceId: null,
  providerId,
  fromMe: true,
  viaApi: true,
  jid: `${phone}@s.whatsapp.net`,
  chat: { pn: phone, lid: null },
  pushName: null,
  sentAt: sentAt.toISOString(),
  content: { type: 'text', text, typed: text, media: null },
  quoted: null,
});

test('A1 sweep: what is said to those who run this is found although everything is paused', async (t) => {
  const sends = await sendsDatabase(t);
  const customer = await sends.proactive('5511950000001', START);
  const manager = await sends.proactive('5511950000002', START, { kind: 'operator' });
  const swept = async () => sends.db.call('sweep_sends', { p_limit: 10, p_now: START.toISOString() });
  assert.deepEqual(await swept(), [customer.conversation, manager.conversation]);
  await sends.query(`insert into julia_status (status) values ('pausado')`);
  assert.deepEqual(await swept(), [manager.conversation]);
});

test('D2 restore: the echo of an answer that left after the backup is its own, and nobody typed it', async (t) => {
  const sends = await sendsDatabase(t);
  const { ids } = await queueReplies(sends, '5511950000003', ['Pois não'], { at: START });
  await sends.db.call('mark_restored', { p_backup_at: START.toISOString(), p_actor: 'ana', p_now: later(3_600_000).toISOString() });
  const told = await webhook(sends, echo('5511950000003', 'Pois não', 'wa-1', later(5_000)), later(3_601_000));
  assert.equal(told['outcome'], 'echo');
  assert.deepEqual(await states(sends, ids), ['sent']);
});

test('O1 claim: eight claimers over one number take each message once, and a lane has one at a time', async (t) => {
  const sends = await sendsDatabase(t, 8);
  const lanes = await Promise.all(
    Array.from({ length: 20 }, (_, lane) => queueReplies(sends, `55119${60_000_000 + lane}`, ['a', 'b', 'c', 'd', 'e'], { at: START })),
  );
  const wire: number[] = [];
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let idle = false; !idle;) {
        idle = true;
        for (const { conversation } of lanes) {
          const claim = await sends.claim(conversation, START);
          if (claim.action !== 'idle') idle = false;
          if (claim.action !== 'send') continue;
          wire.push(claim.message_id);
          await sends.record(claim, sentAs(`wa-${claim.message_id}`), START);
        }
      }
    }),
  );
  assert.equal(wire.length, 100);
  assert.equal(new Set(wire).size, 100);
  for (const { ids } of lanes)
    assert.deepEqual(
      wire.filter((id) => ids.includes(id)),
      ids,
    );
});

test('O2 stale: who lost its claim changes nothing', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, '5511960000001', ['oi'], { at: START });
  const first = await sends.claim(conversation, START);
  await sends.record(first, { kind: 'retry', class: 'unavailable', detail: '', delay_ms: 0, counts: true }, START);
  const second = await sends.claim(conversation, later(1));
  assert.equal(second.claim, first.claim + 1);
  const before = await sendRow(sends, ids[0] ?? 0);
  for (const outcome of [
    sentAs('wa-x'),
    { kind: 'failed', class: 'restricted', detail: '' },
    { kind: 'uncertain', class: 'reset', detail: '', look_ms: 0 },
    { kind: 'retry', class: 'reset', detail: '', delay_ms: 0, counts: false },
  ]) {
    assert.equal((await sends.record(first, outcome, later(2))).outcome, 'stale');
  }
  assert.deepEqual(await sendRow(sends, ids[0] ?? 0), before);
  assert.deepEqual(
    await sends.db.call('renew_send', { p_message: first.message_id, p_claim: first.claim, p_lease_ms: 1, p_now: later(2).toISOString() }),
    { alive: false },
  );
});

test('O2 stale: after an echo has settled it, a late "not sent" is not believed, and "sent" changes nothing more', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, '5511960000002', ['oi'], { at: START });
  const claim = await sends.claim(conversation, START);
  assert.equal((await webhook(sends, echo('5511960000002', 'oi', 'wa-1', START), later(10)))['outcome'], 'echo');
  assert.deepEqual(await sends.record(claim, { kind: 'retry', class: 'disconnected', detail: '', delay_ms: 0, counts: false }, later(20)), {
    outcome: 'stale',
    status: 'sent',
  });
  await sends.record(claim, sentAs('wa-1'), later(30));
  assert.deepEqual(await states(sends, ids), ['sent']);
  assert.equal((await sends.claim(conversation, later(40))).action, 'idle');
});

test('O2 stale: an answer repeated by a worker whose connection broke counts once', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, '5511960000003', ['oi', 'tudo bem?'], { at: START });
  const claim = await sends.claim(conversation, START);
  await sends.record(claim, sentAs('wa-1'), START);
  await sends.record(claim, sentAs('wa-1'), later(1));
  await sends.record(claim, { kind: 'failed', class: 'restricted', detail: '' }, later(2));
  assert.deepEqual(await states(sends, ids), ['sent', 'queued']);
});

test('O2 echo: of equal words the one under way is meant, not the one that was given up', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, '5511960000006', ['ok', 'ok'], { at: START });
  const first = await sends.claim(conversation, START);
  await sends.record(first, { kind: 'uncertain', class: 'timeout', detail: '', look_ms: 0 }, START);
  await sends.query(`update messages set status = 'unproven' where id = $1`, [ids[0]]);
  assert.equal((await sends.claim(conversation, later(1))).message_id, ids[1]);
  await webhook(sends, echo('5511960000006', 'ok', 'wa-2', START), later(2));
  assert.deepEqual(await states(sends, ids), ['unproven(timeout)', 'sent']);
});

test('O11 O14 wait: a number that comes back releases what waited for it at once, and no other number takes its answer', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation } = await queueReplies(sends, '5511960000004', ['oi'], { at: START });
  const state = (to: string, ms: number) =>
    webhook(sends, { kind: 'connection', instance: INSTANCE, instanceId: null, state: to, reason: null, ownerPn: null }, later(ms));
  await sends.query(`insert into instances (name, status, proactive) values ('outro', 'open', true)`);
  await state('close', 0);
  assert.equal((await sends.claim(conversation, later(1))).reason, 'number_disconnected');
  const swept = async (ms: number) => (await sends.db.call('sweep_sends', { p_limit: 10, p_now: later(ms).toISOString() })) as number[];
  assert.deepEqual(await swept(1_000), []);
  assert.equal((await state('open', 1_000))['wake_sends'], true);
  assert.deepEqual(await swept(1_000), [conversation]);
  const claim = await sends.claim(conversation, later(1_001));
  assert.deepEqual([claim.action, claim.instance], ['send', INSTANCE]);
});

test('O2 record: what became of a send is written down while somebody has the lock of the number', async (t) => {
  const sends = await sendsDatabase(t);
  const { conversation, ids } = await queueReplies(sends, '5511960000005', ['oi'], { at: START });
  const claim = await sends.claim(conversation, START);
  const [holder, recorder] = [new pg.Client(sends.url), new pg.Client(sends.url)];
  for (const client of [holder, recorder]) {
    client.on('error', () => {});
    await client.connect();
  }
  try {
    await holder.query(`begin; select 1 from instances for update`);
    await recorder.query(`set lock_timeout = '2s'`);
    await recorder.query(`select record_send($1, $2, $3)`, [claim.message_id, claim.claim, JSON.stringify(sentAs('wa-1'))]);
    assert.deepEqual(await states(sends, ids), ['sent']);
  } finally {
    await holder.end();
    await recorder.end();
  }
});

test('O2 record: a call that Postgres ended because two waited for each other is made again', async (t) => {
  const sends = await sendsDatabase(t);
  await sends.query(`create table pair (id int primary key, n int not null)`);
  await sends.query(`insert into pair values (1, 0), (2, 0)`);
  await sends.query(`create function take_both(p_first int, p_second int) returns jsonb language plpgsql as $$
    begin update pair set n = n + 1 where id = p_first; perform pg_sleep(0.3); update pair set n = n + 1 where id = p_second; return '{}'; end $$`);
  await Promise.all([sends.db.call('take_both', { p_first: 1, p_second: 2 }), sends.db.call('take_both', { p_first: 2, p_second: 1 })]);
  assert.deepEqual(await sends.query(`select n from pair`), [{ n: 2 }, { n: 2 }]);
});

/** What may happen to one lane, in any order. `which` picks among what is there. */
type Step = { kind: 'claim' | 'wire' | 'answer' | 'lost' | 'echo' | 'refused' | 'tick'; which: number };
const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom('claim', 'claim', 'claim', 'wire', 'wire', 'answer', 'answer', 'lost', 'echo', 'refused', 'tick', 'tick' as const),
  which: fc.nat(7),
});

test('O2 property: whatever the order of claims, answers, echoes, deaths and look-ups, no row is sent twice and the order is kept', async (t) => {
  const sends = await sendsDatabase(t);
  let lane = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), fc.boolean(), async (steps, equalWords) => {
      const phone = `55119${70_000_000 + ++lane}`;
      const texts = equalWords ? ['ok', 'ok', 'ok', 'ok'] : ['um', 'dois', 'três', 'quatro'];
      const { conversation, ids } = await queueReplies(sends, phone, texts, { at: START });
      const world = await play(sends, conversation, phone, lane, steps);
      assert.equal(new Set(world.wire.map((each) => each.message)).size, world.wire.length, 'twice on the wire');
      assert.deepEqual(
        world.wire.map((each) => each.message),
        world.wire.map((each) => each.message).toSorted((a, b) => a - b),
        'out of order',
      );
      await assertEnds(sends, ids, world);
    }),
    { numRuns: 60, seed: 20_261_123 },
  );
});

type OnWire = { message: number; providerId: string; echoed: boolean };
type World = { wire: OnWire[]; now: number };

/** A call of Evolution lasts up to a minute after its worker is gone: it reaches the wire before the clock moves on, or not at all. */
async function play(sends: SendsDatabase, conversation: number, phone: string, lane: number, steps: Step[]): Promise<World> {
  const world: World = { wire: [], now: 0 };
  /** Claims whose worker lives: not on the wire yet, or there. */
  let open: { claim: Claimed; wired: OnWire | null }[] = [];
  const take = async () => {
    const claim = await sends.claim(conversation, later(world.now), { ...FREE });
    if (claim.action === 'send') open.push({ claim, wired: null });
    if (claim.action === 'look') {
      const known = new Set(
        (
          await sends.query<{ id: string }>(
            `select provider_id as id from messages where conversation_id = $1 and provider_id is not null`,
            [conversation],
          )
        ).map((row) => row.id),
      );
      const found = world.wire.find((each) => !known.has(each.providerId) && each.providerId.endsWith(`-${claim.text}`));
      await settle(sends, claim, found?.providerId ?? null, later(world.now));
    }
    return claim;
  };
  for (const { kind, which } of steps) {
    const flight = open[which % Math.max(1, open.length)];
    const echoable = world.wire.filter((each) => !each.echoed);
    const heard = echoable[which % Math.max(1, echoable.length)];
    if (kind === 'claim') await take();
    else if (kind === 'tick') {
      world.now += [1, 5_000, 31_000, 31_000, 61_000, 130_000, 2_000, 500][which] ?? 1;
      // whoever is not on the wire by now is a worker that died before it
      open = open.filter((each) => each.wired !== null);
    } else if (kind === 'echo' && heard) {
      heard.echoed = true;
      const text = heard.providerId.split('-').at(-1) ?? '';
      await webhook(sends, echo(phone, text, heard.providerId, later(world.now)), later(world.now));
    } else if (flight === undefined) continue;
    else if (kind === 'wire' && flight.wired === null) {
      flight.wired = {
        message: flight.claim.message_id,
        providerId: `wa-${lane}-${flight.claim.message_id}-${flight.claim.text}`,
        echoed: false,
      };
      world.wire.push(flight.wired);
    } else if (kind === 'refused' && flight.wired === null) {
      open = open.filter((each) => each !== flight);
      await sends.record(
        flight.claim,
        { kind: 'retry', class: 'unavailable', detail: '', delay_ms: 1_000, counts: false },
        later(world.now),
      );
    } else if (kind === 'answer' && flight.wired !== null) {
      open = open.filter((each) => each !== flight);
      await sends.record(flight.claim, sentAs(flight.wired.providerId), later(world.now));
    } else if (kind === 'lost') {
      open = open.filter((each) => each !== flight);
      if (which % 2 === 0)
        await sends.record(flight.claim, { kind: 'uncertain', class: 'timeout', detail: '', look_ms: 3_000 }, later(world.now));
    }
  }
  // The end: workers that answer, then one that does the rest.
  for (const flight of open) if (flight.wired !== null) await sends.record(flight.claim, sentAs(flight.wired.providerId), later(world.now));
  open = [];
  for (let index = 0; index < 80; index++) {
    world.now += 31_000;
    const claim = await take();
    if (claim.action === 'idle') break;
    const flight = open.pop();
    if (flight === undefined) continue;
    const providerId = `wa-${lane}-${flight.claim.message_id}-${flight.claim.text}`;
    world.wire.push({ message: flight.claim.message_id, providerId, echoed: true });
    await sends.record(flight.claim, sentAs(providerId), later(world.now));
  }
  return world;
}

/** Each row has ended: what was on the wire is known as sent under its own id when the words tell them apart, the rest is given up. */
async function assertEnds(sends: SendsDatabase, ids: number[], world: World): Promise<void> {
  for (const id of ids) {
    const row = await sendRow(sends, id);
    assert.match(row.status, /^(sent|unproven)$/);
    const onWire = world.wire.some((each) => each.message === id);
    if (row.text !== 'ok') assert.equal(row.status === 'sent', onWire, `row ${id} is ${row.status}, on the wire: ${onWire}`);
  }
  const rows = await Promise.all(ids.map((id) => sendRow(sends, id)));
  assert.equal(rows.filter((row) => row.status === 'sent').length, world.wire.length, 'as many sent as were on the wire');
}
