/** One lane: parts in order, deaths between two lines, equal words, and rules that change between the queue and the wire. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import type { FaultInput } from '../../simulator/types.ts';
import type { Context } from '../../src/context.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { createEvolution } from '../../src/whatsapp/client.ts';
import type { Evolution } from '../../src/whatsapp/client.ts';
import { clocked, drainLane, queueReplies, sendRow, states } from '../support/sends.ts';
import type { Clock } from '../support/sends.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

let system: System;
let ctx: Context;
let evolution: Evolution;
const clock: Clock = { now: null };

before(async () => {
  system = await startSystem({ after: () => {} }, { workers: 0, env: { EVOLUTION_BREAKER_FAILURES: '1000' } });
  const { evolutionUrl: url, apiKey } = system.simulator;
  evolution = createEvolution({ url, apiKey, timeouts: { sendMs: 250, otherMs: 3_000 } });
  ctx = { ...clocked(await system.openContext('worker'), clock), whatsapp: evolution };
});
after(() => system.close());
beforeEach(async () => {
  clock.now = null;
  system.simulator.clearFaults();
  // what the test before did to the number must not hold up what this one sends
  await system.query(`update instances set held_reason = null, held_until = null, trust = 100`);
});

let phones = 0;
const newPhone = () => `55119${51_000_000 + ++phones}`;
const noEcho: FaultInput = { target: 'webhook', kind: 'drop', match: { event: 'send.message' } };

/** The words that left, in order, for a phone. */
const wire = (phone: string) => system.simulator.sends({ jid: `${phone}@s.whatsapp.net`, sent: true }).map((send) => send.text);
const isSent = (state: string) => state.replace(/^(delivered|read)$/, 'sent');
const sentStates = async (ids: number[]) => (await states(system, ids)).map(isSent);
const later = (ms: number) => (clock.now = new Date((clock.now?.getTime() ?? Date.now()) + ms));
const drain = (conversation: number, context = ctx) => drainLane(context, clock, system, conversation);

/** A worker that dies: what it was about to write down is never written. */
class Killed extends Error {}
function dying(when: 'before the wire' | 'after the wire'): Context {
  return {
    ...ctx,
    whatsapp: {
      ...evolution,
      async sendText(message, options) {
        if (when === 'after the wire') await evolution.sendText(message, options);
        throw new Killed();
      },
    },
  };
}

test('O2 killed after the wire, echo lost: the next worker finds it and goes on with the lane', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['um', 'dois']);
  system.simulator.fault(noEcho);
  await assert.rejects(sendNext(dying('after the wire'), conversation), Killed);
  assert.deepEqual(await states(system, ids), ['sending', 'queued']);
  assert.equal((await sendNext(ctx, conversation)).kind, 'wait');
  assert.deepEqual(await states(system, ids), ['sending', 'queued'], 'the lease holds');
  const waited = clock.now ?? new Date();
  await drain(conversation);
  assert.deepEqual(await sentStates(ids), ['sent', 'sent']);
  assert.deepEqual(wire(phone), ['um', 'dois']);
  assert.ok((clock.now?.getTime() ?? 0) - waited.getTime() <= 120_000, 'taken up again within two minutes');
});

test('O2 killed before the wire: never sent again by itself, shown to a person, and the lane goes on', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['um', 'dois']);
  await assert.rejects(sendNext(dying('before the wire'), conversation), Killed);
  await drain(conversation);
  assert.deepEqual(await sentStates(ids), ['unproven(worker_lost)', 'sent']);
  assert.deepEqual(wire(phone), ['dois']);
  assert.deepEqual(await system.query(`select reason, controls, status from handoffs where conversation_id = $1`, [conversation]), [
    { reason: 'send_unproven', controls: false, status: 'open' },
  ]);
  later(86_400_000);
  await drain(conversation);
  assert.deepEqual(wire(phone), ['dois']);
});

test('O2 a lost lease is found by the sweep within two minutes', async () => {
  const { conversation } = await queueReplies(system, newPhone(), ['um']);
  await assert.rejects(sendNext(dying('before the wire'), conversation), Killed);
  const found = async () => ((await ctx.db.call('sweep_sends', { p_limit: 500 })) as number[]).includes(conversation);
  assert.equal(await found(), false);
  later(31_000);
  assert.equal(await found(), true);
});

test('O2 a slow worker whose lease ran out may still say what it did, once', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['devagar']);
  system.simulator.fault(noEcho);
  let meanwhile = '';
  const slow: Context = {
    ...ctx,
    whatsapp: {
      ...evolution,
      async sendText(message, options) {
        const outcome = await evolution.sendText(message, options);
        later(31_000);
        await sendNext(
          { ...ctx, whatsapp: { ...evolution, findMessages: async () => ({ kind: 'ok', total: 0, pages: 0, page: 1, records: [] }) } },
          conversation,
        );
        meanwhile = (await states(system, ids))[0] ?? '';
        return outcome;
      },
    },
  };
  await sendNext(slow, conversation);
  assert.equal(meanwhile, 'uncertain(worker_lost)');
  assert.deepEqual(await sentStates(ids), ['sent']);
  assert.deepEqual(wire(phone), ['devagar']);
});

test('O7 parts: one that fails is sent again alone, before those after it', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['parte 1', 'parte 2', 'parte 3']);
  system.simulator.fault({ target: 'send', kind: 'rate-limited', match: { text: 'parte 2' } });
  system.simulator.fault({ target: 'send', kind: 'status', status: 503, match: { text: 'parte 2' } });
  await drain(conversation);
  assert.deepEqual(wire(phone), ['parte 1', 'parte 2', 'parte 3']);
  const asked = system.simulator.sends({ jid: `${phone}@s.whatsapp.net` }).map((send) => send.text);
  assert.deepEqual(asked, ['parte 1', 'parte 2', 'parte 2', 'parte 2', 'parte 3']);
  const ends = await Promise.all(ids.map((id) => sendRow(system, id)));
  assert.deepEqual(new Set(ends.map((row) => row.provider_id)).size, 3);
  assert.deepEqual(
    ends.map((row) => row.attempts),
    [1, 1, 1],
    'neither a limit nor an absence is the fault of the message',
  );
  // Both say something of the number, too; the tests below want it well.
  await system.query(`update instances set held_reason = null, held_until = null, held_since = null`);
});

test('O7 parts: one that cannot be sent takes the rest of the answer with it, not other answers', async () => {
  const phone = newPhone();
  const first = await queueReplies(system, phone, ['parte 1', 'parte 2', 'parte 3']);
  const next = await queueReplies(system, phone, ['outra']);
  system.simulator.fault({
    target: 'send',
    kind: 'status',
    status: 400,
    body: { status: 400, error: 'x', response: { message: ['Text is required'] } },
    match: { text: 'parte 2' },
  });
  await drain(first.conversation);
  assert.deepEqual(await sentStates([...first.ids, ...next.ids]), [
    'sent',
    'failed(bad_request)',
    'cancelled(earlier_part_failed)',
    'sent',
  ]);
});

test('O7 parts: a reaction that fails leaves the words of its answer alone', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['👍'], { type: 'reaction', quotedId: 'gone' });
  const [turn] = await system.query<{ turn_id: string }>(`select turn_id from messages where id = $1`, [ids[0]]);
  const words = await queueReplies(system, phone, ['com prazer']);
  await system.query(`update messages set turn_id = $1 where id = $2`, [turn?.turn_id, words.ids[0]]);
  system.simulator.fault({
    target: 'send',
    kind: 'status',
    status: 400,
    body: { status: 400, error: 'x', response: { message: ['Message not found'] } },
    match: { text: '👍' },
  });
  await drain(conversation);
  assert.deepEqual(await sentStates([...ids, ...words.ids]), ['failed(bad_request)', 'sent']);
});

test('O7 parts: two with the same words are two messages, whichever of them is heard of how', async () => {
  const ways: FaultInput[][] = [
    [],
    [{ target: 'send', kind: 'hang' }],
    [{ target: 'send', kind: 'drop' }, noEcho],
    [
      { target: 'send', kind: 'echo-first' },
      { target: 'send', kind: 'echo-first' },
    ],
  ];
  for (const faults of ways) {
    const phone = newPhone();
    const { conversation, ids } = await queueReplies(system, phone, ['Ok!', 'Ok!']);
    for (const fault of faults) system.simulator.fault(fault);
    await drain(conversation);
    assert.deepEqual(await sentStates(ids), ['sent', 'sent']);
    assert.deepEqual(wire(phone), ['Ok!', 'Ok!']);
    const rows = await Promise.all(ids.map((id) => sendRow(system, id)));
    const onWire = system.simulator.sends({ jid: `${phone}@s.whatsapp.net`, sent: true }).map((send) => send.id);
    assert.deepEqual(
      rows.map((row) => row.provider_id),
      onWire,
      'each its own id',
    );
    clock.now = null;
  }
});

test('O7 parts: the echo of the second does not pass for a first one that was given up', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['Ok?', 'Ok?']);
  system.simulator.fault({ target: 'send', kind: 'hang', sent: false });
  system.simulator.fault({ target: 'send', kind: 'echo-first' });
  await drain(conversation);
  assert.deepEqual(await sentStates(ids), ['unproven(timeout)', 'sent']);
  const [sent] = system.simulator.sends({ jid: `${phone}@s.whatsapp.net`, sent: true });
  assert.equal((await sendRow(system, ids[1] ?? 0)).provider_id, sent?.id);
});

const stops: { title: string; set: (conversation: number) => Promise<unknown>; ends: string; lift?: () => Promise<unknown> }[] = [
  {
    title: 'opt-out',
    set: (id) => system.query(`select add_opt_out(contact_id, 'test') from conversations where id = $1`, [id]),
    ends: 'blocked(opt_out)',
  },
  {
    title: 'pause by the SQL of the runbook',
    set: () => system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'sql')`),
    ends: 'queued(paused_all)',
    lift: () => system.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'teste', 'sql')`),
  },
  {
    title: 'pause of the number',
    set: () => system.query(`insert into julia_status (status, scope, target) values ('pausado', 'instance', $1)`, [INSTANCE]),
    ends: 'queued(paused_instance)',
    lift: () => system.query(`insert into julia_status (status, scope, target) values ('ativo', 'instance', $1)`, [INSTANCE]),
  },
  {
    title: 'hand-over to a person',
    set: (id) => system.query(`update conversations set controlled_by = 'human' where id = $1`, [id]),
    ends: 'cancelled(human)',
  },
  {
    title: 'takeover',
    set: (id) =>
      system.query(`update conversations set takeover_since = now(), takeover_until = now() + interval '30 minutes' where id = $1`, [id]),
    ends: 'cancelled(takeover)',
  },
];
for (const stop of stops) {
  for (const type of ['text', 'reaction'] as const) {
    test(`O11 ${stop.title}, set after the ${type} was queued and its typing shown: not sent`, async () => {
      const phone = newPhone();
      const { conversation, ids } = await queueReplies(system, phone, ['😀'], {
        type,
        quotedId: 'x',
        typingMs: type === 'text' ? 50 : 0,
      });
      if (type === 'text') {
        await sendNext(ctx, conversation);
        later(100);
      }
      later(1);
      await stop.set(conversation);
      await sendNext(ctx, conversation);
      assert.deepEqual(await states(system, ids), [stop.ends]);
      assert.equal(system.simulator.sends({ jid: `${phone}@s.whatsapp.net` }).length, 0);
      if (stop.lift === undefined) return;
      await stop.lift();
      await drain(conversation);
      // `x` is no message that the simulator knows, which it takes for any other
      assert.deepEqual(await sentStates(ids), ['sent']);
    });
  }
}

async function proactive(phone: string, extra: object = {}): Promise<{ conversation: number; ids: number[] }> {
  const result = (await ctx.db.call('enqueue_message', {
    p_request: { instance: INSTANCE, phone, text: `para ${phone}`, kind: 'campaign', ...extra },
  })) as { id: number; conversation_id: number };
  return { conversation: result.conversation_id, ids: [result.id] };
}

test('O11 opt-out between queue and wire blocks what nobody asked for; an answer to words written after it is sent', async () => {
  const phone = newPhone();
  const campaign = await proactive(phone);
  await system.query(`select add_opt_out(contact_id, 'test') from conversations where id = $1`, [campaign.conversation]);
  const answer = await queueReplies(system, phone, ['claro, respondo'], { at: later(1_000) });
  later(1_000);
  await drain(campaign.conversation);
  assert.deepEqual(await sentStates([...campaign.ids, ...answer.ids]), ['blocked(opt_out)', 'sent']);
  assert.deepEqual(wire(phone), ['claro, respondo']);
});

test('O11 takeover holds a campaign message until the person is done, and lets an operator’s own through', async () => {
  const phone = newPhone();
  const campaign = await proactive(phone);
  await system.query(`update conversations set takeover_since = now(), takeover_until = now() + interval '30 minutes' where id = $1`, [
    campaign.conversation,
  ]);
  await sendNext(ctx, campaign.conversation);
  assert.deepEqual(await states(system, campaign.ids), ['queued(takeover)']);
  const manual = await proactive(phone, { kind: 'manual', text: 'do operador' });
  await sendNext(ctx, manual.conversation);
  assert.deepEqual(wire(phone), ['do operador']);
  later(30 * 60_000);
  await drain(campaign.conversation);
  assert.deepEqual(wire(phone), ['do operador', `para ${phone}`]);
});

test('O17 expiry: past its deadline it ends as expired, also when it was held until later', async () => {
  const phone = newPhone();
  const inTwoMinutes = new Date(Date.now() + 120_000).toISOString();
  const held = await proactive(phone, { expires_at: inTwoMinutes });
  const strict = { ...ctx, sendPolicy: { ...ctx.sendPolicy, capHour: 0 } };
  await sendNext(strict, held.conversation);
  assert.deepEqual(await states(system, held.ids), ['queued(cap_hour)']);
  later(121_000);
  assert.ok(((await ctx.db.call('sweep_sends', { p_limit: 500 })) as number[]).includes(held.conversation));
  await drain(held.conversation);
  assert.deepEqual(await states(system, held.ids), ['expired(expired)']);
  assert.deepEqual(wire(phone), []);
});

test('O5 send_after: not before its time, and others do not wait for it', async () => {
  const phone = newPhone();
  const start = later(3_600_000); // beyond what other tests have paced
  const afterwards = await proactive(phone, { send_after: new Date(start.getTime() + 3_600_000).toISOString(), text: 'depois' });
  const now = await proactive(phone, { text: 'agora' });
  assert.equal((await sendNext(ctx, now.conversation)).kind, 'next');
  assert.equal((await sendNext(ctx, now.conversation)).kind, 'wait');
  assert.deepEqual(wire(phone), ['agora']);
  later(3_600_001);
  await drain(afterwards.conversation);
  assert.deepEqual(wire(phone), ['agora', 'depois']);
});
