/** What TypeScript and SQL both need to know is said in one of them, or compared here. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { INCIDENTS } from '../../src/whatsapp/incidents.ts';
import { isHeard, isThere } from '../../src/process/liveness.ts';
import { sendsDatabase } from '../support/sends.ts';

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
