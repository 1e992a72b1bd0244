/**
 * A database as it looks after a year: contacts of whom a few write much and most little, conversations on three numbers, turns, model calls,
 * raw webhooks of the last week, answers of the last hour that count in the caps. Made in SQL, without the constraints' triggers.
 */
import pg from 'pg';

import { INSTANCE } from './messages.ts';

/** Messages of one conversation, on average. */
const PER_CONVERSATION = 50;

/** Adds `messages` rows (at least a thousand) to an empty migrated database, then analyzes it. Takes about a minute for a million. */
export async function fillStored(url: string, messages: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    // foreign keys hold by construction; checking them row by row would take most of the time
    await client.query(
      `set session_replication_role = replica; set synchronous_commit = off; set work_mem = '256MB'; set maintenance_work_mem = '256MB'`,
    );
    for (const statement of statements(Math.max(20, Math.round(messages / PER_CONVERSATION)), messages)) await client.query(statement);
    await client.query('vacuum analyze');
  } finally {
    await client.end();
  }
}

/** Conversation c has a share of the messages that falls with c (a square law); message m of it is the m-th last of the year. */
function statements(conversations: number, messages: number): string[] {
  return [
    `insert into instances (name, status, phone) values ('${INSTANCE}', 'open', '5511988880001'), ('bench-b', 'open', '5511988880002'), ('bench-c', 'open', '5511988880003')
       on conflict (name) do nothing`,
    `insert into contacts (tenant_id, name, created_at) select 'default', 'Contato ' || g, now() - interval '1 year' * random() from generate_series(1, ${conversations}) g`,
    `insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
       select 'default', i.id, c.id, 'pn', '55219' || lpad(c.id::text, 8, '0') from contacts c join instances i on i.name = '${INSTANCE}'`,
    // one conversation in five has a lid too
    `insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
       select 'default', i.id, c.id, 'lid', '77' || lpad(c.id::text, 13, '0') from contacts c join instances i on i.name = '${INSTANCE}' where c.id % 5 = 0`,
    // eight of ten on one number
    `insert into conversations (tenant_id, instance_id, contact_id, jid, last_inbound_at, created_at)
       select 'default', (select id from instances where name = case when c.id % 10 < 8 then '${INSTANCE}' when c.id % 10 = 8 then 'bench-b' else 'bench-c' end),
         c.id, '55219' || lpad(c.id::text, 8, '0') || '@s.whatsapp.net', now() - interval '1 year' * random(), c.created_at from contacts c`,
    `create temp table share as
       select id, instance_id, greatest(2, (${messages}::numeric * 2 * (1 - (row_number() over (order by id) - 0.5) / ${conversations}) / ${conversations})::int) as n from conversations`,
    // in the order of their time, as a year writes them; two in, two out ...; each tenth inbound was skipped, some sends failed or were read
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, reason, text, typed, provider_id, provider_at, created_at,
         kind, priority, part, due_at, attempts, claim, slot_at, claimed_at, correlation_id)
       select 'default', s.instance_id, s.id, m, case when m % 2 = 1 then 'in' else 'out' end, case when m % 2 = 1 then 'contact' else 'agent' end, 'text',
         case when m % 2 = 1 then (case when m % 20 = 1 then 'skipped' else 'answered' end) when m % 200 = 0 then 'failed' when m % 6 = 0 then 'delivered' else 'read' end,
         case when m % 20 = 1 then 'reaction' end,
         'Mensagem ' || m || ' ' || repeat('sobre horario e valor ', 1 + (m % 5)::int), case when m % 2 = 1 then 'Mensagem ' || m end,
         '3B' || lpad(to_hex(s.id), 8, '0') || lpad(to_hex(m), 8, '0'), at, at,
         case when m % 2 = 0 then (case when m % 40 = 0 then 'notification' else 'reply' end) end, case when m % 2 = 0 then 0 end, case when m % 2 = 0 then 1 end,
         case when m % 2 = 0 then at end, case when m % 2 = 0 then 1 else 0 end, case when m % 2 = 0 then 1 else 0 end,
         case when m % 2 = 0 and m % 200 <> 0 then at end, case when m % 2 = 0 then at end, 'req-' || s.id || '-' || m
       from share s cross join lateral (
         select m, now() - interval '1 year' * power((s.n - m + 0.5) / s.n, 1.5) * (0.2 + 0.8 * ((s.id * 7919 % 1000) / 1000.0)) as at from generate_series(1, s.n) m) each order by at`,
    `update conversations c set last_seq = s.n, inbound_seq = s.n / 2, fence = s.n / 2 from share s where s.id = c.id`,
    `insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq, model, input_tokens, output_tokens, started_at, ended_at)
       select 'default', m.conversation_id, 'committed', m.seq / 2, m.created_at, 'worker', m.seq / 2, 'claude-haiku-5-5', 900, 60, m.created_at, m.created_at
       from messages m where m.direction = 'out' and m.kind = 'reply' order by m.created_at`,
    `update messages m set turn_id = t.id from turns t where m.direction = 'out' and m.kind = 'reply' and t.conversation_id = m.conversation_id and t.fence = m.seq / 2`,
    `insert into model_calls (tenant_id, turn_id, model, outcome, ms, input_tokens, output_tokens, created_at)
       select 'default', id, model, 'end_turn', 800, 900, 60, started_at from turns`,
    `insert into webhook_events (instance, event, body, results, request_id, received_at)
       select '${INSTANCE}', 'messages.upsert', jsonb_build_object('event', 'messages.upsert', 'data', jsonb_build_object('text', text, 'id', provider_id)), '[]', correlation_id, created_at
       from messages where created_at > now() - interval '7 days'`,
    `insert into opt_outs (tenant_id, contact_id, source) select 'default', id, 'keyword' from contacts where id % 50 = 0`,
  ];
}
