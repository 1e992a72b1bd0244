import { z } from 'zod';
import type { Door } from './door.ts';

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
