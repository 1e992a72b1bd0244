/** Whose secret a webhook came with, and whose number it names: what is nobody's here is set aside, told once, and waits for a person. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { checkInstancesJob } from '../../src/crons/check-instances.ts';
import { admin, adminDone } from '../support/admin.ts';
import { aRun } from '../support/jobs.ts';
import { INSTANCE, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

const SECRETS_KEY = 'a-secrets-key-of-tests-0123456789abcdef';
const UUID = '0b0c2c9a-6f0e-4d9b-8a57-000000000001';
const OTHER_UUID = '0b0c2c9a-6f0e-4d9b-8a57-000000000002';

let ids = 0;
function text(instance: string, words: string, more: { instanceId?: string; phone?: string; id?: string } = {}) {
  return {
    event: 'messages.upsert',
    instance,
    sender: '5511944445555@s.whatsapp.net',
    data: {
      key: { remoteJid: `${more.phone ?? '5511912345678'}@s.whatsapp.net`, fromMe: false, id: more.id ?? `A${++ids}` },
      message: { conversation: words },
      messageTimestamp: Math.floor(Date.now() / 1000),
      ...(more.instanceId === undefined ? {} : { instanceId: more.instanceId }),
    },
  };
}

/** As Evolution signs with `jwt_key`. */
function signed(secret: string, claims: { iat?: number; exp?: number } = {}): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  return new SignJWT({ app: 'evolution', action: 'webhook', iat: now, exp: now + 600, ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .sign(new TextEncoder().encode(secret))
    .then((token) => `Bearer ${token}`);
}

/** What the webhook of a number carries at Evolution. */
async function secretAt(system: System, instance: string): Promise<string> {
  const { evolutionUrl, apiKey: apikey } = system.simulator;
  const found = (await (await fetch(`${evolutionUrl}/webhook/find/${instance}`, { headers: { apikey } })).json()) as {
    headers: Record<string, string>;
  };
  const secret = found.headers['jwt_key'];
  assert.ok(secret, `${instance} has no jwt_key`);
  return secret;
}

const numbers = (system: System) =>
  system.query<{ name: string; provider_id: string | null }>('select name, provider_id from instances order by id');
const aside = (system: System) =>
  system.query<{ name: string; reason: string; webhooks: number }>(
    'select name, reason, webhooks::int as webhooks from set_aside order by id',
  );
const told = async (system: System) =>
  (await system.query<{ text: string }>(`select text from notices order by id`)).map((row) => row.text);

test('F10 Z4 a name that nobody registered is no number of ours: nothing of it is answered, people are told once, and adopted it is answered', async (t) => {
  const system = await startSystem(t, { simulator: { instances: [INSTANCE, 'farmacia-vizinha'] } });
  system.simulator.script([{ match: 'dipirona', text: 'Temos, sim.' }]);
  for (const words of ['Oi', 'Tem dipirona?', 'Alô?'])
    assert.equal(
      (await system.webhook(text('farmacia-vizinha', words, { id: words }))).status,
      200,
      'Evolution would come again with anything else',
    );
  await system.webhook({ event: 'connection.update', instance: 'farmacia-vizinha', data: { state: 'open', statusReason: 200 } });
  assert.deepEqual(
    (await numbers(system)).map(({ name }) => name),
    [INSTANCE],
  );
  assert.deepEqual(await system.query('select from contacts union all select from conversations union all select from messages'), []);
  assert.deepEqual(await aside(system), [{ name: 'farmacia-vizinha', reason: 'nobodys_number', webhooks: 4 }]);
  const [notice, ...more] = await told(system);
  assert.deepEqual(more, [], 'once');
  assert.match(notice ?? '', /farmacia-vizinha.*instance adopt farmacia-vizinha.*instance forget farmacia-vizinha/);
  const shown = await admin(system.ctx, 'instance unknown');
  assert.match(
    shown.text ?? '',
    /"farmacia-vizinha": nobody registered this name\n {2}4 webhooks .* 4 kept\n {2}if it is yours: instance adopt farmacia-vizinha/,
  );

  const adopted = await adminDone(system.ctx, 'instance adopt', { name: 'farmacia-vizinha' });
  assert.deepEqual(adopted, { name: 'farmacia-vizinha', tenant: 'default', renamed: null, replayed: 4, left: 0 });
  await system.until(async () => (await system.dump()).some((line) => line.includes('Temos, sim.')), 'the answer');
  assert.deepEqual(
    (await system.dump()).filter((line) => line.startsWith('in')).map((line) => line.split(': ')[1]),
    ['Oi', 'Tem dipirona?', 'Alô?'],
  );
  assert.deepEqual(await aside(system), []);
  const again = await admin(system.ctx, 'instance adopt', { name: 'farmacia-vizinha' });
  assert.equal(again.ok ? null : again.kind, 'not_found');
  await system.webhook(text('farmacia-vizinha', 'Obrigado'));
  assert.ok(
    (await system.dump()).some((line) => line.startsWith('in') && line.endsWith('Obrigado')),
    'a number like any other',
  );
  assert.deepEqual(await system.query(`select actor, action, subject from audit_log where action like 'instance.%'`), [
    { actor: 'cli:ana', action: 'instance.adopt', subject: 'farmacia-vizinha' },
  ]);
});

test('Z4 forgotten is forgotten: what was kept goes, what comes is counted, nobody is told again; adopting takes it back', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.webhook(text('estranho', 'Oi'));
  await adminDone(system.ctx, 'instance forget', { name: 'estranho' });
  assert.equal((await system.webhook(text('estranho', 'Oi de novo'))).status, 200);
  assert.deepEqual(await system.query(`select from webhook_events`), [], 'nothing of a stranger is kept');
  assert.deepEqual(await aside(system), [{ name: 'estranho', reason: 'nobodys_number', webhooks: 2 }]);
  assert.equal((await told(system)).length, 1);
  await adminDone(system.ctx, 'instance adopt', { name: 'estranho' });
  await system.webhook(text('estranho', 'Agora sim'));
  assert.deepEqual(await system.dump(), ['in contact received: Agora sim']);
});

test('Z4 MULTI_CHIP_ENABLED=false: everything but EVOLUTION_INSTANCE is set aside, registered or not', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { MULTI_CHIP_ENABLED: 'false' } });
  await system.query(`insert into instances (name) values ('segundo')`);
  await system.webhook(text('segundo', 'Oi'));
  await system.webhook(text('terceiro', 'Oi'));
  await system.webhook(text(INSTANCE, 'Olá'));
  assert.deepEqual(await system.dump(), ['in contact received: Olá']);
  assert.deepEqual(
    (await aside(system)).map(({ name, reason }) => `${name} ${reason}`),
    ['segundo only_one_number', 'terceiro nobodys_number'],
  );
  const adopted = await admin(system.ctx, 'instance adopt', { name: 'segundo' });
  assert.match(adopted.ok ? '' : adopted.message, /MULTI_CHIP_ENABLED/);
  assert.equal((await system.dump()).length, 1);
});

test('Z4 a foreign uuid changes no number: neither that of a copy, nor one that is borrowed from another number', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.query(`insert into instances (name, provider_id) values ('segundo', $1)`, [OTHER_UUID]);
  await system.webhook(text(INSTANCE, 'Oi', { instanceId: UUID }));
  const registered = [
    { name: INSTANCE, provider_id: UUID },
    { name: 'segundo', provider_id: OTHER_UUID },
  ];
  assert.deepEqual(await numbers(system), registered, 'the first uuid that comes with a known name is learned');
  await system.webhook(text(INSTANCE, 'de uma cópia', { instanceId: '0b0c2c9a-6f0e-4d9b-8a57-00000000000f' }));
  await system.webhook(text(INSTANCE, 'com o uuid do outro', { instanceId: OTHER_UUID }));
  await system.webhook(text('novo-nome', 'renomeado?', { instanceId: OTHER_UUID }));
  assert.deepEqual(await numbers(system), registered);
  assert.deepEqual(await system.dump(), ['in contact received: Oi']);
  assert.deepEqual(
    (await aside(system)).map(({ name, reason }) => `${name} ${reason}`),
    [`${INSTANCE} foreign_uuid`, `${INSTANCE} foreign_uuid`, 'novo-nome nobodys_number'],
  );
  const ambiguous = await admin(system.ctx, 'instance adopt', { name: INSTANCE });
  assert.equal(ambiguous.ok ? null : ambiguous.kind, 'conflict');
  const renamed = await adminDone<{ renamed: string }>(system.ctx, 'instance adopt', { name: 'novo-nome' });
  assert.equal(renamed.renamed, 'segundo');
  assert.deepEqual(await numbers(system), [registered[0], { name: 'novo-nome', provider_id: OTHER_UUID }]);
  await adminDone(system.ctx, 'instance adopt', { name: 'aside:1' });
  assert.equal((await numbers(system))[0]?.provider_id, '0b0c2c9a-6f0e-4d9b-8a57-00000000000f', 'made again at Evolution');
  assert.ok((await system.dump()).some((line) => line.endsWith('de uma cópia')));
});

test('Z4 a name that could do harm in a shell, or flood people, does not', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await system.webhook(text('x && rm -rf ~ `$(reboot)`', 'Oi'));
  const [notice] = await told(system);
  assert.ok(!/rm -rf|reboot/.test(notice ?? ''), notice);
  assert.match(notice ?? '', /instance adopt aside:1\b/);
  for (let index = 0; index < 230; index++) await system.webhook(text(`nome-${index}`, 'Oi'));
  assert.ok((await told(system)).length <= 7, 'one message for many');
  assert.equal((await aside(system)).length, 200, 'and an end to what is kept');
  const adopted = await adminDone<{ name: string }>(system.ctx, 'instance adopt', { name: 'aside:1' });
  assert.equal(adopted.name, 'x && rm -rf ~ `$(reboot)`');
});

test('Z4 a secret of its own speaks for its number alone; what was signed before counts for an hour', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY }, simulator: { instances: [INSTANCE, 'segundo'] } });
  await system.query(`insert into instances (name) values ('segundo')`);
  system.simulator.setWebhook(`${system.url}/webhook/evolution`, WEBHOOK_SECRET);
  await adminDone(system.ctx, 'instance secret', { name: 'segundo' });
  const own = await secretAt(system, 'segundo');
  assert.match(own, /^[0-9a-f]{64}$/);
  const stored =
    JSON.stringify(await system.query('select * from instances')) + JSON.stringify(await system.query('select * from audit_log'));
  assert.ok(!stored.includes(own), 'sealed');

  for (const authorization of [`Bearer ${own}`, await signed(own), await signed(own, { exp: Math.floor(Date.now() / 1000) - 40 * 60 })])
    assert.equal((await system.webhook(text('segundo', 'do segundo'), { authorization })).status, 200);
  assert.equal((await system.dump()).length, 3);
  // The secret says which number.
  await system.webhook(text(INSTANCE, 'em nome do outro'), { authorization: await signed(own) });
  await system.webhook(text('ninguem', 'em nome de ninguém'), { authorization: await signed(own) });
  assert.equal((await system.dump()).length, 3);
  assert.deepEqual(
    (await aside(system)).map(({ name, reason }) => `${name} ${reason}`),
    [`${INSTANCE} secret_of_another`, 'ninguem secret_of_another'],
  );

  // What Evolution signed with the secret of the installation may still come, for an hour.
  await system.webhook(text('segundo', 'assinado antes'));
  assert.equal((await system.dump()).length, 4);
  await system.query(`update instances set webhook_secret_since = now() - interval '61 minutes' where name = 'segundo'`);
  await system.webhook(text('segundo', 'tarde demais'));
  assert.equal((await system.dump()).length, 4);
  assert.equal((await system.webhook(text(INSTANCE, 'o da instalação'))).status, 200);
  assert.equal((await system.dump()).length, 5, 'the secret of the installation goes on for a number that has none of its own');

  // Another one: both count, then the new one.
  await adminDone(system.ctx, 'instance secret', { name: 'segundo' });
  const next = await secretAt(system, 'segundo');
  assert.notEqual(next, own);
  for (const secret of [own, next])
    assert.equal((await system.webhook(text('segundo', 'x'), { authorization: await signed(secret) })).status, 200);
  await system.query(`update instances set webhook_secret_since = now() - interval '61 minutes' where name = 'segundo'`);
  const fresh = await startApiBeside(system);
  assert.equal((await fresh(text('segundo', 'x'), await signed(own))).status, 401);
  assert.equal((await fresh(text('segundo', 'x'), await signed(next))).status, 200);

  // One that is in wrong hands: changed twice, it is not the one before either.
  for (const _ of [1, 2]) await adminDone(system.ctx, 'instance secret', { name: 'segundo' });
  const after = await startApiBeside(system);
  assert.equal((await after(text('segundo', 'x'), await signed(next))).status, 401);
  assert.equal((await after(text('segundo', 'x'), await signed(await secretAt(system, 'segundo')))).status, 200);
});

test('Z4 the phone of a number: its own secret does not say it, Evolution does when it is asked, and the secret of the installation does', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY }, simulator: { instances: [INSTANCE, 'segundo'] } });
  await system.query(`insert into instances (name) values ('segundo')`);
  const opened = (instance: string, phone: string) => ({
    event: 'connection.update',
    instance,
    data: { instance, state: 'open', statusReason: 200, wuid: `${phone}@s.whatsapp.net` },
  });
  const phones = async () =>
    Object.fromEntries(
      (await system.query<{ name: string; phone: string | null }>('select name, phone from instances')).map((row) => [row.name, row.phone]),
    );
  const STRANGER = '5511977776666';
  await system.webhook(opened(INSTANCE, '5511900000077'));
  await adminDone(system.ctx, 'instance secret', { name: 'segundo' });
  const authorization = await signed(await secretAt(system, 'segundo'));
  assert.equal((await system.webhook(opened('segundo', STRANGER), { authorization })).status, 200);
  assert.deepEqual(await phones(), { [INSTANCE]: '5511900000077', segundo: null });
  const checkInstances = () => checkInstancesJob.run(system.ctx, aRun());
  await checkInstances();
  const own = { [INSTANCE]: '5511900000077', segundo: '5511900000002' };
  assert.deepEqual(await phones(), own, 'a phone that nobody doubts is not asked for');
  await system.webhook(opened('segundo', STRANGER), { authorization });
  await system.webhook(opened('segundo', own.segundo), { authorization });
  assert.deepEqual(await phones(), own);
  const { evolutionUrl, apiKey: apikey } = system.simulator;
  await fetch(`${evolutionUrl}/instance/logout/segundo`, { method: 'DELETE', headers: { apikey } });
  await checkInstances();
  assert.deepEqual(await phones(), own);

  await system.query(`update instances set webhook_secret_since = null where name = 'segundo'`);
  await system.webhook(opened('segundo', '5511900000088'));
  assert.equal((await phones())['segundo'], '5511900000088', 'the secret of the installation still speaks for it');
});

test('Z4 who may not speak for a number cannot have its turns wait either: presence', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY }, simulator: { instances: [INSTANCE, 'segundo'] } });
  await system.query(`insert into instances (name) values ('segundo')`);
  await adminDone(system.ctx, 'instance secret', { name: 'segundo' });
  await system.webhook(text(INSTANCE, 'Oi'));
  await system.until(() => system.lines.filter((line) => line.message === 'Turn woken').length === 1);
  // Typing that is told so soon after a message is that message's own.
  await system.query(`update messages set created_at = created_at - interval '2 seconds'`);
  const presence = {
    event: 'presence.update',
    instance: INSTANCE,
    data: { id: '5511912345678@s.whatsapp.net', presences: { '5511912345678@s.whatsapp.net': { lastKnownPresence: 'composing' } } },
  };
  await system.webhook(presence, { authorization: await signed(await secretAt(system, 'segundo')) });
  await system.webhook(presence);
  await system.until(() => system.lines.filter((line) => line.message === 'Turn woken').length === 2, 'that of the number itself');
  assert.equal(system.lines.filter((line) => line.message === 'Turn woken').length, 2);
});

test('Z4 H12 the secret of the installation speaks for its tenant: a number of another one needs its own', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY } });
  await system.query(
    `insert into tenants (id, name) values ('outra', 'outra'); insert into instances (tenant_id, name) values ('outra', 'outra-1')`,
  );
  await system.webhook(text('outra-1', 'Oi'));
  assert.deepEqual(await system.dump(), []);
  assert.deepEqual(await aside(system), [{ name: 'outra-1', reason: 'secret_of_another', webhooks: 1 }]);
});

test('Z4 a secret that only the database knows is not refused for good while it is away; without SECRETS_KEY there is none to ask for', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY } });
  const forged = `Bearer ${['e30', 'e30'].join('.')}.${createHmac('sha256', 'wrong').update('e30.e30').digest('base64url')}`;
  assert.equal((await system.webhook(text(INSTANCE, 'x'), { authorization: forged })).status, 401);
  await system.query('alter function sealed_secrets(text, timestamptz) rename to sealed_secrets_away');
  await system.query(
    `create function sealed_secrets(p_tenant text, p_now timestamptz default null) returns jsonb language plpgsql as $$ begin raise exception 'away' using errcode = '57P03'; end $$`,
  );
  const fresh = await startApiBeside(system);
  assert.equal((await fresh(text(INSTANCE, 'x'), forged)).status, 503, 'it may be a secret of a number');
  assert.equal((await fresh(text(INSTANCE, 'Oi'), `Bearer ${WEBHOOK_SECRET}`)).status, 200, 'that of the installation needs no database');
  const without = await startSystem(t, { workers: 0 });
  assert.equal((await without.webhook(text(INSTANCE, 'x'), { authorization: forged })).status, 401);
});

/** One more api on the same database, which knows nothing yet. */
async function startApiBeside(system: System): Promise<(body: unknown, authorization: string) => Promise<Response>> {
  const [{ createApp }, { apiRoutes }] = await Promise.all([import('../../src/routes/http.ts'), import('../../src/api.ts')]);
  const context = await system.openContext('api');
  const process = { config: context.config, context, stopping: false };
  const app = createApp(process, context.log, (routes) => apiRoutes(routes, process));
  return async (body, authorization) =>
    app.request('/webhook/evolution', {
      method: 'POST',
      headers: { authorization, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
}

test('Z4 W9 a list of a forwarder names several numbers: each waits by itself, and is adopted by itself', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const list = [text('nova-1', 'à primeira', { phone: '5511912340001' }), text('nova-2', 'à segunda'), text(INSTANCE, 'à nossa')];
  assert.equal((await system.webhook(list)).status, 200);
  assert.deepEqual(await system.dump(), ['in contact received: à nossa']);
  for (const name of ['nova-1', 'nova-2']) {
    const { replayed } = await adminDone<{ replayed: number }>(system.ctx, 'instance adopt', { name });
    assert.equal(replayed, 1, name);
  }
  assert.deepEqual(
    (await system.dump()).toSorted(),
    ['à nossa', 'à primeira', 'à segunda'].map((said) => `in contact received: ${said}`),
  );
});
