/** What TypeScript and SQL both need to know is said in one of them, or compared here. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { INCIDENTS } from '../../src/whatsapp/incidents.ts';
import { isHeard, isThere } from '../../src/process/liveness.ts';
import pg from 'pg';
import { LISTED_KINDS } from '../../src/outbox/calls.ts';
import { FREE, sendsDatabase } from '../support/sends.ts';
import type { Query } from '../support/sends.ts';

test('N3 what an incident costs a number: what a send tells of is in the list of SQL with the same figures, and SQL asks for no other', async (t) => {
  const { query } = await sendsDatabase(t);
  for (const [name, trouble] of Object.entries(INCIDENTS))
    assert.deepEqual(await query(`select incident($1) as cost`, [name]), [{ cost: trouble }], name);
  const folder = new URL('../../supabase/schemas/', import.meta.url);
  const sql = (await Promise.all((await readdir(folder)).map((file) => readFile(new URL(file, folder), 'utf8')))).join('\n');
  const asked = [...sql.matchAll(/incident\('(\w+)'\)/g)].map((match) => match[1]);
  assert.ok(asked.length >= 5);
  for (const name of asked) assert.equal((await query(`select incident($1) is not null as known`, [name]))[0]?.['known'], true, name);
  assert.deepEqual(sql.match(/'trust', \d+/g), null, 'a cost that stands elsewhere');
});

test('C2 who is alive: SQL and TypeScript agree, second by second', async (t) => {
  const { query } = await sendsDatabase(t);
  const rows = await query<{ seconds: number; heard: boolean; there: boolean }>(
    `select s.seconds, is_heard(n.at - make_interval(secs => s.seconds), n.at) as heard, is_there(n.at - make_interval(secs => s.seconds), n.at) as there
     from generate_series(0, 120) s (seconds), (select now() as at) n`,
  );
  assert.deepEqual(
    rows,
    rows.map(({ seconds }) => ({ seconds, heard: isHeard(seconds), there: isThere(seconds) })),
  );
  assert.ok(rows.some(({ heard, there }) => !heard && there) && rows.some(({ there }) => !there));
});

test('R1 what is proactive: SQL and TypeScript agree, kind by kind, and no second list stands beside it', async (t) => {
  const { query } = await sendsDatabase(t);
  const [constraint] = await query<{ words: string }>(
    `select pg_get_constraintdef(oid) as words from pg_constraint where conrelid = 'messages'::regclass and conname = 'messages_kind_check'`,
  );
  const kinds = [...(constraint?.words ?? '').matchAll(/'(\w+)'/g)].map((match) => match[1] ?? '');
  assert.ok(kinds.includes('reply') && kinds.length >= 8);
  const those = async (is: string): Promise<string[]> =>
    (await query<{ kind: string }>(`select kind from unnest($1::text[]) k (kind) where ${is}(kind)`, [kinds]))
      .map(({ kind }) => kind)
      .toSorted();
  assert.deepEqual(await those('is_proactive'), [...LISTED_KINDS, 'operator'].toSorted());
  assert.deepEqual(await those('is_offer'), Object.keys(FREE.kindCaps).toSorted());
  assert.deepEqual(await those('is_campaign'), ['campaign', 'prospecting']);
  assert.deepEqual(await those('is_notice'), ['transactional']);
  assert.deepEqual(await query('select is_proactive(null) as is'), [{ is: null }], "a person's own message is of no kind");

  const folder = new URL('../../supabase/schemas/', import.meta.url);
  for (const file of await readdir(folder)) {
    const sql = await readFile(new URL(file, folder), 'utf8');
    const lists = [...sql.matchAll(/\bin\s*\('(reply|campaign)',[^)]*\)/g)].map(([words]) => words.replaceAll(/\s+/g, ' '));
    const own = ["in ('reply', 'handoff')", "in ('campaign', 'prospecting', 'follow_up')", "in ('campaign', 'prospecting')"];
    assert.deepEqual(lists, file === 'outbox.sql' ? own : [], file);
  }
});

test('R1 what is proactive: each index over these words serves who asks is_proactive', async (t) => {
  const { url } = await sendsDatabase(t);
  const client = new pg.Client({ connectionString: url, options: '-c enable_seqscan=off' });
  client.on('error', () => {}); // its database goes before it
  await client.connect();
  t.after(() => client.end());
  const query: Query = async (sql) => (await client.query(sql)).rows;
  const indexes = await query<{ name: string; definition: string }>(
    `select indexname as name, indexdef as definition from pg_indexes where indexdef like '%''reply''%'`,
  );
  assert.deepEqual(indexes.map(({ name }) => name).toSorted(), ['messages_proactive', 'outbox_replies', 'outbox_waiting']);
  for (const { name, definition } of indexes) {
    const [, table = '', first = ''] = / ON public\.(\w+) USING btree \((\w+)/.exec(definition) ?? [];
    const those = name === 'outbox_replies' ? 'not is_proactive(kind)' : 'is_proactive(kind)';
    const asks = `${first} = ${first === 'tenant_id' ? "'default'" : 1} and ${those}`;
    const plan = await query<{ 'QUERY PLAN': string }>(`explain select from ${table} where ${asks}`);
    const words = plan.map((line) => line['QUERY PLAN']).join('\n');
    assert.match(words, new RegExp(`\\b${name}\\b`), `${asks}\n${words}`);
    assert.doesNotMatch(words, /is_proactive/, 'it was written into the statement');
  }
});
