/** Events for other programs: written in the transaction that makes them true, each once, and read by a cursor that passes nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { recordInbound } from '../../src/inbox/calls.ts';
import { ack, INSTANCE, minutesAfter, NOON, said, TAKEOVER } from '../support/inbound.ts';
import { queueReplies, sendsDatabase, sentAs } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';

type Told = { id: string; type: string; causation_id: string | null; correlation_id: string | null; payload: Record<string, unknown> };
type Page = { outcome: 'events'; events: Told[]; cursor: number; more: boolean } | { outcome: 'gone'; cursor: number };

const PHONE = '5511912340001';

async function read({ db }: SendsDatabase, after: number | null, limit = 100, types: string[] | null = null): Promise<Page> {
  return (await db.call('read_events', { p_tenant: 'default', p_after: after, p_types: types, p_limit: limit })) as Page;
}

async function all(sends: SendsDatabase, after: number | null = null): Promise<Told[]> {
  const page = await read(sends, after, 1_000);
  assert.equal(page.outcome, 'events');
  return page.events;
}

const types = (events: Told[]): string[] => events.map(({ type }) => type);

async function kept(t: TestContext): Promise<SendsDatabase> {
  const sends = await sendsDatabase(t, 12);
  await sends.query(`select keep_events('default')`);
  return sends;
}

async function hear({ db }: SendsDatabase, event: InboundEvent, requestId = 'r'): Promise<void> {
  await recordInbound(
    db,
    [{ requestId, instance: INSTANCE, event: 'messages.upsert', raw: {}, from: { tenant: 'default' }, events: [event] }],
    { ...TAKEOVER, withdrawParts: true },
  );
}

async function oneMore(client: pg.Client | SendsDatabase, n: number): Promise<void> {
  await (client.query as (sql: string, values: unknown[]) => Promise<unknown>)(
    `select emit_event('default', 'lead.created', $1, '{}', jsonb_build_object('n', $2::int), null, null, null)`,
    [String(n), n],
  );
}

async function session(t: TestContext, { url }: SendsDatabase): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  client.on('error', () => {}); // its database goes before it
  await client.connect();
  t.after(() => client.end());
  return client;
}

test('T8 nothing is written down for a tenant whose events nobody reads, and all from the first reader on', async (t) => {
  const sends = await sendsDatabase(t);
  await hear(sends, said({ id: 'A1', pn: PHONE }));
  assert.equal((await sends.query('select from events')).length, 0);
  assert.deepEqual(await read(sends, null), { outcome: 'events', events: [], cursor: 0, more: false });
  await hear(sends, said({ id: 'A2', pn: PHONE }), 'r2');
  const [event, ...others] = await all(sends);
  assert.equal(others.length, 0);
  assert.deepEqual(
    { ...event, id: '', payload: { ...event?.payload, message_id: 0 } },
    {
      id: '',
      type: 'message.received',
      version: 1,
      occurred_at: (event as unknown as { occurred_at: string }).occurred_at,
      company_id: 'default',
      source: 'whats-agents',
      correlation_id: 'r2',
      causation_id: null,
      payload: {
        contact_id: 1,
        conversation_id: 1,
        message_id: 0,
        instance: INSTANCE,
        phone: PHONE,
        name: null,
        type: 'text',
        text: 'A2',
        wordless: false,
        provider_id: 'A2',
        sent_at: NOON.toISOString(),
      },
    },
  );
});

test('T8 a message is told once: repeats, edits and receipts add nothing, reactions are none; words that come later are told again', async (t) => {
  const sends = await kept(t);
  const first = said({ id: 'A1', pn: PHONE }) as Extract<InboundEvent, { kind: 'message' }>;
  await hear(sends, { ...first, content: { ...first.content, text: '', typed: null, wordless: true } });
  await hear(sends, first);
  await hear(sends, first);
  await hear(sends, { ...first, kind: 'reaction', providerId: 'A2', emoji: '👍', targetId: 'A1' } as unknown as InboundEvent);
  const events = await all(sends);
  assert.deepEqual(
    events.map(({ type, payload }) => [type, payload['wordless'], payload['text']]),
    [
      ['message.received', true, ''],
      ['message.received', false, 'A1'],
    ],
  );
  assert.notEqual(events[0]?.id, events[1]?.id);
});

test('T8 what we sent is told once, by whom it may be heard: the call, a look-up, a receipt after a refusal', async (t) => {
  const sends = await kept(t);
  const { conversation, ids } = await queueReplies(sends, PHONE, ['um', 'dois', 'três'], { at: NOON });
  const claimed = async (minute: number) => {
    const claim = await sends.claim(conversation, minutesAfter(minute));
    assert.equal(claim.action, 'send', claim.reason);
    return claim;
  };
  const one = await claimed(1);
  await sends.record(one, sentAs('W1'), minutesAfter(1));
  await sends.record(one, sentAs('W1'), minutesAfter(1));
  const two = await claimed(2);
  await sends.record(two, { kind: 'uncertain', class: 'timeout', look_ms: 1_000 }, minutesAfter(2));
  assert.equal((await all(sends)).length, 1, 'a send that nobody knows of is not told');
  await sends.db.call('settle_send', {
    p_message: two.message_id,
    p_claim: two.claim,
    p_provider_id: 'W2',
    p_not_sent: false,
    p_next_ms: null,
    p_now: minutesAfter(3).toISOString(),
  });
  const three = await claimed(4);
  await sends.record(three, sentAs('W3'), minutesAfter(4));
  for (const status of ['failed', 'delivered', 'read', 'delivered'] as const) await hear(sends, ack('W3', status));
  const events = await all(sends);
  assert.deepEqual(
    events.map(({ type, payload }) => [type, payload['message_id'], payload['text'], payload['provider_id']]),
    [
      ['message.sent', ids[0], 'um', 'W1'],
      ['message.sent', ids[1], 'dois', 'W2'],
      ['message.sent', ids[2], 'três', 'W3'],
    ],
  );
});

test('T8 an answer names the event of the message that it answers', async (t) => {
  const sends = await kept(t);
  await hear(sends, said({ id: 'A1', pn: PHONE }));
  await hear(sends, said({ id: 'A2', pn: PHONE }), 'r2');
  const [talk] = await sends.query<{ id: number }>('select id::int from conversations');
  const claim = (await sends.db.call('claim_turn', { p_conversation: talk?.id, p_worker: 'w', p_lease_ms: 30_000 })) as {
    turn_id: number;
    fence: number;
  };
  const answer = { kind: 'answer', reason: null, parts: [{ text: 'Oi!', typing_ms: 0, kind: 'reply' }] };
  await sends.db.call('complete_turn', { p_turn: claim.turn_id, p_fence: claim.fence, p_result: answer });
  const now = new Date(Date.now() + 60_000);
  await sends.record(await sends.claim(talk?.id ?? 0, now), sentAs('W1'), now);
  const [, second, sent] = await all(sends);
  assert.equal(sent?.type, 'message.sent');
  assert.equal(sent.causation_id, second?.id);
});

test('T8 a conversation that a person has, a number that is another and an order notice that left are told', async (t) => {
  const sends = await kept(t);
  await hear(sends, said({ id: 'A1', pn: PHONE }));
  await sends.query(`select open_handoff(id, null, 'contact_asked', 'Quer falar com alguém', true, now()) from conversations`);
  await sends.query(`select open_handoff(id, null, 'contact_asked', 'De novo', true, now()) from conversations`);
  await sends.query(`update instances set status = 'open'`);
  await sends.query(`update instances set status = 'open'`);
  const asked = {
    tenant: 'default',
    instance: INSTANCE,
    type: 'order_shipped',
    reference: 'pedido-1',
    phone: PHONE,
    data: { nome: 'Maria' },
    text: 'A caminho!',
    actor: 'api:loja',
  };
  const { lane } = (await sends.db.call('order_notice', { p_request: asked, p_now: NOON.toISOString() })) as { lane: number };
  await sends.query(`update conversations set controlled_by = 'agent'`);
  await sends.record(await sends.claim(lane, minutesAfter(1), { noticeCapHour: 10 }), sentAs('W1'), minutesAfter(1));
  const events = await all(sends);
  assert.deepEqual(types(events), ['message.received', 'conversation.handed_over', 'instance.status', 'message.sent', 'notice.sent']);
  assert.equal(events[1]?.payload['summary'], 'Quer falar com alguém');
  assert.deepEqual([events[2]?.payload['was'], events[2]?.payload['status']], ['unknown', 'open']);
  assert.equal(events[4]?.payload['reference'], 'pedido-1');
  assert.equal(events[4]?.causation_id, events[3]?.id);
});

test('T8 what is rolled back is not told', async (t) => {
  const sends = await kept(t);
  const client = await session(t, sends);
  await client.query('begin');
  await oneMore(client, 1);
  await client.query('rollback');
  await oneMore(sends, 2);
  assert.deepEqual(
    (await all(sends)).map(({ payload }) => payload['n']),
    [2],
  );
});

test('T8 an event that is committed after a reader has passed its moment is read next', async (t) => {
  const sends = await kept(t);
  const slow = await session(t, sends);
  await slow.query('begin');
  await oneMore(slow, 1);
  await oneMore(sends, 2);
  const page = await read(sends, null);
  assert.deepEqual(page.outcome === 'events' && page.events.map(({ payload }) => payload['n']), [2]);
  await slow.query('commit');
  assert.deepEqual(
    (await all(sends, page.cursor)).map(({ payload }) => payload['n']),
    [1],
  );
});

test('T8 eight writers that end out of order and three readers at once: each reader sees each event once', async (t) => {
  const sends = await kept(t);
  const EACH = 40;
  let writing = 8;
  const writers = Array.from({ length: 8 }, async (_, writer) => {
    const client = await session(t, sends);
    // two transactions of one writer overlap with all others and end later than they began
    for (let n = 0; n < EACH; n += 4) {
      await client.query('begin');
      for (let k = 0; k < 4; k++) {
        await oneMore(client, writer * 1_000 + n + k);
        await client.query(`select pg_sleep(random() * 0.004)`);
      }
      await client.query(n % 12 === 8 ? 'rollback' : 'commit');
    }
    writing--;
  });
  const reader = async (limit: number): Promise<number[]> => {
    const seen: number[] = [];
    let cursor: number | null = null;
    for (;;) {
      const last = writing === 0;
      const page: Page = await read(sends, cursor, limit);
      assert.equal(page.outcome, 'events');
      seen.push(...page.events.map(({ payload }) => Number(payload['n'])));
      cursor = page.cursor;
      if (last && !page.more && page.events.length === 0) return seen;
    }
  };
  const [, ...readers] = await Promise.all([Promise.all(writers), reader(3), reader(7), reader(50)]);
  const stored = await sends.query<{ n: number }>(`select (payload ->> 'n')::int as n from events order by seq`);
  for (const seen of readers)
    assert.deepEqual(
      seen,
      stored.map(({ n }) => n),
    );
  assert.equal(new Set(readers[0]).size, stored.length);
  // of one writer in the order of writing
  for (let writer = 0; writer < 8; writer++) {
    const own = (readers[0] ?? []).filter((n) => Math.floor(n / 1_000) === writer);
    assert.deepEqual(
      own,
      own.toSorted((a, b) => a - b),
    );
    assert.ok(own.length >= EACH / 2);
  }
});

test('T8 a reader that wants some types passes over the others, and no page is skipped by its end', async (t) => {
  const sends = await kept(t);
  await hear(sends, said({ id: 'A1', pn: PHONE }));
  for (let n = 0; n < 5; n++) await oneMore(sends, n);
  const only = ['message.received'];
  const page = await read(sends, null, 2, only);
  assert.ok(page.outcome === 'events' && page.cursor === 6 && page.events.length === 1 && !page.more);
  const none = await read(sends, page.cursor, 2, only);
  assert.ok(none.outcome === 'events' && none.events.length === 0 && none.cursor === 6);
  const two = await read(sends, null, 2);
  assert.ok(two.outcome === 'events' && two.cursor === 2 && two.more);
});

test('T8 a cursor of another feed, and one from before a pause, are told to be none', async (t) => {
  const sends = await kept(t);
  await oneMore(sends, 1);
  await all(sends);
  assert.deepEqual(await read(sends, 7), { outcome: 'gone', cursor: 0 });
  await sends.query('update event_feeds set kept = false');
  await oneMore(sends, 2);
  assert.deepEqual(await read(sends, 1), { outcome: 'gone', cursor: 2 });
  await oneMore(sends, 3);
  assert.deepEqual(
    (await all(sends, 2)).map(({ payload }) => payload['n']),
    [3],
  );
});

test('T8 D7 nothing of an erased contact is left in the events, and the cursor goes on', async (t) => {
  const sends = await kept(t);
  const other = '5511912340002';
  await hear(sends, said({ id: 'A1', pn: PHONE, text: 'segredo' }));
  await hear(sends, said({ id: 'B1', pn: other }), 'r2');
  const before = await read(sends, null, 1);
  await sends.db.call('erase_contact', { p_tenant: 'default', p_contact: null, p_phone: PHONE, p_actor: 'cli:ana', p_reason: 'x' });
  const rest = await all(sends, before.cursor);
  assert.deepEqual(
    rest.map(({ payload }) => payload['phone']),
    [other],
  );
  const [row] = await sends.query<{ text: string }>('select jsonb_agg(to_jsonb(e))::text as text from events e');
  assert.doesNotMatch(row?.text ?? '', /segredo|5511912340001/);
});

test('T8 D2 after a backup was restored, a reader whose cursor is of later than the backup misses nothing of what happens then', async (t) => {
  const sends = await kept(t);
  await oneMore(sends, 1);
  await all(sends);
  // it had read until 7 when the database went back to 1
  for (let again = 0; again < 2; again++)
    await sends.db.call('mark_restored', { p_backup_at: NOON.toISOString(), p_actor: 'restore', p_now: minutesAfter(60).toISOString() });
  await oneMore(sends, 2);
  for (const cursor of [1, 7])
    assert.deepEqual(
      (await all(sends, cursor)).map(({ payload }) => payload['n']),
      [2],
    );
});
