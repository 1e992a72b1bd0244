// Floor f3: what any program must do that loses no message and answers none twice. Hono, Postgres, BullMQ on Redis; three commits an answer: stored
// before the webhook has its 200, `sending` before the call that sends, `sent` after it. No logic beyond that: no order, no limit, no history in the
// prompt, no lease, and nobody takes up what a dead worker left. RUN_MODE=api takes webhooks, RUN_MODE=worker answers, as ours do.
import { serve } from '@hono/node-server';
import { Queue, Worker } from 'bullmq';
import { Hono } from 'hono';
import { Redis } from 'ioredis';
import pg from 'pg';
import { askModel, sendText } from './floor-calls.ts';

const TABLE = `create table if not exists messages (
  id bigint generated always as identity primary key,
  chat text not null,
  text text not null,
  status text not null,
  wire_id text unique,
  answers bigint unique,
  created_at timestamptz not null default now())`;

/** Takes a message, or nothing when it is known. */
const STORE = `insert into messages (chat, text, status, wire_id) values ($1, $2, 'received', $3) on conflict (wire_id) do nothing returning id`;
const READ = `select chat, text from messages where id = $1 and status = 'received'`;
/** Takes the answer of a message that has none. */
const ANSWER = `with asked as (update messages set status = 'answered' where id = $1 and status = 'received' returning id, chat)
  insert into messages (chat, text, status, answers) select chat, $2, 'sending', id from asked returning id`;
const SENT = `update messages set status = 'sent', wire_id = $2 where id = $1`;

const connection = new Redis(process.env['REDIS_URL'] ?? '', { maxRetriesPerRequest: null });
const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 10 });
const QUEUE = 'floor-durable';
const app = new Hono();
app.get('/ready', (c) => c.json({ ready: true }));

/** Prepared, as a program that counts milliseconds does. */
async function rows<T extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<T[]> {
  return (await pool.query<T>({ name: text.slice(0, 30), text, values })).rows;
}

if (process.env['RUN_MODE'] === 'api') {
  await pool.query(TABLE);
  const queue = new Queue<{ id: string }>(QUEUE, { connection });
  app.post('/webhook/evolution', async (c) => {
    const { event, data } = await c.req.json();
    // echoes and receipts: it knows what it has sent, and does not ask who has read it
    if (event === 'messages.upsert') {
      const [stored] = await rows<{ id: string }>(STORE, [data.key.remoteJid, data.message.conversation, data.key.id]);
      if (stored !== undefined) await queue.add('message', stored, { removeOnComplete: true });
    }
    return c.json({ status: 'ok' });
  });
} else {
  const answer = async ({ data: { id } }: { data: { id: string } }) => {
    const [message] = await rows<{ chat: string; text: string }>(READ, [id]);
    if (message === undefined) return;
    const text = await askModel(message.text);
    const [answer] = await rows<{ id: string }>(ANSWER, [id, text]);
    if (answer === undefined) return;
    await rows(SENT, [answer.id, await sendText(message.chat, text)]);
  };
  const worker = new Worker<{ id: string }>(QUEUE, answer, { connection, concurrency: 20 });
  worker.on('failed', (_, error) => console.error(error.message));
}
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) });
process.once('SIGTERM', () => process.exit(0));
