/** What the routes below /health answer, for the reference; a test compares it with what they say. Without a token `details` says how to get the rest. */
import { z } from 'zod';

/** As JSON has it. */
const time = z.iso.datetime();
const check = z.enum(['ok', 'down', 'not_used', 'behind', 'wrong_project']);
const untold = { details: z.string().optional() };

export const alive = z.object({ status: z.literal('healthy'), service: z.string(), version: z.string(), environment: z.string() });

export const deep = z.object({
  status: z.enum(['healthy', 'degraded', 'unhealthy']),
  service: z.string(),
  version: z.string(),
  environment: z.string(),
  git_sha: z.string().nullable(),
  build_time: z.string().nullable(),
  checks: z.object({ redis: check, supabase: check, migrations: check, project: check }),
  reasons: z.array(z.string()),
});

export const ready = z.object({ ready: z.boolean(), checks: z.object({ db: check, redis: check, queue: check, migrations: check }) });

const used = z.object({ used: z.number(), limit: z.number(), remaining: z.number(), percent: z.number(), resets_at: time.nullable() });

export const rate = z.object({
  hour: used.nullable(),
  day: used.nullable(),
  inside_hours: z.boolean().optional(),
  next_slot_at: time.nullable().optional(),
  instances: z.record(z.string(), z.looseObject({ status: z.string(), phase: z.string(), inside_hours: z.boolean() })).optional(),
  ...untold,
});

export const circuitList = z.object({ breakers: z.array(z.looseObject({ name: z.string(), state: z.string() })), ...untold });

export const jobs = z.object({
  status: z.enum(['ok', 'stale']),
  jobs: z.array(z.looseObject({ job: z.string(), stale: z.boolean(), status: z.string().nullable(), error: z.string().nullable() })),
});

export const queue = z.looseObject({
  status: z.enum(['ok', 'warning', 'critical']),
  reasons: z.array(z.string()).optional(),
  backlog: z.number().optional(),
  stuck: z.number().optional(),
  errors_last_hour: z.number().optional(),
  oldest_minutes: z.number().optional(),
  thresholds: z.record(z.string(), z.object({ warning: z.number(), critical: z.number().nullable() })),
  ...untold,
});

export const chips = z.object({
  chips: z.array(
    z.looseObject({ name: z.string().optional(), status: z.string(), breaker: z.enum(['open', 'closed']), health: z.string().nullable() }),
  ),
  ...untold,
});

const broker = z.object({ last_success: time.nullable(), last_failure: time.nullable(), consecutive_failures: z.number() });

export const whatsapp = z.object({
  status: z.enum(['connected', 'degraded', 'disconnected', 'not_configured']),
  connected: z.number().optional(),
  total: z.number().optional(),
  broker: broker.optional(),
  numbers: z.array(z.object({ name: z.string(), status: z.string(), since_seconds: z.number() })).optional(),
  ...untold,
});

const alert = z.looseObject({ name: z.string(), subject: z.string().nullable(), urgent: z.boolean(), text: z.string(), since: time });

export const alerts = z.object({
  status: z.enum(['firing', 'ok']),
  firing: z.array(alert).optional(),
  pending: z.array(alert).optional(),
  recent: z.array(alert).optional(),
  ...untold,
});

export const score = z.object({
  score: z.number(),
  costs: z.array(z.object({ points: z.number(), why: z.string() })).optional(),
  sla: z.looseObject({ days: z.number() }).optional(),
  ...untold,
});

export const process = z.object({
  status: z.enum(['ok', 'degraded', 'starting']),
  service: z.string(),
  version: z.string(),
  uptime: z.number(),
  broker,
  degraded: z.boolean(),
});
