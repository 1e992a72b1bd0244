/**
 * docker/Caddyfile in a real Caddy, before real api processes that are replaced while webhooks come. Docker's name server is played by one of
 * some lines: like Docker's, it lists a copy from the moment in which it starts, ready or not, until it is gone.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { freePort } from '../../scripts/lib/ports.ts';
import { findCaddy, startCaddy, startNames } from '../support/caddy.ts';
import { testDatabase } from '../support/database.ts';
import { startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';
import { INSTANCE, WEBHOOK_SECRET } from '../support/system.ts';
import { startWebhookLoad } from '../support/webhook-load.ts';

test('P10 balancer: copies are replaced one by one, and then all at once, under 20 webhooks a second: 0 refused, 0 lost', async (t) => {
  const caddy = await findCaddy();
  if ('missing' in caddy) return t.skip(caddy.missing);
  const database = await testDatabase();
  t.after(() => database.close());
  const names = await startNames(t);
  const port = await freePort();
  // a start takes a second, but on a machine that runs all tests at once it may take more than the file allows
  const patience = [['lb_try_duration 15s', 'lb_try_duration 120s']] as const;
  const { inside: balancer } = await startCaddy(t, caddy.program, { names: names.port, api: port }, patience);

  const start = (address: string): Copy => {
    names.add(address);
    const env = {
      RUN_MODE: 'api',
      DATABASE_URL: database.url,
      EVOLUTION_INSTANCE: INSTANCE,
      EVOLUTION_API_URL: 'http://127.0.0.1:1', // nothing is sent here
      EVOLUTION_API_KEY: 'test-key',
      EVOLUTION_WEBHOOK_SECRET: WEBHOOK_SECRET,
      BIND_HOST: address,
      PORT: String(port),
    };
    return { address, program: startProgram(t, 'src/main.ts', { env }) };
  };
  const end = async ({ address, program }: Copy): Promise<void> => {
    program.signal('SIGTERM');
    assert.equal(await program.ended, 0);
    names.remove(address);
  };

  const first = [start('127.0.1.1'), start('127.0.1.2')];
  for (const { program } of first) await program.line('api ready');
  const load = startWebhookLoad(t, balancer);
  await load.answered(20);
  // As scripts/deploy/roll-compose.sh does it.
  const second: Copy[] = [];
  for (const [index, old] of first.entries()) {
    const copy = start(`127.0.2.${index + 1}`);
    await copy.program.line('api ready');
    await end(old);
    second.push(copy);
  }
  await load.answered(20);
  // As `up -d --no-deps api` does it: nobody is there for a while.
  await Promise.all(second.map(end));
  const third = [start('127.0.3.1'), start('127.0.3.2')];
  for (const { program } of third) await program.line('api ready');
  await load.answered(20);

  const answers = await load.stop();
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ count: string }>(`select count(*) from messages where direction = 'in'`);
  await client.end();
  assert.equal(Number(rows[0]?.count), answers.length);
  t.diagnostic(`${answers.length} webhooks, all stored`);
});

type Copy = { address: string; program: Program };
