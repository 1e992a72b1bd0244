// Floor f1: what any program must do that keeps a webhook before it says so. Hono and one INSERT per request, no logic.
import { serve } from '@hono/node-server';
import { Hono } from 'hono';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'] });
await pool.query('create table if not exists webhooks (id bigint generated always as identity primary key, body jsonb not null)');
const app = new Hono();
app.get('/ready', (c) => c.json({ ready: true }));
app.post('/webhook/evolution', async (c) => {
  await pool.query('insert into webhooks (body) values ($1)', [await c.req.text()]);
  return c.json({ status: 'ok' });
});
serve({ fetch: app.fetch, hostname: '127.0.0.1', port: Number(process.env['PORT']) });
process.once('SIGTERM', () => process.exit(0));
