/** Business tools, what they wrote outside, and who said yes, in the database. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import { keptDefinition } from './definition-words.ts';
import type { ToolDefinition } from './definition-words.ts';

const time = z.coerce.date();
const kept = z.unknown().transform((stored) => keptDefinition(stored));

/** SQL save_tool: a tool, in place of an older one of its name; audited. */
export async function saveTool(
  db: Door,
  tenant: string,
  definition: ToolDefinition,
  most: number,
  actor: string,
): Promise<{ outcome: 'added' | 'replaced' | 'unchanged' | 'full'; version: number }> {
  const answer = await db.call('save_tool', { p_tenant: tenant, p_definition: definition, p_most: most, p_actor: actor });
  return z.object({ outcome: z.enum(['added', 'replaced', 'unchanged', 'full']), version: z.number() }).parse(answer);
}

/** SQL remove_tool: false when there is none of this name. */
export async function removeTool(db: Door, tenant: string, name: string, actor: string): Promise<boolean> {
  return z.boolean().parse(await db.call('remove_tool', { p_tenant: tenant, p_name: name, p_actor: actor }));
}

const listed = z.object({
  name: z.string(),
  class: z.enum(['read', 'write', 'outside']),
  definition: kept,
  version: z.number(),
  added_by: z.string(),
  updated_at: time,
  /** Of 24 hours. */
  calls: z.number(),
  failed: z.number(),
  /** Of 24 hours, by status. */
  writes: z.record(z.string(), z.number()),
  /** Its secret is there; null: it needs none. */
  secret: z.boolean().nullable(),
});

export type ListedTool = z.infer<typeof listed>;

/** SQL list_tools: by name. */
export async function listTools(db: Door, tenant: string): Promise<ListedTool[]> {
  return z.array(listed).parse(await db.call('list_tools', { p_tenant: tenant }));
}

/** SQL set_tenant_secret: keeps a sealed secret by its name; null takes it away. Whether it was there before. */
export async function setTenantSecret(db: Door, tenant: string, name: string, sealed: string | null, actor: string): Promise<boolean> {
  const answer = await db.call('set_tenant_secret', { p_tenant: tenant, p_name: name, p_sealed: sealed, p_actor: actor });
  return z.object({ was: z.boolean() }).parse(answer).was;
}

/** SQL tenant_secret: sealed; null: there is none of this name. */
export async function tenantSecret(db: Door, tenant: string, name: string): Promise<string | null> {
  return z
    .string()
    .nullable()
    .parse(await db.call('tenant_secret', { p_tenant: tenant, p_name: name }));
}

/** SQL tenant_secret_list: all of a tenant, or of all. */
export async function listTenantSecrets(db: Door, tenant: string | null): Promise<{ tenant: string; name: string; sealed: string }[]> {
  const answer = await db.call('tenant_secret_list', { p_tenant: tenant });
  return z.array(z.object({ tenant: z.string(), name: z.string(), sealed: z.string() })).parse(answer);
}

/** SQL swap_tenant_secret: the same secret sealed again, unless it was changed since it was read. */
export async function swapTenantSecret(db: Door, secret: { tenant: string; name: string; old: string }, sealed: string): Promise<boolean> {
  const answer = await db.call('swap_tenant_secret', { p_tenant: secret.tenant, p_name: secret.name, p_old: secret.old, p_new: sealed });
  return z.boolean().parse(answer);
}

const turnTools = z.object({
  tools: z.array(
    z.object({ id: z.number(), name: z.string(), class: z.enum(['read', 'write', 'outside']), definition: kept, version: z.number() }),
  ),
  found: z.array(z.object({ tool: z.string(), field: z.string(), value: z.string() })),
  done: z.boolean(),
  open: z.array(z.object({ tool_id: z.number(), input: z.record(z.string(), z.unknown()) })),
});

export type TurnTools = z.infer<typeof turnTools>;

/** SQL turn_tools: what a turn is given of its tenant's tools, and what binds their arguments. */
export async function turnToolsOf(db: Door, tenant: string, conversation: number): Promise<TurnTools> {
  return turnTools.parse(await db.call('turn_tools', { p_tenant: tenant, p_conversation: conversation }));
}

const approval = z.object({
  id: z.number(),
  status: z.enum(['waiting', 'approved', 'refused', 'expired']),
  tool: z.string(),
  class: z.string(),
  conversation_id: z.number(),
  instance: z.string(),
  contact: z.string().nullable(),
  input: z.record(z.string(), z.unknown()),
  request: z.object({ method: z.string(), url: z.string(), body: z.string().nullable() }),
  amount: z.number().nullable(),
  /** Why it waits. */
  risks: z.array(z.string()),
  created_at: time,
  expires_at: time,
  decided_at: time.nullable(),
  decided_by: z.string().nullable(),
  reason: z.string().nullable(),
  write_status: z.string(),
  write_reason: z.string().nullable(),
  /** What the contact wrote. */
  asked: z.string().nullable(),
});

export type Approval = z.infer<typeof approval>;

/** SQL list_approvals: what waits for a yes, the oldest first; with `id` only that one, whatever became of it. */
export async function listApprovals(db: Door, tenant: string, limit: number, id?: number): Promise<Approval[]> {
  return z.array(approval).parse(await db.call('list_approvals', { p_tenant: tenant, p_limit: limit, p_id: id ?? null }));
}

const decided = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['approved', 'refused']), again: z.boolean(), write_id: z.number(), conversation_id: z.number() }),
  z.object({ outcome: z.literal('already'), status: z.string(), by: z.string().nullable() }),
  z.object({ outcome: z.literal('expired') }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL decide_approval: a person says yes or no; the first answer in time counts, audited. */
export async function decideApproval(
  db: Door,
  answer: { tenant: string; id: number; yes: boolean; actor: string; reason: string | null },
): Promise<z.infer<typeof decided>> {
  const { tenant, id, yes, actor, reason } = answer;
  return decided.parse(await db.call('decide_approval', { p_tenant: tenant, p_id: id, p_yes: yes, p_actor: actor, p_reason: reason }));
}

const claimedWrite = z.object({
  id: z.number(),
  claim: z.number(),
  tenant: z.string(),
  conversation_id: z.number(),
  key: z.string(),
  definition: kept,
  request: z.object({ method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']), url: z.string(), body: z.string().nullable() }),
  attempts: z.number(),
});

export type ClaimedWrite = z.infer<typeof claimedWrite>;

/** SQL claim_tool_write: who gets it makes the call, once; null: there is nothing to do. */
export async function claimToolWrite(db: Door, id: number, worker: string, leaseMs: number): Promise<ClaimedWrite | null> {
  const answer = await db.call('claim_tool_write', { p_id: id, p_worker: worker, p_lease_ms: leaseMs });
  return claimedWrite.nullable().parse(answer);
}

export type WriteEnd =
  | { status: 'done' | 'failed' | 'uncertain'; reason: string | null; answer: string | null }
  /** It surely never left. */
  | { status: 'queued'; reason: string; retry_ms: number };

/** SQL record_tool_write: what came of the call; only its own claim counts. */
export async function recordToolWrite(
  db: Door,
  { id, claim }: Pick<ClaimedWrite, 'id' | 'claim'>,
  end: WriteEnd,
): Promise<{ recorded: boolean; conversation_id: number | null }> {
  const answer = await db.call('record_tool_write', { p_id: id, p_claim: claim, p_end: end });
  // null: the contact was erased meanwhile
  return z.object({ recorded: z.boolean(), conversation_id: z.number().nullable() }).parse(answer);
}

const swept = z.object({
  conversations: z.array(z.number()),
  due: z.array(z.number()),
  untold: z.array(z.object({ id: z.number(), tenant: z.string() })),
});

/** SQL sweep_tool_writes: ends what a process left behind and what nobody approved; tells what may leave and what nobody was told of. */
export async function sweepToolWrites(db: Door, limit: number): Promise<z.infer<typeof swept>> {
  return swept.parse(await db.call('sweep_tool_writes', { p_limit: limit }));
}

/** SQL approval_told: people were told of it. */
export async function approvalTold(db: Door, id: number): Promise<void> {
  await db.call('approval_told', { p_id: id });
}

/** SQL turn_writes: what a turn asked to be done outside. */
export async function turnWrites(db: Door, turn: number): Promise<{ id: number; status: string; approval: number | null }[]> {
  const answer = await db.call('turn_writes', { p_turn: turn });
  return z.array(z.object({ id: z.number(), status: z.string(), approval: z.number().nullable() })).parse(answer);
}
