/** Commands that operators write in a chat. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const settled = z.object({ outcome: z.enum(['recorded', 'stale']), conversation_id: z.number().nullable() });

export type CommandEnd = {
  /** How it ended, a key of words/reasons.ts. */
  reason: 'command' | 'command_asked' | 'command_wrong' | 'command_locked';
  /** The answer; null: none. */
  text: string | null;
  /** What must come back before it is carried out. */
  word?: string;
  /** The message whose word came back. */
  proved?: number | null;
};

/** SQL settle_command: the manager's command is over, once, and answered at the phone `to` and nowhere else. */
export async function settleCommand(
  db: Door,
  command: { message_id: number; claim: number },
  end: CommandEnd & { to: string },
): Promise<z.infer<typeof settled>> {
  return settled.parse(await db.call('settle_command', { p_message: command.message_id, p_claim: command.claim, p_end: end }));
}

/** SQL take_slack_event: false when this event was taken before. */
export async function takeSlackEvent(db: Door, event: string): Promise<boolean> {
  return z.object({ taken: z.boolean() }).parse(await db.call('take_slack_event', { p_event: event })).taken;
}

/** SQL ask_operator: keeps a command that waits for a confirmation, for two minutes. `place`: where it was given. */
export async function askOperator(db: Door, actor: string, place: string, command: object): Promise<void> {
  await db.call('ask_operator', { p_actor: actor, p_place: place, p_command: command });
}

/** SQL take_asked: what this actor was asked here within two minutes, once; as askOperator was given it, or null. */
export async function takeAsked(db: Door, actor: string, place: string): Promise<unknown> {
  return db.call('take_asked', { p_actor: actor, p_place: place });
}
