/** Webhook bodies and InboundEvents for tests of inbound. Numbers are fakes. */
import assert from 'node:assert/strict';
import pg from 'pg';
import type { ChatAddress, InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { overDeadlocks } from '../../src/db/deadlock.ts';
import type { RecordedEvent } from '../../src/inbox/calls.ts';
import { testDatabase } from './database.ts';

export const INSTANCE = 'julia-dev';
export const TAKEOVER = { takeoverMinutes: 30, takeoverCapMinutes: 240 };
/** Where tests that pass their own clock begin. */
export const NOON = new Date('2026-11-22T12:00:00.000Z');

export function minutesAfter(minutes: number, start: Date = NOON): Date {
  return new Date(start.getTime() + minutes * 60_000);
}

export type Said = {
  id: string;
  text?: string;
  pn?: string | null;
  lid?: string | null;
  at?: Date;
  fromMe?: boolean;
  viaApi?: boolean;
  instance?: string;
  name?: string | null;
};

/** A text of a contact, or with fromMe of ourselves. */
export function said(input: Said): InboundEvent {
  const { pn = '5511912345678', lid = null, text = input.id } = input;
  const chat: ChatAddress = { pn, lid };
  return {
    instance: input.instance ?? INSTANCE,
    instanceId: null,
    kind: 'message',
    providerId: input.id,
    content: { type: 'text', text, typed: text, media: null },
    quoted: null,
    chat,
    jid: lid === null ? `${pn}@s.whatsapp.net` : `${lid}@lid`,
    fromMe: input.fromMe ?? false,
    viaApi: input.viaApi ?? false,
    pushName: input.name ?? null,
    sentAt: (input.at ?? NOON).toISOString(),
  };
}

export function ack(id: string, status: 'sent' | 'delivered' | 'read' | 'failed'): InboundEvent {
  return { instance: INSTANCE, instanceId: null, kind: 'ack', providerId: id, chat: null, status };
}

export function edit(id: string, text: string, fromMe = false): InboundEvent {
  return {
    instance: INSTANCE,
    instanceId: null,
    kind: 'edit',
    providerId: id,
    chat: null,
    fromMe,
    text,
    typed: text,
    changedAt: NOON.toISOString(),
  };
}

export function remove(id: string): InboundEvent {
  return { instance: INSTANCE, instanceId: null, kind: 'delete', providerId: id, chat: null, fromMe: false };
}

/** An event in one line: what tables of payloads compare. */
export function inWords(event: InboundEvent): string {
  switch (event.kind) {
    case 'message': {
      const who = !event.fromMe ? 'contact' : event.viaApi ? 'api' : 'phone';
      return `${who} ${addressed(event.chat)} at ${event.jid}: ${event.content.text}${event.content.wordless === true ? ' (wordless)' : ''}`;
    }
    case 'reaction':
      return `${event.fromMe ? 'our ' : ''}reaction ${addressed(event.chat)} ${event.emoji} to ${event.targetId}`;
    case 'edit':
      return `${event.unsure === true ? 'unsure ' : ''}${saidBy(event)}edit of ${event.providerId} in ${addressed(event.chat)}: ${event.text}`;
    case 'delete':
      return `${event.unsure === true ? 'unsure ' : ''}${saidBy(event)}delete of ${event.providerId} in ${addressed(event.chat)}`;
    case 'ack':
      return `${event.status} ${event.providerId} in ${addressed(event.chat)}`;
    case 'connection':
      return `connection ${event.state} ${event.reason}`;
    case 'presence':
      return `presence ${addressed(event.chat)}`;
    case 'ignored':
      return `ignored ${event.reason}${event.kept === true ? ', kept' : ''}`;
  }
}

function saidBy({ fromMe }: { fromMe?: boolean }): string {
  return fromMe === undefined ? "anybody's " : fromMe ? 'our ' : '';
}

function addressed(chat: ChatAddress | null): string {
  return chat === null ? '-' : `${chat.pn ?? '-'}/${chat.lid ?? '-'}`;
}

export type Rows = Record<string, unknown>[];

export type Sql = {
  /** Rows of a statement, on any free connection. */
  rows(text: string, values?: unknown[]): Promise<Rows>;
  /** One connection for itself: for transactions that stay open. */
  client(): Promise<pg.Client>;
  /** record_inbound, one webhook per event; deadlocks are repeated as the api does. */
  record(events: InboundEvent[], now?: Date, options?: typeof TAKEOVER & { takeoverFromApi?: boolean }): Promise<RecordedEvent[]>;
  /** Messages as `conversation direction author status[(reason)]: text` in the order of their seq. */
  dump(): Promise<string[]>;
};

type TestHooks = { after(hook: () => Promise<void>): void };

/** A database of its own with connections for races. */
export async function openSql(t: TestHooks): Promise<Sql> {
  const database = await testDatabase();
  const pool = new pg.Pool({ connectionString: database.url, max: 24 });
  pool.on('error', () => {});
  const clients: pg.Client[] = [];
  // Numbers are registered by people, not by webhooks.
  await pool.query('insert into instances (name) values ($1)', [INSTANCE]);
  t.after(async () => {
    await Promise.all(clients.map((client) => client.end()));
    await pool.end();
    await database.close();
  });
  const rows = async (text: string, values: unknown[] = []): Promise<Rows> =>
    (await pool.query<Record<string, unknown>>(text, values)).rows;
  return {
    rows,
    async client() {
      const client = new pg.Client({ connectionString: database.url });
      client.on('error', () => {});
      await client.connect();
      clients.push(client);
      return client;
    },
    record: async (events, now, options = TAKEOVER) =>
      resultsOf(await overDeadlocks(() => rows(RECORD, recordArguments(events, now, options)))),
    async dump() {
      const found = await rows(
        `select conversation_id || ' ' || direction || ' ' || author || ' ' || status || coalesce('(' || reason || ')', '') || ': ' || text as line
         from messages order by conversation_id, seq`,
      );
      return found.map((row) => String(row['line']));
    },
  };
}

export const RECORD = 'select record_inbound($1, $2, $3) as result';

export function recordArguments(events: InboundEvent[], now?: Date, options: typeof TAKEOVER = TAKEOVER): unknown[] {
  const webhooks = events.map((event) => ({ requestId: 'r', instance: event.instance, event: 'test', raw: {}, events: [event] }));
  return [JSON.stringify(webhooks), JSON.stringify(options), now ?? null];
}

function resultsOf(rows: Rows): RecordedEvent[] {
  return (resultOf(rows) as { results: RecordedEvent[] }[]).flatMap(({ results }) => results);
}

/** The `result` of the one row; its shape is what the SQL function's header promises. */
function resultOf(rows: Rows): unknown {
  const [row] = rows;
  if (row === undefined) throw new Error('no row');
  return row['result'];
}

/** A reply in the lane, claimed and on its way. */
export async function sending(sql: Sql, options: { text?: string; now?: Date; phone?: string } = {}): Promise<number> {
  const now = options.now ?? NOON;
  await sql.rows('select ensure_instance($1, null)', [INSTANCE]);
  const request = {
    tenant: 'default',
    instance: INSTANCE,
    phone: options.phone ?? '5511912345678',
    text: options.text ?? 'Olá!',
    kind: 'manual',
    bypass: 'what happened to others must not hold it',
    actor: 'test',
  };
  const { id, conversation_id } = resultOf(await sql.rows('select enqueue_message($1, $2) as result', [JSON.stringify(request), now])) as {
    id: number;
    conversation_id: number;
  };
  const policy = {
    allowlist: null,
    capHour: 1000,
    capDay: 1000,
    replyCapHour: 1000,
    contactCapHour: 1000,
    paceMinSeconds: 0,
    paceMaxSeconds: 0,
    hours: null,
    pilot: false,
    leaseMs: 30_000,
    random: 0,
  };
  const claim = resultOf(await sql.rows('select claim_send($1, $2, $3) as result', [conversation_id, JSON.stringify(policy), now])) as {
    action: string;
  };
  assert.equal(claim.action, 'send');
  return id;
}

/** What became of the first claim of a send. */
export async function recordSend(sql: Sql, message: number, outcome: object, now: Date = NOON): Promise<void> {
  await sql.rows('select record_send($1, 1, $2, $3)', [message, JSON.stringify(outcome), now]);
}

/** Resolves once a statement that names `what` waits for a lock; fails at once when `work` ends instead of waiting. */
export async function waitsForLock(sql: Sql, what: string, work: Promise<unknown>): Promise<void> {
  let over = false;
  void work.finally(() => (over = true)).catch(() => {});
  for (;;) {
    const waiting = await sql.rows(
      `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%' || $1 || '%'`,
      [what],
    );
    if (waiting.length > 0) return;
    assert.equal(over, false, 'it ended without waiting for the other transaction');
  }
}
