// Floor f2: what any program must do that answers through a queue. Hono, BullMQ on Redis, one model call and one send per message, no logic:
// no database, no order, no retry, nothing kept. RUN_MODE=api takes webhooks, RUN_MODE=worker answers, as ours do.
import { serve } from '@hono/node-server';
import { Queue, Worker } from 'bullmq';
import { Hono } from 'hono';
import { Redis } from 'ioredis';
import { askModel, sendText } from './floor-calls.ts';

type Message = { number: string; text: string };
const connection = new Redis(process.env['REDIS_URL'] ?? '', { maxRetriesPerRequest: null });
const QUEUE = 'floor';
const app = new Hono();
app.get('/ready', (c) => c.json({ ready: true }));

if (process.env['RUN_MODE'] === 'api') {
  const queue = new Queue<Message>(QUEUE, { connection });
  app.post('/webhook/evolution', async (c) => {
    const { event, data } = await c.req.json();
    // echoes and receipts say nothing to a program that keeps nothing
    if (event === 'messages.upsert')
      await queue.add('message', { number: data.key.remoteJid, text: data.message.conversation }, { removeOnComplete: true });
    return c.json({ status: 'ok' });
  });
} else {
  const answer = async ({ data }: { data: Message }) => void (await sendText(data.number, await askModel(data.text)));
  const worker = new Worker<Message>(QUEUE, answer, { connection, concurrency: 20 });
  worker.on('failed', (_, error) => console.error(error.message));
}
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) });
process.once('SIGTERM', () => process.exit(0));
