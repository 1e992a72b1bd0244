/** Versions of an agent's words: kept as they were, in force one at a time, published and taken back by one audited call each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { listAgents, listVersions, publishVersion, readVersion, rollbackVersion, saveVersion } from '../../src/turns/agent-calls.ts';
import { defaultAgent } from '../../src/turns/default-agent.ts';
import { INSTANCE } from '../support/system.ts';
import { sendsDatabase } from '../support/sends.ts';
import type { SendsDatabase } from '../support/sends.ts';

const OF = { tenant: 'default', slug: 'default', by: 'cli:ana' };
const WORDS = {
  ...defaultAgent,
  company: null,
  language: 'pt-BR',
  sentences: { handoff: 'Já chamo.' },
  model: null,
  model_complex: null,
  tools: ['handoff_to_human'],
  note: 'mais curto',
} as const;

async function opened(t: TestContext): Promise<SendsDatabase> {
  const database = await sendsDatabase(t);
  await database.query(`insert into agents (name, tone, instructions, promises) values ('um', '', 'x', '')`);
  return database;
}
const save = (of: SendsDatabase, change: object = {}) => saveVersion(of.db, OF, { ...WORDS, tools: [...WORDS.tools], ...change });
const publish = (of: SendsDatabase, version: number) => publishVersion(of.db, { ...OF, version, reason: 'porque sim' });
const rollback = (of: SendsDatabase) => rollbackVersion(of.db, { ...OF, reason: null });
const inForce = async (of: SendsDatabase) => (await listAgents(of.db)).map(({ slug, version }) => `${slug} ${version}`);

test('L5 versions: a new one is a draft with the next number; it is in force when it is published', async (t) => {
  const database = await opened(t);
  assert.equal(await save(database), 2);
  assert.deepEqual(await inForce(database), ['default 1']);
  assert.deepEqual(await publish(database, 2), { outcome: 'published', version: 2, before: 1 });
  assert.deepEqual(await inForce(database), ['default 2']);
  assert.equal((await publish(database, 2)).outcome, 'in_force');
  assert.equal((await publish(database, 9)).outcome, 'unknown');
  const now = await readVersion(database.db, 'default', 'default', null);
  assert.deepEqual([now?.sentences, now?.created_by, now?.replaced, now?.note], [{ handoff: 'Já chamo.' }, 'cli:ana', 1, 'mais curto']);
});

test('L5 versions: what one says never changes, whoever asks', async (t) => {
  const database = await opened(t);
  for (const change of [
    `instructions = 'y'`,
    `name = 'dois'`,
    `sentences = '{"honest": "x"}'`,
    `tools = '{}'`,
    `version = 7`,
    `language = 'en'`,
  ])
    await assert.rejects(database.query(`update agents set ${change}`), /never changes: save another one/, change);
  await database.query(`update agents set hours = '{"end": "12:00"}'`);
});

test('L5 versions: one that is written by hand gets the next number and takes the place of the one before', async (t) => {
  const database = await opened(t);
  await database.query(`insert into agents (name, tone, instructions, promises) select name, tone, 'novo', promises from agents`);
  await database.query(`insert into agents (name, tone, instructions, promises, active) values ('três', '', 'rascunho', '', false)`);
  assert.deepEqual(await database.query('select version, active from agents order by version'), [
    { version: 1, active: false },
    { version: 2, active: true },
    { version: 3, active: false },
  ]);
});

test('L5 versions: a rollback goes to what was in force before, and again further back', async (t) => {
  const database = await opened(t);
  for (const version of [2, 3]) {
    await save(database);
    await publish(database, version);
  }
  assert.deepEqual(await rollback(database), { outcome: 'rolled_back', version: 2, before: 3 });
  assert.deepEqual(await rollback(database), { outcome: 'rolled_back', version: 1, before: 2 });
  assert.deepEqual(await rollback(database), { outcome: 'nothing_before', version: 1 });
  assert.deepEqual(await publish(database, 3), { outcome: 'published', version: 3, before: 1 });
  assert.equal((await rollbackVersion(database.db, { ...OF, slug: 'nobody', reason: null })).outcome, 'unknown');
});

test('E9 L5 versions: who saved, published and took back is in the audit', async (t) => {
  const database = await opened(t);
  await save(database);
  await publish(database, 2);
  await rollback(database);
  assert.deepEqual(await database.query(`select actor, action, subject, details from audit_log where action like 'agent.%' order by id`), [
    { actor: 'cli:ana', action: 'agent.saved', subject: 'default', details: { version: 2, note: 'mais curto' } },
    { actor: 'cli:ana', action: 'agent.published', subject: 'default', details: { version: 2, before: 1, reason: 'porque sim' } },
    { actor: 'cli:ana', action: 'agent.rolled_back', subject: 'default', details: { version: 1, before: 2, reason: null } },
  ]);
});

test('L5 versions: ten who save and publish at once leave ten versions, and one in force', async (t) => {
  const database = await opened(t);
  const saved = await Promise.all(Array.from({ length: 10 }, () => save(database)));
  assert.deepEqual(
    saved.toSorted((a, b) => a - b),
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
  );
  await Promise.all(saved.map((version) => publish(database, version)));
  assert.equal((await inForce(database)).length, 1);
  const published = (await listVersions(database.db, 'default', 'default', 50)).filter(({ published_at: at }) => at !== null);
  assert.equal(published.length, 11);
});

test('L5 versions: a number with an agent of its own follows what is published of it, and no other tenant sees a version', async (t) => {
  const database = await opened(t);
  await database.query(`insert into agents (slug, name, tone, instructions, promises) values ('vendas', 'v', '', 'um', '')`);
  await database.query(`update instances set agent_id = (select id from agents where slug = 'vendas') where name = $1`, [INSTANCE]);
  const of = { ...OF, slug: 'vendas' };
  const version = await saveVersion(database.db, of, { ...WORDS, tools: [...WORDS.tools], instructions: 'dois' });
  const answering = async () =>
    (await database.query<{ instructions: string }>('select (agent_of(i)).instructions from instances i where name = $1', [INSTANCE]))[0]
      ?.instructions;
  assert.equal(await answering(), 'um');
  await publishVersion(database.db, { ...of, version, reason: null });
  assert.equal(await answering(), 'dois');
  await database.query(`insert into tenants (id, name) values ('other', 'other')`);
  assert.equal(await readVersion(database.db, 'other', 'vendas', version), null);
  assert.deepEqual(await listVersions(database.db, 'other', 'vendas', 50), []);
  assert.deepEqual(await publishVersion(database.db, { ...of, tenant: 'other', version: 1, reason: null }), { outcome: 'unknown' });
});
