// Floor f2: what any program must do that answers through a queue. Hono, BullMQ on Redis, one model call and one send per message, no logic:
// no database, no order, no retry, nothing kept. RUN_MODE=api takes webhooks, RUN_MODE=worker answers, as ours do.
import { serve } from '@hono/node-server';
import { Queue, Worker } from 'bullmq';
import { Hono } from 'hono';
import { Redis } from 'ioredis';

type Message = { number: string; text: string };
const connection = new Redis(process.env['REDIS_URL'] ?? '', { maxRetriesPerRequest: null });
const QUEUE = 'floor';
const app = new Hono();
app.get('/ready', (c) => c.json({ ready: true }));

if (process.env['RUN_MODE'] === 'api') {
  const queue = new Queue<Message>(QUEUE, { connection });
  app.post('/webhook/evolution', async (c) => {
    const { data } = await c.req.json();
    await queue.add('message', { number: data.key.remoteJid, text: data.message.conversation }, { removeOnComplete: true });
    return c.json({ status: 'ok' });
  });
} else {
  const post = async (url: string, headers: Record<string, string>, body: unknown) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    return JSON.parse(await response.text());
  };
  const answer = async ({ data }: { data: Message }) => {
    const reply = await post(
      `${process.env['ANTHROPIC_BASE_URL']}/v1/messages`,
      { 'x-api-key': 'sk-bench', 'anthropic-version': '2023-06-01' },
      { model: 'claude-haiku-5-5', max_tokens: 300, thinking: { type: 'disabled' }, messages: [{ role: 'user', content: data.text }] },
    );
    await post(
      `${process.env['EVOLUTION_API_URL']}/message/sendText/${process.env['EVOLUTION_INSTANCE']}`,
      { apikey: process.env['EVOLUTION_API_KEY'] ?? '' },
      { number: data.number, text: reply.content[0].text },
    );
  };
  const worker = new Worker<Message>(QUEUE, answer, { connection, concurrency: 20 });
  worker.on('failed', (_, error) => console.error(error.message));
}
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) });
process.once('SIGTERM', () => process.exit(0));
