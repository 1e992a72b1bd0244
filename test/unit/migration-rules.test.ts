/** D1: what a migration after the first release may do while the release before serves. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { blockingStatements } from '../../scripts/lib/migration-rules.ts';
import { projectRoot } from '../../scripts/lib/tools.ts';
import { migrationNames } from '../../src/db/migrate.ts';

const MAY = [
  `alter table messages add column a text`,
  `alter table messages add column a text not null default 'x', add column b timestamptz default now(), add column c text[] default array['a']`,
  `alter table messages add constraint a check (length(text) < 9) not valid`,
  `alter table messages add constraint a foreign key (turn_id) references turns (id) not valid`,
  `alter table messages validate constraint a`,
  `-- outside a transaction\ncreate index concurrently if not exists a on messages (created_at)`,
  `create table a (id bigint primary key, b text); create index on a (b); alter table a alter column b set not null; update a set b = ''`,
  `create or replace function schema_version() returns jsonb language sql as $$ select '1'::jsonb $$`,
  `do $$ begin null; end $$`,
  `insert into installation (key, value) values ('a', 'b')`,
];

const MAY_NOT: [sql: string, says: RegExp][] = [
  [`create index a on messages (created_at)`, /concurrently/],
  [`create index concurrently a on messages (created_at)`, /outside a transaction/],
  [`-- outside a transaction\ncreate index concurrently a on messages (id); create index concurrently b on messages (id)`, /one statement/],
  [`alter table messages alter column attempts type bigint`, /writes messages anew/],
  [`alter table messages alter column reason set not null`, /set not null/],
  [`alter table messages add column a timestamptz default clock_timestamp()`, /writes messages anew/],
  [`alter table messages add column a uuid default gen_random_uuid()`, /writes messages anew/],
  [`alter table messages add column a bigint generated always as identity`, /writes messages anew/],
  [`alter table messages add column a text not null`, /release before does not write/],
  [`alter table messages add column a text unique`, /index under the lock/],
  [`alter table messages add constraint a check (true)`, /not valid/],
  [`alter table messages add constraint a unique (id, seq)`, /using index/],
  [`alter table messages drop column typed`, /one release later/],
  [`alter table messages rename column typed to a`, /rename/],
  [`alter table messages rename to a`, /rename/],
  [`drop function claim_send`, /one release later/],
  [`drop index messages_due`, /one release later/],
  [`update messages set text = ''`, /in steps/],
  [`delete from messages`, /in steps/],
  [`lock table messages`, /lock/],
  [`truncate messages`, /truncate/],
];

test('D1 lock-safe: what only adds passes, what blocks or takes away is named', async () => {
  for (const sql of MAY) assert.deepEqual(await blockingStatements(sql), [], sql);
  for (const [sql, says] of MAY_NOT) {
    const found = await blockingStatements(sql);
    assert.ok(found.length === 1 && says.test(found[0] ?? ''), `${sql}: ${found.join('; ')}`);
  }
});

test('D1 lock-safe: no migration since the newest release breaks these rules', async (t) => {
  const run = promisify(execFile);
  const { stdout } = await run('git', ['tag', '--list', 'v*', '--sort=-version:refname', '--no-contains', 'HEAD'], {
    cwd: projectRoot,
  }).catch(() => ({ stdout: '' }));
  const tag = stdout.split('\n')[0]?.trim() ?? '';
  if (tag === '') return t.diagnostic('no release yet: every migration belongs to the first one, which starts on an empty database');
  const { stdout: listed } = await run('git', ['ls-tree', '--name-only', tag, 'supabase/migrations/'], { cwd: projectRoot });
  const released = new Set(listed.split('\n').map((file) => path.basename(file)));
  for (const name of (await migrationNames()).filter((each) => !released.has(each)))
    assert.deepEqual(await blockingStatements(await readFile(path.join(projectRoot, 'supabase/migrations', name), 'utf8')), [], name);
});
