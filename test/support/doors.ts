/** The two doors to a test database, and how their errors are told apart. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import pg from 'pg';
import { openPostgres, openSupabase } from '../../src/db/door.ts';
import type { Door } from '../../src/db/door.ts';
import { DatabaseAway, DatabaseRefused } from '../../src/db/failures.ts';
import { testDatabase } from './database.ts';
import { startRestBridge } from './rest-bridge.ts';
import type { RestBridge } from './rest-bridge.ts';

export type OpenedDoor = { door: Door; url: string; bridge: RestBridge | null };
type Hooks = Pick<TestContext, 'after'>;

export const DOORS = ['postgres', 'supabase'] as const;
export async function openDoor(t: Hooks, kind: (typeof DOORS)[number]): Promise<OpenedDoor> {
  const { url, runtimeUrl } = await testDatabase(t);
  const bridge = kind === 'supabase' ? await startRestBridge(t, url) : null;
  const door = bridge === null ? openPostgres(runtimeUrl) : openSupabase(bridge.url, bridge.serviceKey);
  t.after(() => door.close());
  return { door, url, bridge };
}

export async function refused(call: Promise<unknown>, code: string): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof DatabaseRefused, `${code}: ${String(error)}`);
    assert.equal(error.code, code);
    return true;
  });
}

export async function away(call: Promise<unknown>): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof DatabaseAway, String(error));
    assert.ok(!/\n\s+at /.test(error.message), 'no stack in the message');
    return true;
  });
}

export async function rows<T extends Record<string, unknown>>(url: string, sql: string): Promise<T[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T>(sql)).rows;
  } finally {
    await client.end();
  }
}

export async function execute(url: string, sql: string): Promise<void> {
  await rows(url, sql);
}
