/** What a table holds, as two figures that a copy of it must have too. */
import type pg from 'pg';

/** Rows, and a sum over the rows that does not depend on their order. */
export type Fingerprint = { rows: number; sum: string };
export type Fingerprints = Record<string, Fingerprint>;

/**
 * The fingerprints of all tables of the product, as the transaction of `client` sees them. Reads every row: some seconds for a million.
 * `told`: called before each table.
 */
export async function takeFingerprints(client: pg.Client, told: (table: string) => void = () => {}): Promise<Fingerprints> {
  // Rows are compared as text: everything that decides how a value is written is set.
  await client.query(
    `set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres'; set local timezone = 'UTC'; set local extra_float_digits = 1; set local bytea_output = 'hex'`,
  );
  const { rows: tables } = await client.query<{ name: string }>(
    `select c.relname as name from pg_class c where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
       and not exists (select from pg_depend d where d.objid = c.oid and d.deptype = 'e') order by 1`,
  );
  const found: Fingerprints = {};
  for (const { name } of tables) {
    told(name);
    const { rows } = await client.query<{ rows: string; sum: string | null }>(
      `select count(*) as rows, sum(('x' || left(md5(t::text), 15))::bit(60)::bigint)::text as sum from public.${client.escapeIdentifier(name)} t`,
    );
    found[name] = { rows: Number(rows[0]?.rows ?? 0), sum: rows[0]?.sum ?? '0' };
  }
  return found;
}

/** What differs, in words; empty when all is the same. */
export function differences(expected: Fingerprints, found: Fingerprints): string[] {
  const names = [...new Set([...Object.keys(expected), ...Object.keys(found)])].toSorted();
  return names.flatMap((name) => {
    const [a, b] = [expected[name], found[name]];
    if (a === undefined) return [`${name} is not in the backup`];
    if (b === undefined) return [`${name} is missing`];
    if (a.rows !== b.rows) return [`${name} has ${b.rows} rows instead of ${a.rows}`];
    return a.sum === b.sum ? [] : [`${name} has as many rows, but other ones`];
  });
}
