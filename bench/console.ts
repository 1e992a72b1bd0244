/**
 * What the console costs with a year of messages: `node bench/console.ts [MESSAGES]`, 1,000,000 when left out. Prints, for each page, the time to its first byte
 * and its bytes over the wire (packed, as a browser gets it), the bytes of style and scripts, how long a stored message takes to a page that is open, and the
 * memory of the api with 50 pages open.
 */
import { mkdir } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import pg from 'pg';

import { hashPassword } from '../src/people/passwords.ts';
import { migrate } from '../src/db/migrate.ts';
import { startPostgres } from '../scripts/lib/embedded-postgres.ts';
import { dataDirectory, projectRoot } from '../scripts/lib/tools.ts';
import { residentMegabytes, startProduct } from './programs.ts';
import { fillStored } from './stored.ts';

const DEFAULT_MESSAGES = 1_000_000;
const ROUNDS = 100;
const OPEN_PAGES = 50;
const ARRIVALS = 20;
const PASSWORD = 'a password of the bench';
const EMAIL = 'bench@example.com';

let cookie = '';
const keepAlive = new http.Agent({ keepAlive: true });
const messages = Number(process.argv[2] ?? DEFAULT_MESSAGES);
const directory = path.join(dataDirectory, 'bench-console');
await mkdir(path.join(directory, 'logs'), { recursive: true });
await using stack = new AsyncDisposableStack();
const postgres = await startPostgres({
  dataDir: path.join(directory, 'postgres'),
  settings: { shared_buffers: '512MB', max_wal_size: '4GB' },
});
stack.defer(() => postgres.stop());
const name = `console_${Date.now()}`;
const admin = new pg.Client({ connectionString: postgres.urlOf('postgres') });
await admin.connect();
stack.defer(() => admin.end());
await admin.query(`create database ${name}`);
stack.defer(async () => void (await admin.query(`drop database ${name} with (force)`)));
const url = postgres.urlOf(name);
await migrate(url);
say(`filling a database with ${messages} messages`);
await fillStored(url, messages);
const client = new pg.Client({ connectionString: url });
await client.connect();
stack.defer(() => client.end());
const hash = await hashPassword(PASSWORD);
await client.query(
  `with u as (insert into users (tenant_id, email, role, created_by) values ('default', '${EMAIL}', 'admin', 'bench') returning id)
   insert into user_passwords (tenant_id, user_id, hash, temporary, asked_by) select 'default', id, $1, false, 'bench' from u`,
  [hash],
);
// some wait for a person, as on a bad day
await client.query(
  `select open_handoff(id, null, 'human', 'pediu uma pessoa', true, now() - make_interval(mins => id::int % 300)) from (select id from conversations order by id limit 60) c`,
);
await client.query('vacuum analyze');
const { rows: busiest } = await client.query<{ id: string }>('select id from conversations order by last_seq desc limit 1');

const around = {
  databaseUrl: url,
  redisUrl: null,
  simulator: { url: 'http://127.0.0.1:9', apiKey: 'none' },
  logs: path.join(directory, 'logs'),
};
const api = await startProduct('api', around, { API_RATE_LIMIT: '0' }, projectRoot);
stack.defer(() => api.stop(5_000));

const login = await ask('/console/login', { method: 'POST', body: new URLSearchParams({ email: EMAIL, password: PASSWORD }).toString() });
cookie = /console_session=[^;]+/.exec(String(login.headers['set-cookie']))?.[0] ?? '';
const idle = await residentMegabytes(api);

const pages = {
  'Conversas, precisa de você': '/console/conversations',
  'Conversas, todas': '/console/conversations?tab=all',
  'Conversas, agente': '/console/conversations?tab=agent',
  'search by name': '/console/conversations?q=Contato+777',
  'search by digits': '/console/conversations?q=00007777',
  'the longest conversation': `/console/conversations/${busiest[0]?.id}`,
  'its steps': `/console/conversations/${busiest[0]?.id}/why`,
  Números: '/console/numbers',
  Saúde: '/console/health',
  Custos: '/console/costs',
  Auditoria: '/console/audit',
  Usuários: '/console/users',
};
say('| page | first byte p50 | p95 | over the wire |\n| --- | ---: | ---: | ---: |');
for (const [title, address] of Object.entries(pages)) {
  const times: number[] = [];
  let bytes = 0;
  for (let round = 0; round < ROUNDS + 3; round++) {
    const answer = await ask(address);
    if (answer.status !== 200) throw new Error(`${address}: ${answer.status}`);
    if (round >= 3) times.push(answer.firstByteMs);
    bytes = answer.bytes;
  }
  times.sort((a, b) => a - b);
  say(`| ${title} | ${at(times, 0.5)} ms | ${at(times, 0.95)} ms | ${(bytes / 1000).toFixed(1)} kB |`);
}
const { text } = await ask('/console/users', {}, false);
const assets = [...text.matchAll(/(?:src|href)="(\/console\/assets\/[^"]+)"/g)].map(([, address = '']) => address);
let assetBytes = 0;
for (const each of assets) assetBytes += (await ask(each)).bytes;
say(`style and scripts, once: ${(assetBytes / 1000).toFixed(1)} kB`);

const streams = [];
const heard = new Set<(at: number) => void>();
for (let count = 0; count < OPEN_PAGES; count++)
  streams.push(
    open(`/console/stream?conversation=${count === 0 ? busiest[0]?.id : count + 1}`, (chunk) => {
      if (count === 0 && chunk.includes('event: news')) for (const each of heard) each(performance.now());
    }),
  );
await new Promise((resolve) => setTimeout(resolve, 3_000));
const delays: number[] = [];
for (let count = 0; count < ARRIVALS; count++) {
  const stored = performance.now();
  const told = new Promise<number>((resolve) => heard.add(resolve));
  await client.query(
    `with c as (update conversations set last_seq = last_seq + 1 where id = $1 returning *)
     insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at)
     select tenant_id, instance_id, id, last_seq, 'in', 'contact', 'text', 'answered', 'oi', now() from c`,
    [busiest[0]?.id],
  );
  delays.push((await told) - stored);
  heard.clear();
  for (const [index] of streams.entries()) if (index % 5 === 0) await ask('/console/conversations/list');
}
delays.sort((a, b) => a - b);
say(`a stored message is told to an open page after ${at(delays, 0.5)} ms (p50), ${at(delays, 0.95)} ms (p95)`);
say(`api: ${idle.toFixed(0)} MB before, ${(await residentMegabytes(api)).toFixed(0)} MB with ${OPEN_PAGES} pages open`);
for (const each of streams) each.destroy();

type Answer = { status: number; headers: http.IncomingHttpHeaders; bytes: number; firstByteMs: number; text: string };

function ask(address: string, { method = 'GET', body = '' } = {}, packed = true): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const request = http.request(
      {
        port: api.port,
        path: address,
        method,
        agent: keepAlive,
        headers: {
          accept: 'text/html',
          cookie,
          ...(packed ? { 'accept-encoding': 'gzip, br' } : {}),
          ...(body === '' ? {} : { 'content-type': 'application/x-www-form-urlencoded', 'content-length': Buffer.byteLength(body) }),
        },
      },
      (answer) => {
        let first = 0;
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => {
          first ||= performance.now();
          chunks.push(chunk);
        });
        answer.on('end', () => {
          const all = Buffer.concat(chunks);
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            bytes: all.length,
            firstByteMs: (first || performance.now()) - began,
            text: all.toString(),
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

function open(address: string, onChunk: (chunk: string) => void): http.ClientRequest {
  const request = http.get({ port: api.port, path: address, headers: { cookie, accept: 'text/event-stream' } }, (answer) => {
    answer.setEncoding('utf8');
    answer.on('data', onChunk);
  });
  request.on('error', () => {});
  return request;
}

function at(sorted: number[], share: number): string {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(0);
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
