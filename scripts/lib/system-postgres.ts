import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';

import { withProgress } from './progress.ts';
import { installPackages } from './tools.ts';

const PLACE = '/usr/lib/postgresql';

/** A directory with `bin/postgres`, `bin/initdb`, `bin/pg_dump` and `bin/pg_restore` of one version, which the embedded Postgres does not bring; the newest. */
function findSystemPostgres(): string | null {
  const versions = existsSync(PLACE) ? readdirSync(PLACE).map(Number).filter(Number.isInteger) : [];
  const found = versions
    .toSorted((a, b) => b - a)
    .map((version) => path.join(PLACE, String(version)))
    .find((folder) => ['postgres', 'initdb', 'pg_dump', 'pg_restore'].every((name) => existsSync(path.join(folder, 'bin', name))));
  return found ?? null;
}

/** The same, installing the distribution's Postgres when it is missing and we are root. Throws with what to do by hand. */
export async function ensureSystemPostgres(): Promise<string> {
  const found = findSystemPostgres();
  if (found !== null) return found;
  try {
    await withProgress('installing a Postgres with its tools', () => installPackages('postgresql'));
  } catch (error) {
    throw new Error(
      `There is no Postgres with pg_dump below ${PLACE} and installing one failed. Install it (Debian: apt-get install postgresql) and try again.\n${String(error)}`,
      {
        cause: error,
      },
    );
  }
  const installed = findSystemPostgres();
  if (installed === null) throw new Error(`The installed packages hold no complete Postgres below ${PLACE}.`);
  return installed;
}
