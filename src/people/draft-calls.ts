/** Modes of a conversation, and answers that wait for the approval of a person. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

export const MODES = ['auto', 'assist', 'manual', 'observe'] as const;

export type Mode = (typeof MODES)[number];

const modeSet = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('done'), was: z.enum(MODES), drafts: z.number() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL set_mode: who writes in a conversation; audited. */
export async function setMode(
  db: Door,
  change: { tenant: string; conversation: number; mode: Mode; actor: string; reason: string | null },
): Promise<z.infer<typeof modeSet>> {
  return modeSet.parse(
    await db.call('set_mode', {
      p_tenant: change.tenant,
      p_conversation: change.conversation,
      p_mode: change.mode,
      p_actor: change.actor,
      p_reason: change.reason,
    }),
  );
}

const draft = z.object({
  /** Of the turn that wrote it. */
  id: z.number(),
  conversation_id: z.number(),
  instance: z.string(),
  contact: z.string().nullable(),
  created_at: time,
  /** What the contact wrote. */
  asked: z.string().nullable(),
  text: z.string(),
});

export type Draft = z.infer<typeof draft>;

/** SQL list_drafts: answers that wait for a person's yes, the oldest first; only this one with `id`. */
export async function listDrafts(db: Door, tenant: string, limit: number, id?: number): Promise<Draft[]> {
  return z.array(draft).parse(await db.call('list_drafts', { p_tenant: tenant, p_limit: limit, p_draft: id ?? null }));
}

const draftSettled = z.discriminatedUnion('outcome', [
  z.object({
    outcome: z.literal('done'),
    conversation_id: z.number(),
    parts: z.number(),
    paused: z.string().nullable(),
  }),
  z.object({ outcome: z.literal('with_person'), holder: z.string() }),
  z.object({ outcome: z.literal('unknown') }),
]);

/** SQL settle_draft: a person said yes (with their own words, when `parts` is not null) or no; once, audited. */
export async function settleDraft(
  db: Door,
  answer: { tenant: string; draft: number; yes: boolean; parts: string[] | null; actor: string; reason: string | null },
): Promise<z.infer<typeof draftSettled>> {
  return draftSettled.parse(
    await db.call('settle_draft', {
      p_tenant: answer.tenant,
      p_draft: answer.draft,
      p_yes: answer.yes,
      p_parts: answer.parts,
      p_actor: answer.actor,
      p_reason: answer.reason,
    }),
  );
}
