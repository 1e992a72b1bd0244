/** What is ordinary in a batch of webhooks goes a way of its own through record_inbound: it must come to what one by one comes to, in any history. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import pg from 'pg';
import type { InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { testDatabase } from '../support/database.ts';
import { INSTANCE, minutesAfter, said } from '../support/inbound.ts';

const RUNS = 60;
const PEOPLE = [0, 1, 2, 3].map((n) => ({ pn: `551198000000${n}`, lid: `9000000000000${n}` }));

/** Four times in five the first. */
function mostly<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof({ weight: 4 * Math.max(1, others.length), arbitrary: fc.constant(usual) }, ...others.map((other) => fc.constant(other)));
}

const person = fc.nat(PEOPLE.length - 1);
/** Few, so that what comes is often about what is known. */
const id = fc.nat(9);
const names = mostly<'pn' | 'lid' | 'both'>('pn', 'lid', 'both');
const word = fc.record({
  what: fc.constant('word' as const),
  person,
  id: fc.nat(60),
  names,
  extra: mostly<object>(
    {},
    { meaning: { intent: 'bot_question' } },
    { meaning: { optOut: true } },
    { machine: true },
    { revised: true },
    { pushName: 'Maria' },
    { alt: PEOPLE[1] },
    { instanceId: 'another' },
  ),
  wordless: mostly(false, true),
});
const own = fc.record({ what: fc.constant('own' as const), person, id, names, viaApi: fc.boolean() });
const news = fc.record({
  what: fc.constantFrom<('ack' | 'edit' | 'delete')[]>('ack', 'ack', 'ack', 'edit', 'delete'),
  person,
  id: fc.nat(30),
  ours: fc.boolean(),
  status: mostly<'sent' | 'delivered' | 'read' | 'failed'>('delivered', 'read', 'sent', 'failed'),
  chat: mostly(true, false),
});
const event = fc.oneof({ weight: 4, arbitrary: word }, { weight: 2, arbitrary: own }, { weight: 3, arbitrary: news });
type Asked = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** What may stand in the way between two batches. */
const BETWEEN: Record<string, string> = {
  nothing: 'select 1',
  sent: `with next as (update conversations set last_seq = last_seq + 1 returning *)
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, kind, status, text, provider_id, wire_id, provider_at, claimed_at, sent_to, claim, created_at)
    select tenant_id, instance_id, id, last_seq, 'out', 'agent', 'text', 'reply', 'sent', 'Resposta', 'OUT' || (select count(*) from messages where direction = 'out') % 30 || '-' || id,
      'W' || last_seq || '-' || id, $1::timestamptz, $1::timestamptz, jid, 1, $1::timestamptz from next`,
  queued: `with next as (update conversations set last_seq = last_seq + 1 where id = 1 returning *)
    insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, kind, status, text, provider_at, priority, part, due_at, created_at)
    select tenant_id, instance_id, id, last_seq, 'out', 'agent', 'text', 'reply', 'queued', 'Mais', $1::timestamptz, 0, 1, $1::timestamptz, $1::timestamptz from next`,
  takeover: `update conversations set takeover_since = $1, takeover_until = $1::timestamptz + interval '1 hour' where id = 2`,
  named: `update contacts set name = 'Ana'`,
  erased: `insert into erasures (tenant_id, kind, hash, erased_at) values ('default', 'address', 'x', $1) on conflict do nothing`,
  forged: `insert into forged_messages (tenant_id, instance_id, hash, chats, until)
    select tenant_id, instance_id, message_hash(instance_id, provider_id), '{}', $1::timestamptz + interval '1 day' from messages where kind is not null and provider_id is not null on conflict do nothing`,
  unvouched: 'update contact_addresses set vouched_phone = null',
  read: `update messages set status = 'read', read_at = $1 where direction = 'out' and status = 'delivered'`,
};
const step = fc.record({
  between: mostly('nothing', 'nothing', 'sent', 'sent', ...Object.keys(BETWEEN)),
  batch: fc.array(
    fc.record({ event, copies: mostly(1, 2), from: mostly<object>({ tenant: 'default' }, { instance: INSTANCE }, { ourselves: true }) }),
    {
      minLength: 3,
      maxLength: 8,
    },
  ),
});

/** An event of the product. `outs`: ids of messages that we have sent so far. */
function inboundOf(asked: Asked, now: Date, outs: readonly string[]): InboundEvent {
  const { pn = '', lid = '' } = PEOPLE[asked.person] ?? {};
  if (asked.what === 'word') {
    const chat = { pn: asked.names === 'lid' ? null : pn, lid: asked.names === 'pn' ? null : lid };
    const made = said({ id: `IN${asked.id}`, ...chat, at: now }) as Extract<InboundEvent, { kind: 'message' }>;
    return {
      ...made,
      content: { ...made.content, ...(asked.wordless ? { wordless: true, text: '', typed: null } : {}) },
      ...asked.extra,
    };
  }
  if (asked.what === 'own') {
    const known = outs[asked.id * 3];
    const fields = { id: known ?? `OWN${asked.id}`, pn, lid: asked.names === 'pn' ? null : lid, text: 'Resposta', at: now };
    return said({ ...fields, fromMe: true, viaApi: asked.viaApi });
  }
  const providerId = asked.ours ? (outs[asked.id % Math.max(1, outs.length)] ?? 'OUT?') : `IN${asked.id}`;
  const chat = asked.chat ? { pn, lid: null } : null;
  const about = { instance: INSTANCE, instanceId: null, providerId, chat, fromMe: asked.ours };
  if (asked.what === 'ack') return { ...about, kind: 'ack', status: asked.status };
  if (asked.what === 'delete') return { ...about, kind: 'delete' };
  return { ...about, kind: 'edit', text: 'outra coisa', typed: 'outra coisa', changedAt: now.toISOString() };
}

/** All that may have changed; a message is called by its place, as ids count in the order of the ways. */
const SEEN = `with m as (select *, conversation_id || '/' || seq as place from messages)
  select jsonb_build_object(
  'messages', (select jsonb_agg(to_jsonb(m) - array['id', 'duplicate_of'] order by place) from m),
  'inbox', (select jsonb_agg(jsonb_build_array(m.place, i.created_at, i.command) order by m.place) from inbox i join m on m.id = i.message_id),
  'conversations', (select jsonb_agg(to_jsonb(c) - array['updated_at', 'created_at'] order by c.id) from conversations c),
  'contacts', (select jsonb_agg(to_jsonb(c) - array['updated_at', 'created_at'] order by c.id) from contacts c),
  'addresses', (select jsonb_agg(to_jsonb(a) - array['id', 'created_at'] order by a.kind, a.address) from contact_addresses a),
  'forged', (select jsonb_agg(to_jsonb(f) order by hash) from forged_messages f),
  'events', (select jsonb_agg(jsonb_build_object('type', e.type, 'place', m.place, 'payload', e.payload - 'message_id', 'correlation', e.correlation_id,
    'at', e.occurred_at) order by m.place, e.type, e.once like '%/words') from events e left join m on m.id = e.message_id),
  'early', (select jsonb_agg(event order by provider_id, event::text) from early_updates),
  'optOuts', (select count(*) from opt_outs), 'handoffs', (select count(*) from handoffs),
  'webhooks', (select jsonb_agg(jsonb_build_object('r', w.request_id, 'tenant', w.tenant_id, 'instance', w.instance, 'event', w.event, 'body', w.body,
    'by', w.posted_by, 'ignored', w.ignored, 'at', w.received_at,
    -- of two conversations that became one in this very batch, either may be named
    'results', (select jsonb_agg(case when r ? 'message_id' then r || jsonb_build_object('message_id', (select place from m where m.id = (r ->> 'message_id')::bigint),
        'conversation_id', (select coalesce(merged_into, id) from conversations c where c.id = (r ->> 'conversation_id')::bigint)) else r end)
      from jsonb_array_elements(w.results) r)) order by w.request_id) from webhook_events w)) as seen`;

const OPTIONS = {
  takeoverMinutes: 30,
  takeoverCapMinutes: 240,
  takeoverFromApi: false,
  withdrawParts: true,
  managerPhone: null,
  managerInstance: null,
  onlyInstance: null,
};

async function open(t: { after(hook: () => Promise<void>): void }, plain: boolean): Promise<pg.Client> {
  const database = await testDatabase();
  const client = new pg.Client({ connectionString: database.url });
  client.on('error', () => {}); // its database goes before it
  await client.connect();
  t.after(async () => {
    await client.end();
    await database.close();
  });
  if (!plain) {
    await client.query(`create or replace function record_plain(p_webhooks jsonb, p_heard heard_event[], p_now timestamptz)
      returns jsonb language sql as $$ select '{}'::jsonb $$`);
  }
  await client.query('insert into instances (name) values ($1)', [INSTANCE]);
  await client.query(`select keep_events('default')`);
  return client;
}

test('I1 I7 T8 what is ordinary is recorded set by set as it would be one by one, in any history', async (t) => {
  const [one, other] = [await open(t, true), await open(t, false)];
  let ordinary = 0;
  let all = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 6 }), async (steps) => {
      for (const client of [one, other]) await client.query('begin');
      try {
        for (const [index, { between, batch }] of steps.entries()) {
          const now = minutesAfter(index * 10).toISOString();
          const outs = (
            await one.query<{ id: string }>(
              `select provider_id as id from messages where kind is not null and provider_id is not null order by 1`,
            )
          ).rows;
          const webhooks = batch.flatMap(({ event: asked, copies, from }, place) =>
            Array.from({ length: copies }, (_, copy) => ({
              requestId: `${index}-${place}-${copy}`,
              instance: INSTANCE,
              event: 'messages.upsert',
              raw: { step: index, place },
              from,
              events: [
                inboundOf(
                  asked,
                  minutesAfter(index * 10 - 1),
                  outs.map((row) => row.id),
                ),
              ],
            })),
          );
          for (const client of [one, other]) {
            await client.query(BETWEEN[between] as string, /\$1/.test(BETWEEN[between] as string) ? [now] : []);
            await client.query('select record_inbound($1, $2, $3)', [JSON.stringify(webhooks), JSON.stringify(OPTIONS), now]);
          }
          const heard = `select count(*)::int as n from jsonb_object_keys((select record_plain($1, hear($1, $2, $3), $3)))`;
          await one.query('savepoint look');
          all += webhooks.length;
          ordinary += Number(
            (
              await one.query<{ n: number }>(heard, [
                JSON.stringify(webhooks.map((webhook, at) => fresh(webhook, at))),
                JSON.stringify(OPTIONS),
                now,
              ])
            ).rows[0]?.n,
          );
          await one.query('rollback to savepoint look');
          const [seen, expected] = [await one.query(SEEN), await other.query(SEEN)];
          assert.deepEqual(seen.rows, expected.rows);
        }
      } finally {
        for (const client of [one, other])
          await client.query('rollback; alter sequence contacts_id_seq restart; alter sequence conversations_id_seq restart');
      }
    }),
    { numRuns: RUNS },
  );
  // Else there is nothing to compare.
  assert.ok(ordinary > all / 10, `${ordinary} of ${all} were ordinary`);
});

test('I1 Z1 an echo under an id that was forged is dropped from a comparison by either way', async (t) => {
  const [one, other] = [await open(t, true), await open(t, false)];
  const now = minutesAfter(0).toISOString();
  const chat = { pn: PEOPLE[0]?.pn ?? '', lid: PEOPLE[0]?.lid ?? '' };
  const seen = [];
  for (const client of [one, other]) {
    const record = (events: InboundEvent[], from: object) =>
      client.query('select record_inbound($1, $2, $3)', [
        JSON.stringify(
          events.map((event, at) => ({
            requestId: String(at),
            instance: INSTANCE,
            event: 'messages.upsert',
            raw: {},
            from,
            events: [event],
          })),
        ),
        JSON.stringify(OPTIONS),
        now,
      ]);
    await record([said({ id: 'IN1', ...chat })], { tenant: 'default' });
    await client.query(BETWEEN['sent'] as string, [now]);
    await client.query(BETWEEN['forged'] as string, [now]);
    const { rows } = await client.query<{ id: string }>(`select provider_id as id from messages where kind is not null`);
    const echo = said({ id: rows[0]?.id ?? '', ...chat, fromMe: true, text: 'Resposta' });
    await record([echo, said({ id: 'IN2', ...chat }), said({ id: 'IN3', ...chat })], { ourselves: true });
    seen.push((await client.query<{ seen: Record<string, unknown> }>(SEEN)).rows[0]?.seen);
  }
  assert.deepEqual(seen[0], seen[1]);
  assert.deepEqual((await one.query('select found_at is not null as told from forged_messages')).rows, [{ told: true }]);
});

/** The same words under an id that is new: how much of such a batch would be ordinary. */
function fresh<T extends { events: InboundEvent[] }>(webhook: T, at: number): T {
  return {
    ...webhook,
    events: webhook.events.map((each) => (each.kind === 'message' && !each.fromMe ? { ...each, providerId: `NEW${at}` } : each)),
  };
}
