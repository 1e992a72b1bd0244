/** What the routes answer is what the reference says of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { Document } from '../../src/routes/openapi.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

test('H8 openapi: health, readiness and timelines answer as their schemas say, with a token and without', async (t) => {
  const details = await startSystem(t);
  const strangers = await startSystem(t, { workers: 0, queue: 'redis', env: { HEALTH_DETAILS: 'token' } });
  for (const system of [details, strangers])
    await system.query(
      `insert into process_status (id, mode, version, started_at, seen_at) select m, m, '1', now(), now() from unnest(array['worker', 'scheduler']) m`,
    );
  const maria = details.simulator.addContact({ name: 'Maria', phone: '5511912345678' });
  details.simulator.script([{ text: 'Olá!' }]);
  details.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await details.until(async () => (await details.dump()).some((line) => line.startsWith('out agent delivered')), 'an answer');
  const document = (await (await fetch(`${details.url}/openapi.json`)).json()) as Document;
  const claims = new SignJWT({ role: 'operator', tenant: 'default' }).setProtectedHeader({ alg: 'HS256' }).setSubject('ana');
  const token = await claims.setExpirationTime('1h').sign(Buffer.from(JWT_SECRET));

  const paths = Object.keys(document.paths).filter((path) => /^\/(?:health|ready)/.test(path));
  assert.ok(paths.length > 12, paths.join());
  for (const system of [details, strangers]) for (const path of paths) await fits(document, system, path, path);
  await fits(document, details, '/api/conversations/{id}/timeline', '/api/conversations/1/timeline', token);
  await fits(document, details, '/api/messages/{id}/timeline', '/api/messages/1/timeline', token);
  await strangers.redis?.kill();
  for (const path of ['/health/deep', '/ready']) assert.equal(await fits(document, strangers, path, path), 503);
});

/** Resolves with the status of the answer. */
async function fits(document: Document, { url }: System, described: string, path: string, token = ''): Promise<number> {
  const answer = await fetch(url + path, { headers: token === '' ? {} : { authorization: `Bearer ${token}` } });
  const schema = document.paths[described]?.['get']?.responses[String(answer.status)]?.content?.['application/json']?.schema;
  assert.ok(schema, `${path}: ${answer.status}`);
  const ajv = new Ajv2020({ strict: false, allErrors: true, formats: { 'date-time': true } });
  const body: unknown = await answer.json();
  assert.ok(ajv.validate(schema, body), `${path}: ${ajv.errorsText()} in ${JSON.stringify(body)}`);
  return answer.status;
}
