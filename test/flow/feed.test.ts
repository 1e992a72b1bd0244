/** What other programs are told over /api/events, from a webhook to their page. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENT_TYPES, eventSchema } from '../../src/feed/event-words.ts';
import type { Envelope } from '../../src/feed/event-words.ts';
import { purgeOld } from '../../src/people/care-calls.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';
import { SignJWT } from 'jose';

const PHONE = '5511912345671';
const NOTHING = { webhooks: 0, jobs: 0, transcripts: 0, messages: 0, audit: 0 };

function tokenFor(tenant: string, role: string): Promise<string> {
  const token = new SignJWT({ role, tenant }).setProtectedHeader({ alg: 'HS256' }).setSubject('erp').setExpirationTime('10m');
  return token.sign(new TextEncoder().encode(JWT_SECRET));
}

type Page = { events: Envelope[]; next_cursor: string; more: boolean };

test('T8 a program that reads by cursor, and was away meanwhile, is told each event once, in order, as its schema says; nobody else is', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  const contact = system.simulator.addContact({ name: 'Maria', phone: PHONE });
  const ask = async (path: string, tenant = 'default', role = 'operator') => {
    const answer = await fetch(`${system.url}${path}`, { headers: { authorization: `Bearer ${await tokenFor(tenant, role)}` } });
    return { status: answer.status, body: (await answer.json()) as Page };
  };
  const first = await ask('/api/events');
  assert.deepEqual(first, { status: 200, body: { events: [], next_cursor: '0', more: false } });
  for (const [n, text] of ['oi', 'e agora?'].entries()) {
    system.simulator.inbound({ contactId: contact.id, text });
    await system.until(
      async () =>
        (await system.query(`select from messages where direction = 'out' and status in ('sent', 'delivered', 'read')`)).length > n &&
        (await system.query(`select from outbox union all select from inbox union all select from on_wire`)).length === 0,
      'an answer',
    );
  }
  const seen: Envelope[] = [];
  let cursor = first.body.next_cursor;
  for (;;) {
    const { body } = await ask(`/api/events?after=${cursor}&limit=1`);
    if (body.events.length === 0) break;
    seen.push(...body.events);
    cursor = body.next_cursor;
  }
  const talks = seen.filter(({ type }) => type.startsWith('message.'));
  assert.equal(talks.filter(({ type }) => type === 'message.received').length, 2);
  assert.ok(talks.length >= 4);
  assert.equal(new Set(seen.map(({ id }) => id)).size, seen.length);
  for (const event of seen) eventSchema(event.type).parse(event);
  const sent = talks.find(({ type }) => type === 'message.sent');
  assert.equal(sent?.causation_id, talks[0]?.id);
  assert.deepEqual((await ask('/api/events?types=instance.status,message.sent&limit=1')).body.events.map(({ id }) => id).length, 1);
  await system.query(`insert into tenants (id, name) values ('outra', 'Outra')`);
  assert.deepEqual((await ask('/api/events?after=0', 'outra')).body.events, []);
  assert.equal((await ask('/api/events', 'default', 'sender')).status, 403);
  for (const wrong of ['types=x', 'after=x', 'limit=0', 'after=999999999'])
    assert.ok([400, 410].includes((await ask(`/api/events?${wrong}`)).status), wrong);

  await system.query(`update events set created_at = created_at - interval '15 days' where seq <= 2`);
  await purgeOld(system.ctx.db, NOTHING, 100);
  assert.equal((await ask('/api/events?after=1')).status, 410);
  assert.deepEqual(
    (await ask('/api/events?after=2')).body.events.map(({ id }) => id),
    seen.slice(2).map(({ id }) => id),
  );
  const schemas = (await (await fetch(`${system.url}/api/events/schemas`)).json()) as Record<string, object>;
  assert.deepEqual(Object.keys(schemas), EVENT_TYPES);
  for (const type of EVENT_TYPES) assert.deepEqual(await (await fetch(`${system.url}/api/events/schemas/${type}`)).json(), schemas[type]);
});
