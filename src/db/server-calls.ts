/** What is asked of the database server itself. */
import { z } from 'zod';
import type { Door } from './door.ts';

/** SQL schema_version: number of the newest migration that the database has. */
export async function schemaVersion(db: Door): Promise<string> {
  return z.string().parse(await db.call('schema_version', {}));
}

const rights = z.object({ role: z.string(), superuser: z.boolean(), owner: z.boolean(), audit: z.boolean() });

/** `owner`: tables of the product are its own; `audit`: it may change what is in the audit. */
export type SessionRights = z.infer<typeof rights>;

/** SQL session_rights: with whose rights this door calls. */
export async function sessionRights(db: Door): Promise<SessionRights> {
  return rights.parse(await db.call('session_rights', {}));
}

/** SQL installation_id: tells this installation from others that use the same Redis. Another one when the database is a copy. */
export async function installationId(db: Door): Promise<string> {
  return z.string().parse(await db.call('installation_id', {}));
}
