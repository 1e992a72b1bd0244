/** What is said later: reminders, and follow-ups to who went quiet. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';
import type { SendPolicy } from '../outbox/calls.ts';
import type { Step } from './ladder-words.ts';

const time = z.coerce.date();
const ids = z.array(z.number());
const woken = z.object({ conversation_id: z.number().nullable() });

/** SQL due_reminders: whose minute has come. */
export async function dueReminders(db: Door, limit: number): Promise<number[]> {
  return ids.parse(await db.call('due_reminders', { p_limit: limit }));
}

/** SQL fire_reminder: it becomes a message, once; the lane to wake, or null. */
export async function fireReminder(db: Door, id: number, timeZone: string): Promise<number | null> {
  return woken.parse(await db.call('fire_reminder', { p_id: id, p_tz: timeZone })).conversation_id;
}

const reminder = z.object({
  id: z.number(),
  conversation_id: z.number(),
  contact: z.string().nullable(),
  about: z.string(),
  words: z.string(),
  due_at: time,
  event_at: time.nullable(),
  status: z.enum(['waiting', 'queued', 'cancelled']),
  reason: z.string().nullable(),
  /** What became of its message; null: there is none. */
  message: z.string().nullable(),
});

export type Reminder = z.infer<typeof reminder>;

/** SQL list_reminders: those that wait first; `all`: also those that are over. */
export async function listReminders(db: Door, tenant: string, all: boolean, limit: number): Promise<Reminder[]> {
  return z.array(reminder).parse(await db.call('list_reminders', { p_tenant: tenant, p_all: all, p_limit: limit }));
}

/** SQL cancel_reminder: one that has not left; audited. */
export async function cancelReminder(
  db: Door,
  { tenant, id, actor, reason }: { tenant: string; id: number; actor: string; reason: string },
): Promise<'done' | 'unknown' | 'over'> {
  const answer = await db.call('cancel_reminder', { p_tenant: tenant, p_id: id, p_actor: actor, p_reason: reason });
  return z.object({ outcome: z.enum(['done', 'unknown', 'over']) }).parse(answer).outcome;
}

/** SQL start_follow_ups: ladders begin where an answer is left without one; how many. */
export async function startFollowUps(db: Door, limit: number): Promise<number> {
  return z.number().parse(await db.call('start_follow_ups', { p_limit: limit }));
}

/** SQL due_follow_up_steps: ladders whose next step is to be looked at. */
export async function dueFollowUpSteps(db: Door, limit: number): Promise<number[]> {
  return ids.parse(await db.call('due_follow_up_steps', { p_limit: limit }));
}

/** SQL take_follow_up_step: the next step becomes a message, the ladder ends, or waits; the lane to wake, or null. */
export async function takeFollowUpStep(db: Door, id: number, company: string, policy: SendPolicy): Promise<number | null> {
  return woken.parse(await db.call('take_follow_up_step', { p_id: id, p_company: company, p_policy: policy })).conversation_id;
}

/** SQL set_follow_ups: a tenant's ladder, from now on; null: off. How many that ran have ended. */
export async function setFollowUps(
  db: Door,
  ladder: { tenant: string; steps: readonly Step[] | null; onlyQuestions: boolean; actor: string },
): Promise<number> {
  const { tenant, steps, onlyQuestions, actor } = ladder;
  const answer = await db.call('set_follow_ups', { p_tenant: tenant, p_steps: steps, p_only_questions: onlyQuestions, p_actor: actor });
  return z.object({ ended: z.number() }).parse(answer).ended;
}

const followUps = z.object({
  ladder: z
    .object({
      steps: z.array(z.object({ after_minutes: z.number(), text: z.string() })),
      only_questions: z.boolean(),
      enabled_at: time.nullable(),
    })
    .nullable(),
  follow_ups: z.array(
    z.object({
      id: z.number(),
      conversation_id: z.number(),
      contact: z.string().nullable(),
      step: z.number(),
      due_at: time,
      status: z.enum(['active', 'done', 'cancelled']),
      reason: z.string().nullable(),
    }),
  ),
});

/** SQL list_follow_ups: the ladder, and the newest that run or ran. */
export async function listFollowUps(db: Door, tenant: string, limit: number): Promise<z.infer<typeof followUps>> {
  return followUps.parse(await db.call('list_follow_ups', { p_tenant: tenant, p_limit: limit }));
}
