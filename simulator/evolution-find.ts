// /chat/findMessages and /chat/findStatusMessage: the filters that work in Evolution, and those that it ignores.

import type { Core } from './core.ts';
import { EvolutionError } from './evolution-http.ts';
import { storedRow } from './shapes.ts';
import type { Instance, Json, Row } from './types.ts';

/** The column `messageTimestamp`, in seconds: a bound behind it is refused by the database. */
const LARGEST_INT4 = 2_147_483_647;

/** Newest first. `offset` is the page size; `fromMe: false` and a half-open time window are ignored. Throws as the database does. */
export function findMessages(core: Core, instance: Instance, body: Json, rows: Row[]): Json {
  const where = (body['where'] ?? {}) as Json;
  const key = (where['key'] ?? {}) as Json;
  const window = timeWindow(where['messageTimestamp']);
  const candidates = narrow(core, instance, key, rows);
  const found = candidates.filter((row) => {
    if (key['id'] !== undefined && row.key.id !== key['id']) return false;
    if (key['fromMe'] === true && !row.key.fromMe) return false;
    if (!isOfChat(core, key, row)) return false;
    if (key['participant'] !== undefined && row.key['participant'] !== key['participant']) return false;
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
    records: newestFirst.slice((page - 1) * size, page * size).map((row) => storedRow(core.rules, row)),
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

/** Conditions that are not asked for are left out of an OR, so a single one filters in every release. */
function isOfChat(core: Core, { remoteJid, remoteJidAlt }: Json, row: Row): boolean {
  const asked = [
    ...(remoteJid === undefined ? [] : [row.key.remoteJid === remoteJid]),
    ...(remoteJidAlt === undefined ? [] : [row.key['remoteJidAlt'] === remoteJidAlt]),
  ];
  return asked.length === 0 || (core.rules.findsEither ? asked.includes(true) : !asked.includes(false));
}

/** The indexes first, so that a look-up stays cheap with a million rows. */
function narrow(core: Core, instance: Instance, key: Json, rows: Row[]): Row[] {
  if (rows.length === 0) return rows;
  const { id, remoteJid, remoteJidAlt } = key;
  if (typeof id === 'string') {
    const row = core.world.row(instance.name, id);
    return row ? [row] : [];
  }
  return typeof remoteJid === 'string' && remoteJidAlt === undefined ? core.world.rows(instance.name, remoteJid) : rows;
}

function timeWindow(value: unknown): { from: number; to: number } | null {
  const { gte, lte } = (value ?? {}) as { gte?: string; lte?: string };
  if (gte === undefined || lte === undefined) return null;
  const window = { from: Math.floor(Date.parse(gte) / 1000), to: Math.floor(Date.parse(lte) / 1000) };
  const refused = [window.from, window.to].find((bound) => Math.abs(bound) > LARGEST_INT4);
  if (refused !== undefined) {
    const why = `Value out of range for the type: value "${refused}" is out of range for type integer`;
    throw new EvolutionError(500, `\nInvalid \`prisma.message.count()\` invocation:\n\n\n${why}`);
  }
  return window;
}

function positive(value: unknown, fallback: number): number {
  return typeof value === 'number' && value > 0 ? value : fallback;
}
