/** What stands between us and Supabase's database, and how each of its answers is read: refused (nothing happened, a person must mend it) or away (unknown, repeat). */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { openSupabase } from '../../src/db/door.ts';
import { away, refused } from '../support/doors.ts';

const json = (code: string, message: string) => JSON.stringify({ code, message, details: null, hint: null });

const ANSWERS: [what: string, status: number, body: string, read: string][] = [
  ['a wrong key at the gateway', 401, '{"message": "Invalid API key", "hint": "Double check it."}', '401'],
  ['an expired token', 401, json('PGRST303', 'JWT expired'), 'PGRST303'],
  ['a key of another project', 401, json('PGRST301', 'No suitable key or wrong key type'), 'PGRST301'],
  ['a role without rights', 403, json('42501', 'permission denied for function claim_job'), '42501'],
  ['no such function: not migrated', 404, json('PGRST202', 'Could not find the function public.schema_version'), 'PGRST202'],
  ['one of our own refusals', 400, json('WA001', 'unknown instance'), 'WA001'],
  ['a statement that took too long', 500, json('57014', 'canceling statement due to statement timeout'), '57014'],
  ['the schema cache is being loaded', 503, json('PGRST002', 'Could not query the database for the schema cache. Retrying.'), 'away'],
  ['no connection in time', 504, json('PGRST003', 'Timed out acquiring connection from connection pool.'), 'away'],
  ['the database is down', 503, json('PGRST001', 'Database client error. Retrying the connection.'), 'away'],
  ['the database is starting', 503, json('57P03', 'the database system is starting up'), 'away'],
  ['read only while it moves', 405, json('25006', 'cannot execute INSERT in a read-only transaction'), 'away'],
  ['a proxy without words', 502, '<html><h1>502 Bad Gateway</h1></html>', 'away'],
  ['a paused project', 540, '{"message": "Project paused"}', 'away'],
  ['a limit of the gateway', 429, '{"message": "API rate limit exceeded"}', 'away'],
  ['nothing at all', 500, '', 'away'],
];

test('D1 supabase-js: each kind of answer is a refusal with its code, or an absence that is waited out', async (t) => {
  let answer: { status: number; body: string } = { status: 200, body: 'null' };
  const server = createServer((request, response) => {
    request
      .resume()
      .on('end', () =>
        response
          .writeHead(answer.status, { 'content-type': answer.body.startsWith('<') ? 'text/html' : 'application/json' })
          .end(answer.body),
      );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const door = openSupabase(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, 'a-key');
  t.after(async () => {
    await door.close();
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  });
  for (const [what, status, body, read] of ANSWERS) {
    answer = { status, body };
    const calling = door.call('schema_version', {});
    await (read === 'away' ? away(calling) : refused(calling, read)).catch((error: unknown) => assert.fail(`${what}: ${String(error)}`));
  }
  answer = { status: 200, body: '"20261123000000"' };
  assert.equal(await door.call('schema_version', {}), '20261123000000');
});
