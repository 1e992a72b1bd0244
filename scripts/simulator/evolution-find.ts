// /chat/findMessages and /chat/findStatusMessage: the filters that work in Evolution, and those that it ignores.

import type { Core } from './core.ts';
import { storedRow } from './shapes.ts';
import type { Instance, Json, Row } from './types.ts';

/** Newest first. `offset` is the page size; `fromMe: false` and a half-open time window are ignored. */
export function findMessages(core: Core, instance: Instance, body: Json, rows: Row[]): Json {
  const where = (body['where'] ?? {}) as Json;
  const key = (where['key'] ?? {}) as Json;
  const window = timeWindow(where['messageTimestamp']);
  const candidates = narrow(core, instance, key, rows);
  const found = candidates.filter((row) => {
    if (key['id'] !== undefined && row.key.id !== key['id']) return false;
    if (key['fromMe'] === true && !row.key.fromMe) return false;
    for (const name of ['remoteJid', 'remoteJidAlt', 'participant']) {
      if (key[name] !== undefined && row.key[name] !== key[name]) return false;
    }
    if (where['messageType'] !== undefined && row.messageType !== where['messageType']) return false;
    if (where['source'] !== undefined && row.source !== where['source']) return false;
    return window === null || (row.messageTimestamp >= window.from && row.messageTimestamp <= window.to);
  });
  const size = positive(body['offset'], 50);
  const page = positive(body['page'], 1);
  // Later arrivals first among messages of the same second.
  const newestFirst = found.toReversed().toSorted((left, right) => right.messageTimestamp - left.messageTimestamp);
  return {
    total: found.length,
    pages: Math.ceil(found.length / size),
    currentPage: page,
    records: newestFirst.slice((page - 1) * size, page * size).map(storedRow),
  };
}

export function findStatusMessage(core: Core, instance: Instance, body: Json): Json[] {
  const where = (body['where'] ?? {}) as Json;
  const size = positive(body['offset'], 50);
  const page = positive(body['page'], 1);
  const id = where['id'];
  const rows = typeof id === 'string' ? [core.world.row(instance.name, id)] : core.world.rows(instance.name);
  const updates = rows.flatMap((row) => row?.updates ?? []);
  const wanted = updates.filter((update) => where['remoteJid'] === undefined || update['remoteJid'] === where['remoteJid']);
  return wanted.toReversed().slice((page - 1) * size, page * size);
}

/** The indexes first, so that a look-up stays cheap with a million rows. */
function narrow(core: Core, instance: Instance, key: Json, rows: Row[]): Row[] {
  if (rows.length === 0) return rows;
  const { id, remoteJid } = key;
  if (typeof id === 'string') {
    const row = core.world.row(instance.name, id);
    return row ? [row] : [];
  }
  return typeof remoteJid === 'string' ? core.world.rows(instance.name, remoteJid) : rows;
}

function timeWindow(value: unknown): { from: number; to: number } | null {
  const { gte, lte } = (value ?? {}) as { gte?: string; lte?: string };
  if (gte === undefined || lte === undefined) return null;
  return { from: Math.floor(Date.parse(gte) / 1000), to: Math.floor(Date.parse(lte) / 1000) };
}

function positive(value: unknown, fallback: number): number {
  return typeof value === 'number' && value > 0 ? value : fallback;
}
