/** What the team tells the agent, and the documents that propose it. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export const SCOPES = ['global', 'agent', 'campaign', 'contact'] as const;
export type Scope = (typeof SCOPES)[number];

const added = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['done', 'same']), id: z.number() }),
  z.object({ outcome: z.enum(['many', 'unknown']) }),
]);

/** SQL add_directive: in force from the next message on; audited. */
export async function addDirective(
  db: Door,
  given: { tenant: string; scope: Scope; target: string; text: string; endsAt: Date | null; actor: string },
): Promise<z.infer<typeof added>> {
  const { tenant, scope, target, text, endsAt, actor } = given;
  return added.parse(
    await db.call('add_directive', { p_tenant: tenant, p_directive: { scope, target, text, ends_at: endsAt }, p_actor: actor }),
  );
}

const settled = z.object({
  outcome: z.enum(['done', 'unknown', 'over', 'many']),
  text: z.string().nullish(),
  status: z.string().nullish(),
});

/** SQL settle_directive: yes or no to a proposal, or the end of what is in force; audited. */
export async function settleDirective(
  db: Door,
  change: { tenant: string; id: number; status: 'active' | 'rejected' | 'ended'; actor: string; reason: string | null },
): Promise<z.infer<typeof settled>> {
  const { tenant, id, status, actor, reason } = change;
  return settled.parse(
    await db.call('settle_directive', { p_tenant: tenant, p_id: id, p_status: status, p_actor: actor, p_reason: reason }),
  );
}

const listed = z.object({
  id: z.number(),
  scope: z.enum(SCOPES),
  target: z.string(),
  text: z.string(),
  /** `over`: its date has passed. */
  status: z.enum(['proposed', 'active', 'rejected', 'withdrawn', 'ended', 'over']),
  document: z.string().nullable(),
  sentence: z.string().nullable(),
  /** What it would replace. */
  before: z.string().nullable(),
  ends_at: time.nullable(),
  created_by: z.string(),
  created_at: time,
  decided_by: z.string().nullable(),
});

export type Directive = z.infer<typeof listed>;

/** SQL list_directives: proposals first, then what is in force; `all`: also what is over. */
export async function listDirectives(db: Door, tenant: string, all: boolean, limit: number): Promise<Directive[]> {
  return z.array(listed).parse(await db.call('list_directives', { p_tenant: tenant, p_all: all, p_limit: limit }));
}

const known = z.object({
  id: z.number(),
  external_id: z.string(),
  name: z.string(),
  modified_at: time,
  hash: z.string(),
  status: z.enum(['current', 'deleted']),
  sentences: z.array(z.object({ id: z.number(), sentence: z.string(), status: z.enum(['proposed', 'active', 'rejected']) })),
});

export type KnownDocument = z.infer<typeof known>;
export type Folder = 'briefings' | 'templates';

/** SQL known_documents: what was read of a folder. */
export async function knownDocuments(db: Door, tenant: string, folder: Folder): Promise<KnownDocument[]> {
  return z.array(known).parse(await db.call('known_documents', { p_tenant: tenant, p_folder: folder }));
}

export type Proposal = { text: string; sentence: string; ends_at: Date | null; replaces: number | null };

/** SQL save_document: what is new is proposed, what is gone is withdrawn. */
export async function saveDocument(
  db: Door,
  reading: {
    tenant: string;
    folder: Folder;
    document: { external_id: string; name: string; modified_at: string; hash: string };
    added: readonly Proposal[];
    gone: readonly number[];
  },
): Promise<{ proposed: number; withdrawn: number }> {
  const { tenant, folder, document, added: proposals, gone } = reading;
  const args = { p_tenant: tenant, p_folder: folder, p_document: document, p_added: proposals, p_gone: gone };
  return z.object({ proposed: z.number(), withdrawn: z.number() }).parse(await db.call('save_document', args));
}

/** SQL withdraw_documents: those that are there no more, with their directives. */
export async function withdrawDocuments(db: Door, tenant: string, folder: Folder, present: readonly string[]): Promise<number> {
  const answer = await db.call('withdraw_documents', { p_tenant: tenant, p_folder: folder, p_present: present });
  return z.object({ documents: z.number() }).parse(answer).documents;
}
