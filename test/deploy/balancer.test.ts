/**
 * docker/Caddyfile in a real Caddy, before real api processes that are replaced while webhooks come. Docker's name server is played by one of
 * some lines: like Docker's, it lists a copy from the moment in which it starts, ready or not, until it is gone.
 */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import pg from 'pg';
import { startGuarded } from '../../scripts/lib/guarded-process.ts';
import { freePort } from '../../scripts/lib/ports.ts';
import { dataDirectory, projectRoot } from '../../scripts/lib/tools.ts';
import { findCaddy } from '../support/caddy.ts';
import { testDatabase } from '../support/database.ts';
import { startProgram } from '../support/process.ts';
import type { Program } from '../support/process.ts';

const SECRET = 'a-webhook-secret-of-tests';
const EVERY_MS = 50;

type TestHooks = { after(hook: () => Promise<void>): void };

test('P10 balancer: copies are replaced one by one, and then all at once, under 20 webhooks a second: 0 refused, 0 lost', async (t) => {
  const caddy = await findCaddy();
  if ('missing' in caddy) return t.skip(caddy.missing);
  const database = await testDatabase();
  t.after(() => database.close());
  const names = await startNames(t);
  const port = await freePort();
  const balancer = await startBalancer(t, caddy.program, { names: names.port, api: port });

  const start = (address: string): Copy => {
    names.add(address);
    const env = { RUN_MODE: 'api', DATABASE_URL: database.url, EVOLUTION_WEBHOOK_SECRET: SECRET, BIND_HOST: address, PORT: String(port) };
    return { address, program: startProgram(t, 'src/main.ts', { env }) };
  };
  const end = async ({ address, program }: Copy): Promise<void> => {
    program.signal('SIGTERM');
    assert.equal(await program.ended, 0);
    names.remove(address);
  };

  const first = [start('127.0.1.1'), start('127.0.1.2')];
  for (const { program } of first) await program.line('api ready');
  const load = startLoad(balancer);
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

  const statuses = await load.stop();
  assert.deepEqual([...new Set(statuses)], [200]);
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query<{ count: string }>(`select count(*) from messages where direction = 'in'`);
  await client.end();
  assert.equal(Number(rows[0]?.count), statuses.length);
  t.diagnostic(`${statuses.length} webhooks, all stored`);
});

type Copy = { address: string; program: Program };

/** Posts a message of another contact each 50 ms, whatever became of the others. */
function startLoad(url: string): { answered(more: number): Promise<void>; stop(): Promise<number[]> } {
  const statuses: number[] = [];
  const under: Promise<void>[] = [];
  let wake = Promise.withResolvers<void>();
  let sent = 0;
  const timer = setInterval(() => {
    sent += 1;
    under.push(
      post(url, sent).then((status) => {
        statuses.push(status);
        wake.resolve();
        wake = Promise.withResolvers<void>();
      }),
    );
  }, EVERY_MS);
  return {
    answered: async (more) => {
      const wanted = statuses.length + more;
      while (statuses.length < wanted) await wake.promise;
    },
    stop: async () => {
      clearInterval(timer);
      await Promise.all(under);
      return statuses;
    },
  };
}

async function post(url: string, number: number): Promise<number> {
  const phone = `55119${String(10_000_000 + number)}`;
  const body = {
    event: 'messages.upsert',
    instance: 'julia-prod',
    data: {
      key: { id: `ROLL-${number}`, remoteJid: `${phone}@s.whatsapp.net`, fromMe: false },
      pushName: 'Maria',
      message: { conversation: 'oi' },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
  const headers = { authorization: `Bearer ${SECRET}`, 'content-type': 'application/json' };
  const response = await fetch(`${url}/webhook/evolution`, { method: 'POST', headers, body: JSON.stringify(body) }).catch(() => null);
  await response?.text();
  return response?.status ?? 0;
}

/** The file of the repository, but for addresses of this machine. */
async function startBalancer(t: TestHooks, caddy: string, ports: { names: number; api: number }): Promise<string> {
  const listen = await freePort();
  let text = await readFile(path.join(projectRoot, 'docker/Caddyfile'), 'utf8');
  for (const [from, to] of [
    ['resolvers udp/127.0.0.11:53', `resolvers udp/127.0.0.1:${ports.names}`],
    ['port 8000', `port ${ports.api}`],
    ['http://:8000 {', `http://127.0.0.1:${listen} {`],
    ['{$SITE_ADDRESS::80} {', `http://127.0.0.1:${await freePort()} {`],
    ['admin localhost:2019', 'admin off'],
    // a start takes a second, but on a machine that runs all tests at once it may take more than the file allows
    ['lb_try_duration 15s', 'lb_try_duration 120s'],
  ] as const) {
    assert.equal(text.split(from).length, 2, `${from} is there once`);
    text = text.replace(from, to);
  }
  const folder = path.join(dataDirectory, 'caddy', String(listen));
  await mkdir(folder, { recursive: true });
  t.after(() => rm(folder, { recursive: true, force: true }));
  await writeFile(path.join(folder, 'Caddyfile'), text);
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const ready = Promise.withResolvers<void>();
  const lines: string[] = [];
  const log = (line: string): void => {
    lines.push(line);
    if (line.includes('serving initial configuration')) ready.resolve();
  };
  const server = await startGuarded(caddy, ['run', '--config', path.join(folder, 'Caddyfile')], { stopSignal: 'TERM', env, log });
  t.after(() => server.stop());
  await Promise.race([ready.promise, server.exited.then((code) => assert.fail(`caddy ended with ${code}\n${lines.slice(-5).join('\n')}`))]);
  return `http://127.0.0.1:${listen}`;
}

/** Answers every question for an IPv4 address with all that are listed. */
async function startNames(t: TestHooks): Promise<{ port: number; add(address: string): void; remove(address: string): void }> {
  const addresses = new Set<string>();
  const socket = createSocket('udp4');
  socket.on('message', (question, { address, port }) => {
    const end = question.indexOf(0, 12) + 5; // the name ends with a zero, then type and class
    const wanted = question.readUInt16BE(end - 4) === 1 ? [...addresses] : [];
    const head = Buffer.from(question.subarray(0, 12));
    head.writeUInt16BE(0x8180, 2);
    head.writeUInt16BE(wanted.length, 6);
    head.writeUInt32BE(0, 8);
    const answers = wanted.map((each) => Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, ...each.split('.').map(Number)]));
    socket.send(Buffer.concat([head, question.subarray(12, end), ...answers]), port, address);
  });
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
  t.after(async () => void socket.close());
  return { port: socket.address().port, add: (address) => addresses.add(address), remove: (address) => addresses.delete(address) };
}
