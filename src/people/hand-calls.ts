/** What a person does in a conversation: takes it, writes there. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const has = z.object({ outcome: z.literal('has'), by: z.string(), since: z.coerce.date() });
const unknown = z.object({ outcome: z.literal('unknown') });

const taken = z.discriminatedUnion('outcome', [z.object({ outcome: z.literal('taken'), conversation_id: z.number() }), has, unknown]);

/** SQL take_conversation: the agent keeps quiet there from now on; `has`: another person has it, and `force` takes it over. Audited. */
export async function takeConversation(
  db: Door,
  act: { tenant: string; conversation: number; actor: string; force: boolean },
): Promise<z.infer<typeof taken>> {
  return taken.parse(
    await db.call('take_conversation', {
      p_tenant: act.tenant,
      p_conversation: act.conversation,
      p_actor: act.actor,
      p_force: act.force,
    }),
  );
}

const written = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.literal('written'), id: z.number(), status: z.string(), conversation_id: z.number() }),
  has,
  unknown,
]);

/** SQL write_by_hand: a person's words, from the conversation's number, and the conversation is theirs; once for a `key`. Audited without the words. */
export async function writeByHand(
  db: Door,
  act: { tenant: string; conversation: number; text: string; actor: string; key: string | null; force: boolean },
): Promise<z.infer<typeof written>> {
  return written.parse(
    await db.call('write_by_hand', {
      p_tenant: act.tenant,
      p_conversation: act.conversation,
      p_text: act.text,
      p_actor: act.actor,
      p_key: act.key,
      p_force: act.force,
    }),
  );
}
