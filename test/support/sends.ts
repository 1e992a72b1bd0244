/** Lanes for tests of the sends: filled by hand, driven step by step, with a clock that tests move. */
import { overDeadlocks } from '../../src/db/deadlock.ts';
import { openPostgres } from '../../src/db/door.ts';
import type { Door } from '../../src/db/door.ts';
import type { SendPolicy } from '../../src/outbox/calls.ts';
import type { Context } from '../../src/context.ts';
import { sendNext } from '../../src/outbox/send.ts';
import type { SendStep } from '../../src/outbox/send.ts';
import { testDatabase } from './database.ts';
import { INSTANCE } from './system.ts';
import pg from 'pg';

export type Query = <T extends Record<string, unknown>>(sql: string, values?: unknown[]) => Promise<T[]>;
/** Whatever answers queries: a system, or `sendsDatabase`. */
export type Source = Query | { query<T extends Record<string, unknown>>(sql: string, values?: unknown[]): Promise<T[]> };
export type SendRow = {
  id: number;
  status: string;
  reason: string | null;
  attempts: number;
  claim: number;
  looks: number;
  provider_id: string | null;
  text: string;
  slot_at: Date | null;
  goes_at: Date | null;
  due_at: Date | null;
};

/** Everybody, at any hour, without a limit. */
export const FREE: SendPolicy & { random: number } = {
  allowlist: null,
  capHour: 100_000,
  capDay: 100_000,
  replyCapHour: 100_000,
  contactCapHour: null,
  contactCapWeek: null,
  campaignGapDays: null,
  maxUnanswered: null,
  kindCaps: { campaign: null, follow_up: 100_000, prospecting: 100_000 },
  strangersDay: null,
  minReplyPercent: 0,
  paceMinSeconds: 0,
  paceMaxSeconds: 0,
  hours: null,
  tz: 'UTC',
  pilot: false,
  leaseMs: 30_000,
  random: 0.5,
};

export type Claimed = {
  instance?: string;
  action: string;
  message_id: number;
  claim: number;
  until: string | null;
  reason: string;
  status: string;
  text: string;
  looks: number;
};

export type SendsDatabase = {
  url: string;
  query: Query;
  db: Door;
  claim(conversation: number, now: Date, policy?: Partial<SendPolicy>): Promise<Claimed>;
  record(claim: Claimed, outcome: Record<string, unknown>, now: Date): Promise<{ outcome: string; status: string }>;
  /** A proactive message. */
  proactive(phone: string, now: Date, extra?: Record<string, unknown>): Promise<{ id: number; conversation: number }>;
};

/** A database with one number, and the SQL functions of the sends. */
export async function sendsDatabase(t: { after(hook: () => Promise<void>): void }, connections = 10): Promise<SendsDatabase> {
  const database = await testDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 4 });
  pool.on('error', () => {});
  const db = openPostgres(database.url, { poolSize: connections });
  t.after(async () => {
    await db.close();
    await pool.end();
    await database.close();
  });
  const query: Query = async (sql, values = []) => (await pool.query(sql, values)).rows;
  await query(`insert into instances (name) values ($1)`, [INSTANCE]);
  return {
    url: database.url,
    query,
    db,
    claim: async (conversation, now, policy = {}) =>
      (await db.call('claim_send', {
        p_conversation: conversation,
        p_policy: { ...FREE, ...policy },
        p_now: now.toISOString(),
      })) as Claimed,
    record: async (claim, outcome, now) =>
      (await db.call('record_send', {
        p_message: claim.message_id,
        p_claim: claim.claim,
        p_outcome: outcome,
        p_now: now.toISOString(),
      })) as {
        outcome: string;
        status: string;
      },
    async proactive(phone, now, extra = {}) {
      const request = { instance: INSTANCE, phone, text: `oi ${phone}`, kind: 'campaign', ...extra };
      const result = (await db.call('enqueue_message', { p_request: request, p_now: now.toISOString() })) as {
        id: number;
        conversation_id: number;
      };
      return { id: result.id, conversation: result.conversation_id };
    },
  };
}

export const sentAs = (providerId: string) => ({ kind: 'sent', provider_id: providerId });

/** Puts the parts of one committed answer into the lane of a phone. */
export async function queueReplies(
  source: Source,
  phone: string,
  texts: string[],
  options: { instance?: string; typingMs?: number; at?: Date; type?: string; quotedId?: string } = {},
): Promise<{ conversation: number; ids: number[] }> {
  // What the product does meanwhile may end this one, as it may one of the product's.
  const ask: Query = (sql, values) => overDeadlocks(() => asking(source)(sql, values));
  const { instance = INSTANCE, typingMs = 0, at = new Date(), type = 'text', quotedId = null } = options;
  const [conversation] = await ask<{ id: number; turn: number }>(
    `with c as (select (ensure_conversation(i, ensure_contact(i, $1, null, null), $1 || '@s.whatsapp.net', false)).id from instances i where name = $2)
     insert into turns (tenant_id, conversation_id, status, fence, lease_until, worker, inbound_seq)
     select 'default', id, 'committed', 0, now(), 'test', 0 from c returning conversation_id::int as id, id::int as turn`,
    [phone, instance],
  );
  if (!conversation) throw new Error(`no instance ${instance}`);
  const rows = await ask<{ id: number }>(
    `with n as (update conversations set last_seq = last_seq + cardinality($2::text[]) where id = $1 returning *)
     insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, turn_id, kind, priority,
       part, typing_ms, due_at, created_at, quoted_id)
     select n.tenant_id, n.instance_id, n.id, n.last_seq - cardinality($2::text[]) + p.part, 'out', 'agent', $3, 'queued', p.text, $4, $5, 'reply', 0, p.part, $6, $4, $4, $7
     from n, unnest($2::text[]) with ordinality as p (text, part) order by p.part returning id::int`,
    [conversation.id, texts, type, at, conversation.turn, typingMs, quotedId],
  );
  return { conversation: conversation.id, ids: rows.map((row) => row.id) };
}

export async function sendRow(source: Source, id: number): Promise<SendRow> {
  const [row] = await asking(source)<SendRow>(
    `select id::int, status, reason, attempts, claim::int, looks, provider_id, text, slot_at, goes_at, due_at from messages where id = $1`,
    [id],
  );
  if (!row) throw new Error(`no message ${id}`);
  return row;
}

function asking(source: Source): Query {
  return typeof source === 'function' ? source : (sql, values) => source.query(sql, values);
}

/** `status(reason)` of messages, in the order given. */
export async function states(source: Source, ids: number[]): Promise<string[]> {
  const rows = await Promise.all(ids.map((id) => sendRow(source, id)));
  return rows.map((row) => (row.reason === null ? row.status : `${row.status}(${row.reason})`));
}

/** Null: the true time. */
export type Clock = { now: Date | null };
const TIMED = new Set(['claim_sends', 'renew_send', 'record_sends', 'settle_send', 'sweep_sends', 'rate_status', 'enqueue_message']);

/** The same context, with every call of the sends at the time of `clock`. */
export function clocked(ctx: Context, clock: Clock): Context {
  const db: Door = {
    call: (name, args) => ctx.db.call(name, clock.now !== null && TIMED.has(name) ? { ...args, p_now: clock.now.toISOString() } : args),
    close: () => ctx.db.close(),
  };
  return { ...ctx, db };
}

/** Steps until the lane is idle, moving the clock over the waits; returns the steps. `most` bounds a lane that never ends. */
export async function drainLane(ctx: Context, clock: Clock, source: Source, conversation: number, most = 40): Promise<SendStep['kind'][]> {
  const ask = asking(source);
  const steps: SendStep['kind'][] = [];
  while (steps.length < most) {
    const step = await sendNext(ctx, conversation);
    steps.push(step.kind);
    if (step.kind === 'idle') return steps;
    if (step.kind === 'next') continue;
    const now = clock.now ?? new Date();
    const waits = await ask<{ at: Date }>(
      `select case when status = 'sending' then lease_until else due_at end as at from messages
       where conversation_id = $1 and direction = 'out' and status in ('queued', 'sending', 'uncertain')`,
      [conversation],
    );
    if (waits.length === 0) return steps;
    // Nothing ahead: an echo has ended the wait.
    const ahead = waits.map((wait) => wait.at.getTime()).filter((at) => at > now.getTime());
    if (ahead.length > 0) clock.now = new Date(Math.min(...ahead) + 10);
  }
  return steps;
}
