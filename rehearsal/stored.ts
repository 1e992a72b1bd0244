/** A stored day: the webhooks as they came, what was decided of them, and what an installation is beside its messages. Read only. */
import pg from 'pg';

export type StoredEvent = {
  id: number;
  instance: string | null;
  event: string | null;
  body: unknown;
  results: { outcome: string; reason?: string | null }[] | null;
  posted_by: { instance: string } | { tenant: string } | { ourselves: true };
  received_at: Date;
};

export type StoredMessage = {
  provider_id: string | null;
  direction: 'in' | 'out';
  author: string;
  status: string;
  reason: string | null;
  text: string;
  jid: string;
  /** Of a contact's message: what was said to it, all parts. */
  answer: string | null;
};

export type StoredDay = { events: StoredEvent[]; messages: StoredMessage[]; tables: Map<string, unknown[]> };

/** What is taken over as it is now: who answers, with which words, on which numbers. */
const AS_NOW = [
  'tenants',
  'installation',
  'instances',
  'agents',
  'agent_versions',
  'directives',
  'documents',
  'knowledge',
  'knowledge_chunks',
];
/** What is taken over as far as it was there before the day. */
const AS_BEFORE = ['contacts', 'contact_addresses', 'opt_outs'];

/** `from` and `to` bound the day. Rejects when the database cannot be read. */
export async function readDay(url: string, from: Date, to: Date): Promise<StoredDay> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query('begin isolation level repeatable read read only');
    const rows = async <T>(sql: string, values: unknown[] = []): Promise<T[]> => (await client.query(sql, values)).rows as T[];
    const tables = new Map<string, unknown[]>();
    const there = new Set(
      (await rows<{ name: string }>(`select table_name as name from information_schema.tables where table_schema = 'public'`)).map(
        ({ name }) => name,
      ),
    );
    for (const table of [...AS_NOW, ...AS_BEFORE].filter((name) => there.has(name))) {
      const before = AS_BEFORE.includes(table) ? 'where t.created_at < $1' : 'where $1::timestamptz is not null';
      tables.set(
        table,
        (await rows<{ row: unknown }>(`select to_jsonb(t) as row from ${table} t ${before}`, [from])).map(({ row }) => row),
      );
    }
    const events = await rows<StoredEvent>(
      `select id::int, instance, event, body, results, posted_by, received_at from webhook_events
         where received_at >= $1 and received_at < $2 and not body ? 'erased' and not body ? 'left_out' order by received_at, id`,
      [from, to],
    );
    const messages = await rows<StoredMessage>(
      `select m.provider_id, m.direction, m.author, m.status, m.reason, m.text, c.jid, case when m.direction = 'in' then (
           select string_agg(o.text, E'\n\n' order by o.seq) from messages o where o.turn_id = m.turn_id and o.direction = 'out') end as answer
         from messages m join conversations c on c.id = m.conversation_id where m.created_at >= $1 and m.created_at < $2 order by m.id`,
      [from, to],
    );
    return { events, messages, tables };
  } finally {
    await client.end();
  }
}
