/** The agents of the installation, and the versions of their words. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import { agentVersion } from './calls.ts';
import type { AgentWords } from './agent-words.ts';

export type DefaultAgent = { name: string; tone: string; instructions: string; promises: string };

/** SQL ensure_setup: the number and the agent without which nothing runs. Idempotent. Errors: DatabaseRefused WA003, another project's database. */
export async function ensureSetup(
  db: Door,
  setup: { instance: string | null; project_ref: string | null; agent: DefaultAgent },
): Promise<void> {
  await db.call('ensure_setup', { p_setup: setup });
}

/** SQL list_agents: the versions in force, of all tenants. */
export async function listAgents(db: Door): Promise<z.infer<typeof agentVersion>[]> {
  return z.array(agentVersion).parse(await db.call('list_agents', {}));
}

const time = z.coerce.date();
const note = {
  active: z.boolean(),
  note: z.string().nullable(),
  created_by: z.string(),
  created_at: time,
  /** Since when it is in force, or last was; null: it never was. */
  published_at: time.nullable(),
  /** The version that it took the place of. */
  replaced: z.number().nullable(),
};
const stored = agentVersion.extend(note);
export type StoredVersion = z.infer<typeof stored>;

/** SQL agent_version: a version of a tenant's agent; null: the one in force, which may be the installation's. Null when there is none. */
export async function readVersion(db: Door, tenant: string, slug: string, version: number | null): Promise<StoredVersion | null> {
  return stored.nullable().parse(await db.call('agent_version', { p_tenant: tenant, p_slug: slug, p_version: version }));
}

const listed = z.object({ version: z.number(), name: z.string(), ...note });
export type ListedVersion = z.infer<typeof listed>;

/** SQL agent_versions: the newest first. */
export async function listVersions(db: Door, tenant: string, slug: string, limit: number): Promise<ListedVersion[]> {
  return z.array(listed).parse(await db.call('agent_versions', { p_tenant: tenant, p_slug: slug, p_limit: limit }));
}

/** What a version has beside its words. */
export type VersionSettings = { model: string | null; model_complex: string | null; tools: string[]; note: string | null };

/** SQL save_agent: a new version, as a draft. Audited. Returns its number. */
export async function saveVersion(
  db: Door,
  of: { tenant: string; slug: string; by: string },
  words: AgentWords & VersionSettings,
): Promise<number> {
  const answer = await db.call('save_agent', { p_tenant: of.tenant, p_slug: of.slug, p_words: words, p_actor: of.by });
  return z.object({ version: z.number() }).parse(answer).version;
}

const published = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('published'), version: z.number(), before: z.number().nullable() }),
  z.object({ outcome: z.literal('in_force') }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL publish_agent: a version is in force, from the next claim of every worker on. Audited. */
export async function publishVersion(
  db: Door,
  act: { tenant: string; slug: string; version: number; by: string; reason: string | null },
): Promise<z.infer<typeof published>> {
  const { tenant, slug, version, by, reason } = act;
  return published.parse(
    await db.call('publish_agent', { p_tenant: tenant, p_slug: slug, p_version: version, p_actor: by, p_reason: reason }),
  );
}

const rolledBack = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('rolled_back'), version: z.number(), before: z.number() }),
  z.object({ outcome: z.literal('nothing_before'), version: z.number() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL rollback_agent: what was in force before is in force again. Audited. */
export async function rollbackVersion(
  db: Door,
  act: { tenant: string; slug: string; by: string; reason: string | null },
): Promise<z.infer<typeof rolledBack>> {
  const { tenant, slug, by, reason } = act;
  return rolledBack.parse(await db.call('rollback_agent', { p_tenant: tenant, p_slug: slug, p_actor: by, p_reason: reason }));
}

/** SQL record_try: what a try has cost is in the ledger, and who made it in the audit. */
export async function recordTry(
  db: Door,
  tried: { tenant: string; slug: string; by: string; version: number; model: string; usd: number; calls: number; unpriced: number },
): Promise<void> {
  const { tenant, slug, by, version, model, usd, calls, unpriced } = tried;
  await db.call('record_try', {
    p_tenant: tenant,
    p_slug: slug,
    p_version: version,
    p_actor: by,
    p_model: model,
    p_usd: usd,
    p_calls: calls,
    p_unpriced: unpriced,
  });
}
