/** Every answer that Evolution can give to a send, and what becomes of the message: contract 4.2, on the wire of the simulator. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { freePort } from '../../scripts/lib/ports.ts';
import type { FaultInput } from '../../simulator/types.ts';
import type { Context } from '../../src/context.ts';
import type { WebhookRecord } from '../../src/inbox/calls.ts';
import { store } from '../../src/inbox/receive.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { createEvolution } from '../../src/whatsapp/client.ts';
import { parseFoundMessages } from '../../src/whatsapp/payload.ts';
import { clocked, drainLane, queueReplies, sendRow, states } from '../support/sends.ts';
import type { Clock } from '../support/sends.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

let system: System;
let ctx: Context;
const clock: Clock = { now: null };

let phones = 0;
const newPhone = () => `55119${41_000_000 + ++phones}`;

before(async () => {
  // The breaker has tests of its own.
  system = await startSystem({ after: () => {} }, { workers: 0, env: { EVOLUTION_BREAKER_FAILURES: '1000' } });
  const { evolutionUrl: url, apiKey } = system.simulator;
  ctx = {
    ...clocked(await system.openContext('worker'), clock),
    whatsapp: createEvolution({ url, apiKey, timeouts: { sendMs: 250, otherMs: 3_000 } }),
  };
  // The first webhook of a process is its slowest: an echo has to be quicker than the client's patience.
  const { conversation, ids } = await queueReplies(system, newPhone(), ['aquecendo']);
  await sendNext(ctx, conversation);
  await system.until(async () => (await states(system, ids))[0] === 'delivered', 'its ack is there');
});
after(() => system.close());
beforeEach(() => {
  clock.now = null;
  system.simulator.clearFaults();
});

/** Messages with these words that really left. */
const left = (text: string) => system.simulator.sends({ text, sent: true }).length;
const calls = (text: string) => system.simulator.sends({ text }).length;

type Case = {
  title: string;
  faults: FaultInput[];
  /** After the call, before anybody looks. */
  first: string;
  attempts: number;
  /** When all waits are over. */
  finally: string;
  /** Whether it is on the wire in the end, and how often Evolution was asked to send it. */
  left: number;
  calls: number;
  handoff?: string;
};

const send = (kind: string, extra: object = {}): FaultInput => ({ target: 'send', kind, ...extra });
/** Nothing tells of the next send: neither its echo, nor its ack, which an Evolution that takes our id says it of too. */
const lost: FaultInput[] = ['send.message', 'messages.update'].map((event) => ({ target: 'webhook', kind: 'drop', match: { event } }));
const body = (status: number, message: unknown) => ({ status, body: { status, error: 'x', response: { message } } });

const CASES: Case[] = [
  { title: 'no answer, it left, the echo came', faults: [send('hang')], first: 'sent', attempts: 1, finally: 'sent', left: 1, calls: 1 },
  {
    title: 'no answer, it left, the echo was lost: found by looking',
    faults: [send('hang'), ...lost],
    first: 'uncertain(timeout)',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 1,
  },
  {
    title: 'no answer, it left without a trace',
    faults: [send('hang', { visible: false })],
    first: 'uncertain(timeout)',
    attempts: 1,
    finally: 'unproven(timeout)',
    left: 1,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: 'no answer, it did not leave',
    faults: [send('hang', { sent: false })],
    first: 'uncertain(timeout)',
    attempts: 1,
    finally: 'unproven(timeout)',
    left: 0,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: 'connection reset, it left, the echo was lost',
    faults: [send('drop'), ...lost],
    first: 'uncertain(reset)',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 1,
  },
  {
    title: 'connection reset, it did not leave',
    faults: [send('drop', { sent: false })],
    first: 'uncertain(reset)',
    attempts: 1,
    finally: 'unproven(reset)',
    left: 0,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: '400 Timed Out, it left, the echo was lost',
    faults: [send('timed-out'), ...lost],
    first: 'uncertain(timeout)',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 1,
  },
  {
    title: '400 Timed Out, it did not leave',
    faults: [send('timed-out', { sent: false })],
    first: 'uncertain(timeout)',
    attempts: 1,
    finally: 'unproven(timeout)',
    left: 0,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: '400 Connection Closed while open: surely not sent',
    faults: [send('refuse-before')],
    first: 'queued(connection_closed)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '400 of a socket that dropped during the send (1006): surely not sent',
    faults: [send('status', body(400, ['1006']))],
    first: 'queued(connection_closed)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '400 TypeError of a number that this Evolution never connected: surely not sent',
    faults: [send('status', body(400, ["TypeError: Cannot read properties of undefined (reading 'sendMessage')"]))],
    first: 'queued(connection_closed)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '400 of an error in Evolution after it left, the echo was lost',
    faults: [send('refuse-after', { says: 'TypeError: this.isZero is not a function' }), ...lost],
    first: 'uncertain(provider_error)',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 1,
  },
  {
    title: '500 Connection Closed',
    faults: [send('status', body(500, 'Connection Closed'))],
    first: 'queued(connection_closed)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '500 of the number check',
    faults: [send('status', body(500, "Cannot read properties of undefined (reading 'onWhatsApp')"))],
    first: 'queued(connection_closed)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '502 of a proxy',
    faults: [send('status', { status: 502, body: 'Bad Gateway' })],
    first: 'uncertain(proxy)',
    attempts: 1,
    finally: 'unproven(proxy)',
    left: 0,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: '503',
    faults: [send('status', { status: 503, body: 'no upstream' })],
    first: 'queued(service_unavailable)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  { title: '401', faults: [send('unauthorized')], first: 'queued(unauthorized)', attempts: 1, finally: 'sent', left: 1, calls: 2 },
  {
    title: '404 of the instance',
    faults: [send('status', body(404, ['The "julia-dev" instance does not exist']))],
    first: 'queued(unknown_instance)',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '404 of the route',
    faults: [send('status', body(404, ['Cannot POST /message/sendText']))],
    first: 'failed(bad_request)',
    attempts: 1,
    finally: 'failed(bad_request)',
    left: 0,
    calls: 1,
    handoff: 'send_failed',
  },
  {
    title: '429 uses no attempt',
    faults: [send('rate-limited')],
    first: 'queued(rate_limited)',
    attempts: 0,
    finally: 'sent',
    left: 1,
    calls: 2,
  },
  {
    title: '400 of the schema',
    faults: [send('status', body(400, [['instance requires property "text"']]))],
    first: 'failed(bad_request)',
    attempts: 1,
    finally: 'failed(bad_request)',
    left: 0,
    calls: 1,
    handoff: 'send_failed',
  },
  {
    title: '403',
    faults: [send('status', body(403, ['Forbidden']))],
    first: 'failed(restricted)',
    attempts: 1,
    finally: 'failed(restricted)',
    left: 0,
    calls: 1,
    handoff: 'send_failed',
  },
  {
    title: '201 with an error object of Meta: refused',
    faults: [send('status', { status: 201, body: { message: '(#131026) undeliverable', type: 'OAuthException', code: 131026 } })],
    first: 'failed(not_on_whatsapp)',
    attempts: 1,
    finally: 'failed(not_on_whatsapp)',
    left: 0,
    calls: 1,
    handoff: 'send_failed',
  },
  {
    title: '201 with an error object of Meta: its own failure',
    faults: [send('status', { status: 201, body: { message: 'Something went wrong', code: 131000 } })],
    first: 'uncertain(provider_error)',
    attempts: 1,
    finally: 'unproven(provider_error)',
    left: 0,
    calls: 1,
    handoff: 'send_unproven',
  },
  {
    title: 'the echo is there before the answer',
    faults: [send('echo-first')],
    first: 'sent',
    attempts: 1,
    finally: 'sent',
    left: 1,
    calls: 1,
  },
  { title: 'the answer comes, the echo never', faults: [send('no-echo')], first: 'sent', attempts: 1, finally: 'sent', left: 1, calls: 1 },
];

for (const [index, each] of CASES.entries()) {
  test(`O2 outcome: ${each.title}`, async () => {
    const text = `caso ${index}.`;
    const { conversation, ids } = await queueReplies(system, newPhone(), [text]);
    for (const fault of each.faults) system.simulator.fault(fault);
    await sendNext(ctx, conversation);
    // An echo may be slower than our patience with the answer.
    await system.until(async () => (await states(system, ids)).map(acked)[0] === each.first, each.first);
    assert.equal((await sendRow(system, ids[0] ?? 0)).attempts, each.attempts);
    await drainLane(ctx, clock, system, conversation);
    assert.deepEqual((await states(system, ids)).map(acked), [each.finally]);
    assert.deepEqual({ left: left(text), calls: calls(text) }, { left: each.left, calls: each.calls });
    const handoffs = await system.query(`select reason, controls from handoffs where conversation_id = $1`, [conversation]);
    assert.deepEqual(handoffs, each.handoff === undefined ? [] : [{ reason: each.handoff, controls: false }]);
    // Much later, with the simulator well: nothing of it goes out again.
    clock.now = new Date((clock.now?.getTime() ?? Date.now()) + 86_400_000);
    await drainLane(ctx, clock, system, conversation);
    assert.equal(left(text), each.left);
  });
}

/** One whose looks take no longer than a moment of the test. */
function impatient(): Context {
  const { evolutionUrl: url, apiKey } = system.simulator;
  return { ...ctx, whatsapp: createEvolution({ url, apiKey, timeouts: { sendMs: 250, otherMs: 250 } }) };
}

/** What a comparison with Evolution says of one message that left. */
async function comparisonOf(id: string | null | undefined): Promise<WebhookRecord> {
  const found = await ctx.whatsapp?.findMessages({ instance: INSTANCE, id: id ?? '' });
  assert.equal(found?.kind, 'ok');
  return {
    requestId: 'comparison',
    instance: INSTANCE,
    event: 'reconcile',
    raw: {},
    from: { tenant: 'default' },
    events: parseFoundMessages(INSTANCE, found.records, new Date()),
  };
}

async function claimOf(id: number | undefined): Promise<Date> {
  const [row] = await system.query<{ claimed_at: Date }>(`select claimed_at from messages where id = $1`, [id]);
  assert.ok(row);
  return row.claimed_at;
}

const handoffsOf = (conversation: number) =>
  system.query(`select reason, status, returned_by from handoffs where conversation_id = $1 order by id`, [conversation]);

/** An ack may have come meanwhile. */
const acked = (state: string) => (state === 'delivered' ? 'sent' : state);

test('O2 outcome: a number that is not on WhatsApp', async () => {
  const { conversation, ids } = await queueReplies(system, '5511941230404', ['ninguém', 'nem isto']);
  await drainLane(ctx, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['failed(not_on_whatsapp)', 'cancelled(earlier_part_failed)']);
  assert.equal(calls('nem isto'), 0);
});

for (const said of ['close', 'connecting'] as const)
  test(`W14 outcome: 400 Connection Closed of a number that says ${said}: known at once, held by its state, and gone on with at the reconnect`, async () => {
    const text = `espera por ${said}`;
    const { conversation, ids } = await queueReplies(system, newPhone(), [text]);
    system.simulator.fault(send('refuse-before'));
    system.simulator.fault({ target: 'state', kind: 'says', state: said });
    await sendNext(ctx, conversation);
    assert.deepEqual(await states(system, ids), ['queued(disconnected)']);
    await ctx.background.drain(5_000);
    assert.equal(await stateOfNumber(), said);
    clock.now = new Date(Date.now() + 60_000);
    assert.equal((await sendNext(ctx, conversation)).kind, 'wait');
    assert.deepEqual([await states(system, ids), calls(text)], [['queued(number_disconnected)'], 1], 'it is not tried meanwhile');
    clock.now = null;
    system.simulator.connection('open');
    await system.until(async () => (await stateOfNumber()) === 'open', 'reconnected');
    await drainLane(ctx, clock, system, conversation);
    assert.deepEqual([(await states(system, ids)).map(acked), left(text), (await sendRow(system, ids[0] ?? 0)).attempts], [['sent'], 1, 1]);
  });

const stateOfNumber = async () =>
  (await system.query<{ status: string }>(`select status from instances where name = $1`, [INSTANCE]))[0]?.status;

test('W14 outcome: twelve failures of the gateway cost the number no trust, and hold nothing that nobody asked for', async () => {
  await system.query(
    `update instances set trust = 100, trust_at = now(), held_reason = null, held_since = null, held_until = null, held_in_row = 0`,
  );
  for (let index = 0; index < 12; index++) {
    const { conversation } = await queueReplies(system, newPhone(), [`falha ${index}`]);
    system.simulator.fault(
      [
        send('refuse-before'),
        send('status', body(400, ['1006'])),
        send('drop', { sent: false }),
        send('status', { status: 503, body: '' }),
      ][index % 4]!,
    );
    await sendNext(ctx, conversation);
  }
  assert.deepEqual(await system.query(`select trust::int, held_reason from instances where name = $1`, [INSTANCE]), [
    { trust: 100, held_reason: null },
  ]);
});

test('O2 outcome: nothing listens at the address', async () => {
  const { conversation, ids } = await queueReplies(system, newPhone(), ['sem endereço']);
  const nowhere = { ...ctx, whatsapp: createEvolution({ url: `http://127.0.0.1:${await freePort()}`, apiKey: 'k' }) };
  await sendNext(nowhere, conversation);
  assert.deepEqual(await states(system, ids), ['queued(unavailable)']);
  await drainLane(ctx, clock, system, conversation);
  assert.equal(left('sem endereço'), 1);
});

test('O3 retry: what counts ends after five attempts, and a person is told', async () => {
  const { conversation, ids } = await queueReplies(system, newPhone(), ['chave errada']);
  system.simulator.fault(send('unauthorized', { times: null }));
  await drainLane(ctx, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['failed(max_attempts_unauthorized)']);
  assert.equal(calls('chave errada'), 5);
  assert.deepEqual(await system.query(`select reason from handoffs where conversation_id = $1`, [conversation]), [
    { reason: 'send_failed' },
  ]);
});

for (const [title, find] of [
  ['answers each look with an error', { kind: 'status', status: 500 }],
  ['answers no look', { kind: 'hang' }],
] as const)
  test(`W2 doubt: one send that left and an Evolution that ${title}: two minutes after the claim the next answer goes, and a person looks`, async () => {
    const phone = newPhone();
    const { conversation, ids } = await queueReplies(system, phone, ['primeira', 'segunda']);
    for (const fault of [send('hang'), ...lost, { target: 'find', times: null, ...find } as FaultInput]) system.simulator.fault(fault);
    const claimedAt = await drainLane(impatient(), clock, system, conversation).then(() => claimOf(ids[0]));
    assert.deepEqual((await states(system, ids)).map(acked), ['unproven(timeout)', 'sent']);
    const next = await claimOf(ids[1]);
    assert.ok(next.getTime() - claimedAt.getTime() <= 120_000, `${next.getTime() - claimedAt.getTime()} ms`);
    assert.deepEqual(await handoffsOf(conversation), [{ reason: 'send_unproven', status: 'open', returned_by: null }]);
  });

test('W2 doubt: what is unproven is settled by the comparison with Evolution when that is back, and the handoff closes itself', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['volto já']);
  for (const fault of [send('hang'), ...lost, { target: 'find', kind: 'status', status: 500, times: null } as const])
    system.simulator.fault(fault);
  await drainLane(ctx, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['unproven(timeout)']);
  clock.now = null;
  system.simulator.clearFaults();
  const [wire] = system.simulator.sends({ text: 'volto já', sent: true });
  await store(ctx, await comparisonOf(wire?.id));
  const settled = await sendRow(system, ids[0] ?? 0);
  assert.deepEqual([acked(settled.status), settled.provider_id], ['sent', wire?.id]);
  assert.deepEqual(await handoffsOf(conversation), [{ reason: 'send_unproven', status: 'returned', returned_by: 'settled' }]);
});

test('W2 doubt: the handoff of one that settled itself stays while another of the conversation is unproven', async () => {
  const phone = newPhone();
  const { conversation, ids } = await queueReplies(system, phone, ['esta fica', 'esta volta']);
  system.simulator.fault(send('hang', { sent: false }));
  system.simulator.fault(send('hang', { visible: false }));
  await drainLane(ctx, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['unproven(timeout)', 'unproven(timeout)']);
  await system.query(`select settle_sent($1, 'wa-late', now(), now())`, [ids[1]]);
  assert.deepEqual(await states(system, ids), ['unproven(timeout)', 'sent']);
  assert.deepEqual(await handoffsOf(conversation), [{ reason: 'send_unproven', status: 'open', returned_by: null }]);
});

test('W2 doubt: looks that fail count as looks, and the breaker being open does not prolong a doubt', async () => {
  const { conversation, ids } = await queueReplies(system, newPhone(), ['no escuro']);
  for (const fault of [send('hang'), ...lost]) system.simulator.fault(fault);
  await sendNext(ctx, conversation);
  const shut = { ...ctx, breakers: { ...ctx.breakers, evolution: () => ({ ...ctx.breakers.evolution(INSTANCE), isOpen: () => true }) } };
  clock.now = new Date(Date.now() + 3_000);
  assert.equal((await sendNext(shut, conversation)).kind, 'wait');
  assert.equal((await sendRow(system, ids[0] ?? 0)).looks, 1);
  await drainLane(shut, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['unproven(timeout)']);
});

test('W2 doubt: a comparison that finds it while it is looked up at Evolution settles it once', async () => {
  const { conversation, ids } = await queueReplies(system, newPhone(), ['os dois']);
  for (const fault of [send('hang'), ...lost]) system.simulator.fault(fault);
  await sendNext(ctx, conversation);
  const [wire] = system.simulator.sends({ text: 'os dois', sent: true });
  const comparison = await comparisonOf(wire?.id);
  clock.now = new Date(Date.now() + 3_000);
  await Promise.all([sendNext(ctx, conversation), store(ctx, comparison)]);
  const settled = await sendRow(system, ids[0] ?? 0);
  assert.deepEqual([acked(settled.status), settled.provider_id], ['sent', wire?.id]);
  assert.deepEqual(await system.query(`select 1 from messages where conversation_id = $1 and author = 'human'`, [conversation]), []);
});

test('O2 look-up: WhatsApp keeps a number outside São Paulo without its ninth digit', async () => {
  system.simulator.addContact({ name: 'Bia', phone: '553188776655' });
  const { conversation, ids } = await queueReplies(system, '5531988776655', ['trem bão']);
  for (const fault of [send('hang'), ...lost]) system.simulator.fault(fault);
  await drainLane(ctx, clock, system, conversation);
  assert.equal(system.simulator.sends({ text: 'trem bão' })[0]?.jid, '553188776655@s.whatsapp.net');
  assert.deepEqual((await states(system, ids)).map(acked), ['sent']);
});

test('O2 look-up: words that somebody typed on the phone are not taken for ours', async () => {
  const phone = newPhone();
  const contact = system.simulator.addContact({ name: 'Ana', phone });
  const { conversation, ids } = await queueReplies(system, phone, ['Ok']);
  system.simulator.owner({ contactId: contact.id, text: 'Ok' });
  await system.until(
    async () => (await system.query(`select 1 from messages where conversation_id = $1 and author = 'human'`, [conversation])).length === 1,
  );
  await system.query(`update conversations set takeover_until = null, takeover_since = null where id = $1`, [conversation]);
  system.simulator.fault(send('hang', { sent: false }));
  await drainLane(ctx, clock, system, conversation);
  assert.deepEqual(await states(system, ids), ['unproven(timeout)']);
});

test('O2 look-up: two workers that look at once count one look', async () => {
  const { conversation, ids } = await queueReplies(system, newPhone(), ['dois olhos']);
  system.simulator.fault(send('hang', { sent: false }));
  await sendNext(ctx, conversation);
  clock.now = new Date(Date.now() + 4_000);
  await Promise.all([sendNext(ctx, conversation), sendNext(ctx, conversation)]);
  assert.equal((await sendRow(system, ids[0] ?? 0)).looks, 1);
});
