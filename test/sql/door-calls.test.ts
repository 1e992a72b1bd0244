/** Every call that src makes fits the schema, and both doors answer it alike. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { DatabaseRefused } from '../../src/db/failures.ts';
import { testDatabase } from '../support/database.ts';
import { DOORS, openDoor, rows } from '../support/doors.ts';

test('D1 each function of src answers through both doors alike, to nulls too', async (t) => {
  const outcomes = [];
  for (const kind of DOORS) {
    const { door } = await openDoor(t, kind);
    const told: Record<string, string> = {};
    for (const [name, args] of await callsInSource()) {
      told[name] = await door.call(name, Object.fromEntries(args.map((arg) => [arg, null]))).then(kindOfValue, (error: unknown) => {
        assert.ok(error instanceof DatabaseRefused, `${name}: ${String(error)}`);
        return error.code;
      });
    }
    outcomes.push(told);
  }
  assert.deepEqual(outcomes[1], outcomes[0]);
  const unreachable = Object.entries(outcomes[0] ?? {}).filter(([, outcome]) => ['42883', '42501'].includes(outcome));
  assert.deepEqual(unreachable, []);
});

test('D1 each call in src fits a function of the schema', async (t) => {
  const { url } = await testDatabase(t);
  const found = await rows<{ name: string; names: string[] | null; required: number }>(
    url,
    `select proname as name, proargnames as names, pronargs - pronargdefaults as required from pg_proc where pronamespace = 'public'::regnamespace`,
  );
  const calls = await callsInSource();
  assert.ok(calls.size >= 20);
  for (const [name, given] of calls) {
    const fits = found.some(
      (each) =>
        each.name === name &&
        given.every((arg) => each.names?.includes(arg)) &&
        (each.names ?? []).slice(0, each.required).every((arg) => given.includes(arg)),
    );
    assert.ok(fits, `${name}(${given.join(', ')})`);
  }
});

function kindOfValue(value: unknown): string {
  if (Array.isArray(value)) return `array of ${value.length}`;
  return value === null ? 'null' : typeof value === 'object' ? `{${Object.keys(value).toSorted().join()}}` : typeof value;
}

/** Names of the SQL functions that src calls, with the names of the arguments that stand beside them. */
async function callsInSource(): Promise<Map<string, string[]>> {
  const folder = new URL('../../src/', import.meta.url);
  const calls = new Map<string, string[]>();
  for (const file of (await readdir(folder, { recursive: true })).filter((name) => name.endsWith('.ts'))) {
    const source = await readFile(new URL(file, folder), 'utf8');
    for (const [, name = '', args = ''] of source.matchAll(/\.call\(\s*'(\w+)',\s*(\{[^;]*?\})\s*,?\s*\)/g)) {
      calls.set(
        name,
        [...args.matchAll(/\b(p_\w+)\b/g)].map(([, arg = '']) => arg),
      );
    }
  }
  return calls;
}
