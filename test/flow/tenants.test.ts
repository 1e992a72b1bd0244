/** Tenants by one command: once under many at once, all or nothing, and nothing that crosses from one to another. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { openSecret } from '../../src/process/secrets.ts';
import { admin, adminDone } from '../support/admin.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const SECRETS_KEY = 'a-secrets-key-of-tests-0123456789abcdef';
type Created = { created: boolean; password?: string; secret?: Record<string, string> };

const start = (t: Parameters<typeof startSystem>[0]): Promise<System> => startSystem(t, { workers: 0, env: { SECRETS_KEY } });
const args = (slug: string) => ({
  slug,
  name: 'Loja Azul',
  'owner-name': 'Ana',
  'owner-email': `ana@${slug}.example`,
  squad: 'vendas',
  sla: '99,5%',
});

test('T2 of ten creates at once one makes the tenant and prints its secrets, and the others print none', async (t) => {
  const system = await start(t);
  const answers = await Promise.all(Array.from({ length: 10 }, () => adminDone<Created>(system.ctx, 'tenant create', args('azul'))));
  const made = answers.filter(({ created }) => created);
  assert.equal(made.length, 1);
  for (const answer of answers) if (!answer.created) assert.deepEqual(answer, { slug: 'azul', created: false });
  const counts = await system.query(
    `select (select count(*)::int from tenants where slug = 'azul') as tenants, (select count(*)::int from agents where tenant_id = 'azul' and active) as agents,
       (select count(*)::int from users where tenant_id = 'azul' and role = 'admin') as users`,
  );
  assert.deepEqual(counts, [{ tenants: 1, agents: 1, users: 1 }]);

  const secret = made[0]?.secret ?? {};
  assert.deepEqual(Object.keys(secret).toSorted(), ['JWT_SECRET', 'WHATSAPP_WEBHOOK_API_KEY']);
  for (const row of await system.query<{ name: string; sealed: string }>(
    `select name, sealed from tenant_secrets where tenant_id = 'azul'`,
  )) {
    const opened = openSecret({ current: SECRETS_KEY, previous: null }, row.sealed, `tenant:azul:secret:${row.name}`);
    assert.equal(opened?.text, secret[row.name]);
  }
  const other = await adminDone<Created>(system.ctx, 'tenant create', args('verde'));
  const all = [...Object.values(secret), ...Object.values(other.secret ?? {}), made[0]?.password, other.password];
  assert.equal(new Set(all).size, 6, 'nothing is shared');
  const audit = JSON.stringify(await system.query('select * from audit_log'));
  for (const each of all) assert.ok(each !== undefined && !audit.includes(each));
});

test('T2 an e-mail of somebody else makes nothing, and a second run changes nothing', async (t) => {
  const system = await start(t);
  await adminDone(system.ctx, 'tenant create', args('azul'));
  const taken = await admin(system.ctx, 'tenant create', { ...args('verde'), 'owner-email': 'ana@azul.example' });
  assert.ok(!taken.ok && taken.kind === 'conflict');
  assert.deepEqual(await system.query(`select id from tenants where id = 'verde'`), []);
  assert.equal((await adminDone<Created>(system.ctx, 'tenant create', { ...args('azul'), name: 'Outra' })).created, false);
  assert.equal((await adminDone<{ name: string }>(system.ctx, 'tenant show', { slug: 'azul' })).name, 'Loja Azul');
});

test("T2 settings say who made it, and the manual's SQL runs as it stands", async (t) => {
  const system = await start(t);
  await adminDone(system.ctx, 'tenant create', args('azul'));
  type Shown = { settings: { createdBy: { name: string; email: string; at: string }; owner: object; squad: string; sla: string } };
  const { settings } = await adminDone<Shown>(system.ctx, 'tenant show', { slug: 'azul' });
  assert.ok(Number.isFinite(Date.parse(settings.createdBy.at)));
  assert.deepEqual(settings, {
    createdBy: { name: 'Ana', email: 'ana@azul.example', at: settings.createdBy.at },
    owner: { name: 'Ana', email: 'ana@azul.example' },
    squad: 'vendas',
    sla: '99,5%',
  });
  const at = '2026-11-30T12:00:00Z';
  await system.query(
    `UPDATE tenants SET settings = jsonb_set(coalesce(settings, '{}'::jsonb), '{createdBy}', '{"name":"Bia","email":"bia@azul.example","at":"${at}"}'::jsonb) WHERE slug = 'azul';`,
  );
  const after = await adminDone<Shown>(system.ctx, 'tenant show', { slug: 'azul' });
  assert.deepEqual(after.settings, { ...settings, createdBy: { name: 'Bia', email: 'bia@azul.example', at } });
});

test('T5 the audit finds a row that points at a row of another tenant, by relations that the catalog lists', async (t) => {
  const system = await start(t);
  type Audit = { rows: number; relations: number; crossing: { relation: string; rows: number }[] };
  const clean = await adminDone<Audit>(system.ctx, 'tenant audit');
  assert.equal(clean.rows, 0);
  assert.ok(clean.relations > 20, `${clean.relations} relations`);
  await adminDone(system.ctx, 'tenant create', args('azul'));
  assert.equal((await adminDone<Audit>(system.ctx, 'tenant audit')).rows, 0);
  await system.query(
    `insert into instances (tenant_id, name, agent_id) select 'azul', 'azul-1', id from agents where tenant_id = 'default' and active limit 1`,
  );
  const found = await adminDone<Audit>(system.ctx, 'tenant audit');
  assert.deepEqual(found.crossing, [{ relation: 'instances.agent_id', rows: 1 }]);
});

test('T1 T2 tenants are for admins of the installation only', async (t) => {
  const system = await start(t);
  await adminDone(system.ctx, 'tenant create', args('azul'));
  for (const [name, given] of [
    ['tenant create', args('verde')],
    ['tenant list', {}],
    ['tenant show', { slug: 'azul' }],
    ['tenant audit', {}],
  ] as const) {
    const outcome = await admin(system.ctx, name, given, 'azul');
    assert.ok(!outcome.ok && outcome.kind === 'forbidden', name);
  }
  assert.deepEqual(await system.query(`select id from tenants where id = 'verde'`), []);
});
