/** What alerts and objectives are judged by, and what is kept of them. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

/** What a process measures of itself. Shares are 0..1; null where the machine does not tell. */
const figures = z
  .object({
    /** Of the processors that it may use, over the last seconds. */
    cpu: z.number().nullable(),
    /** Of the one thread on which everything runs. */
    core: z.number().nullable(),
    /** Of the memory that it may use. */
    memory: z.number().nullable(),
    disk_free: z.number().nullable(),
    /** Of the last 5 minutes; slow: beyond 5 s, errors: 5xx. */
    http: z.object({ count: z.number(), slow: z.number(), errors: z.number() }),
    /** Calls of Evolution since the start. */
    broker: z.object({ last_success_at: time.nullable(), last_failure_at: time.nullable(), consecutive_failures: z.number() }),
  })
  .partial();

export type ProcessFigures = z.infer<typeof figures>;

/** SQL note_figures: what a process measured of itself; for how long no scheduler has been heard of (null: never). */
export async function noteFigures(db: Door, process: string, measured: ProcessFigures): Promise<number | null> {
  return z
    .object({ scheduler_seconds: z.number().nullable() })
    .parse(await db.call('note_figures', { p_process: process, p_figures: measured })).scheduler_seconds;
}

/** Conversations that wait for the model. */
/** Media of contacts that nobody could read: what is tried again, and why tries of the last hour came to nothing. */
export const unreadMedia = z.object({ waiting: z.number(), reasons: z.record(z.string(), z.number()) });

export const deferred = z.object({ count: z.number(), oldest_seconds: z.number().nullable(), reasons: z.array(z.string()) });

const counted = z.object({ count: z.number(), oldest_seconds: z.number().nullable() });

const snapshot = z.object({
  now: time,
  project_ref: z.string().nullable(),
  paused: z.string().nullable(),
  processes: z.array(z.object({ id: z.string(), mode: z.string(), started_seconds: z.number(), seen_seconds: z.number(), figures })),
  breakers: z.array(z.object({ breaker: z.string(), instance: z.string().nullable(), reason: z.string().nullable() })),
  numbers: z.array(
    z.object({
      name: z.string(),
      status: z.string(),
      seconds: z.number(),
      code: z.number().nullable(),
      paired: z.boolean(),
      deaf: z.boolean(),
      held: z.string().nullable(),
      fault: z.string().nullable(),
      webhook_wrong: z.boolean(),
    }),
  ),
  unanswered: counted,
  deferred,
  unheard: z.number(),
  media: unreadMedia,
  outbound: z.object({ due: z.number(), oldest_seconds: z.number().nullable(), stuck: z.number(), uncertain: z.number() }),
  /** Of the last hour. Null: not looked at. */
  gone_models: z.array(z.string()).nullable(),
  /** Of the last quarter of an hour. */
  unplaced: z.array(z.object({ instance: z.string().nullable(), reason: z.string(), count: z.number() })).nullable(),
  /** Of the last quarter of an hour, but for errors_last_hour. */
  work: z
    .object({
      turns: z.number(),
      failed_turns: z.number(),
      sends: z.number(),
      failed_sends: z.number(),
      median_ms: z.number().nullable(),
      errors_last_hour: z.number(),
    })
    .nullable(),
});

export type AlertRows = z.infer<typeof snapshot>;

/** SQL alert_snapshot: what conditions are decided on; `all` with what takes a look over many rows. */
export async function alertSnapshot(db: Door, all: boolean): Promise<AlertRows> {
  return snapshot.parse(await db.call('alert_snapshot', { p_all: all }));
}

export type HeldAlert = {
  key: string;
  name: string;
  subject: string | null;
  urgent: boolean;
  about: string | null;
  text: string;
  recovery: string | null;
  for_seconds: number;
  cooldown_seconds: number;
  /** 1 unless said. */
  stage?: number;
};

/** SQL apply_alerts: the conditions that hold, of those that were looked at, become state and notices. */
export async function applyAlerts(db: Door, holds: HeldAlert[], looked: string[]): Promise<{ fired: string[]; recovered: string[] }> {
  return z
    .object({ fired: z.array(z.string()), recovered: z.array(z.string()) })
    .parse(await db.call('apply_alerts', { p_holds: holds, p_looked: looked }));
}

const alert = z.object({
  key: z.string(),
  name: z.string(),
  subject: z.string().nullable(),
  urgent: z.boolean(),
  text: z.string(),
  status: z.enum(['ok', 'pending', 'firing']),
  since: time,
  told_at: time.nullable(),
});

export type Alert = z.infer<typeof alert>;

/** SQL list_alerts: what holds now, and what was told within so many hours. */
export async function listAlerts(db: Door, hours: number): Promise<Alert[]> {
  return z.array(alert).parse(await db.call('list_alerts', { p_hours: hours }));
}

/** SQL note_minute: a scheduler looked in this minute, and messages could be taken, answered and sent, or not. */
export async function noteMinute(db: Door, up: boolean): Promise<void> {
  await db.call('note_minute', { p_up: up });
}

const sla = z.object({
  minutes: z.number(),
  up_minutes: z.number(),
  turns: z.number(),
  slow_turns: z.number(),
  failed_turns: z.number(),
  sends: z.number(),
  failed_sends: z.number(),
});

export type SlaFigures = z.infer<typeof sla>;

/** SQL sla_figures: minutes, turns and sends since `from`. */
export async function slaFigures(db: Door, from: Date): Promise<SlaFigures> {
  return sla.parse(await db.call('sla_figures', { p_from: from.toISOString() }));
}
