/** The numbers: what they are set to, how they are, and what is done when one is ill. */
import { z } from 'zod';
import type { Door } from '../db/door.ts';

const time = z.coerce.date();

const numberHealth = z.object({
  instance: z.string(),
  tenant: z.string(),
  status: z.string(),
  status_reason: z.number().nullable(),
  status_at: time,
  phone: z.string().nullable(),
  /** The release of Evolution; null: nobody has asked yet. */
  gateway_version: z.string().nullable(),
  /** May be chosen for proactive messages. */
  proactive: z.boolean(),
  phase: z.string(),
  cap_hour: z.number().nullable(),
  cap_day: z.number().nullable(),
  pace_min_seconds: z.number().nullable(),
  pace_max_seconds: z.number().nullable(),
  /** `held`: nothing proactive leaves; `on_trial`: one proactive message at a time. */
  health: z.enum(['ok', 'disconnected', 'held', 'on_trial']),
  reason: z.string().nullable(),
  since: time.nullable(),
  until: time.nullable(),
  in_row: z.number(),
  /** 0..100; below 40 nothing proactive leaves. */
  trust: z.number(),
  /** Of the newest 50 sends of 24 hours that are older than 10 minutes: all, the delivered ones, those that WhatsApp refused after a 201. */
  judged: z.number(),
  delivered: z.number(),
  refused: z.number(),
});

export type NumberHealth = z.infer<typeof numberHealth>;

/** SQL number_health: each number with what is known of it; `tenant` null for all. */
export async function listNumberHealth(db: Door, tenant: string | null): Promise<NumberHealth[]> {
  return z.array(numberHealth).parse(await db.call('number_health', { p_tenant: tenant }));
}

/** SQL note_gateway: which release of Evolution answers. */
export async function noteGateway(db: Door, version: string): Promise<void> {
  await db.call('note_gateway', { p_version: version });
}

/** SQL assess_numbers: looks over the deliveries of each number; returns those that may send again. */
export async function assessNumbers(db: Door): Promise<string[]> {
  return z.object({ released: z.array(z.string()) }).parse(await db.call('assess_numbers', {})).released;
}

const event = z.object({ event: z.string(), reason: z.string().nullable(), details: z.record(z.string(), z.unknown()), at: time });

export type NumberEvent = z.infer<typeof event>;

/** SQL instance_history: what happened to a number, newest first. */
export async function instanceHistory(db: Door, tenant: string, name: string, limit: number): Promise<NumberEvent[]> {
  return z.array(event).parse(await db.call('instance_history', { p_tenant: tenant, p_name: name, p_limit: limit }));
}

/** Undefined leaves a value as it is; -1 goes back to what the environment says. */
export type NumberChange = {
  proactive?: boolean | undefined;
  phase?: string | undefined;
  cap_hour?: number | undefined;
  cap_day?: number | undefined;
  reply_cap_hour?: number | undefined;
  pace_min_seconds?: number | undefined;
  pace_max_seconds?: number | undefined;
};

/** SQL set_instance: what a number may do; false when the tenant has no such number. Errors: DatabaseRefused 23514 the paces contradict each other. */
export async function setInstance(db: Door, tenant: string, name: string, actor: string, change: NumberChange): Promise<boolean> {
  const { outcome } = z
    .object({ outcome: z.enum(['changed', 'unknown']) })
    .parse(await db.call('set_instance', { p_tenant: tenant, p_name: name, p_actor: actor, p_change: change }));
  return outcome === 'changed';
}

const connectable = z.discriminatedUnion('outcome', [
  z.object({ outcome: z.enum(['own', 'new', 'not_yours', 'unknown_tenant']) }),
  z.object({ outcome: z.literal('too_many'), most: z.number() }),
]);

/** SQL may_connect: whether a tenant has a number of this name (`own`), or may make one. To be asked before Evolution is. Audited. */
export async function mayConnect(db: Door, tenant: string, name: string, actor: string): Promise<z.infer<typeof connectable>> {
  return connectable.parse(await db.call('may_connect', { p_tenant: tenant, p_name: name, p_actor: actor }));
}

/** SQL adopt_instance: makes a number known and choosable. `providerId` null: the next webhook tells Evolution's uuid. */
export async function adoptInstance(
  db: Door,
  tenant: string,
  name: string,
  providerId: string | null,
  actor: string,
): Promise<'adopted' | 'other_tenant' | 'unknown_tenant'> {
  return z
    .object({ outcome: z.enum(['adopted', 'other_tenant', 'unknown_tenant']) })
    .parse(await db.call('adopt_instance', { p_tenant: tenant, p_name: name, p_provider_id: providerId, p_actor: actor })).outcome;
}

/** SQL note_alive: Evolution is back with these numbers (`reconnect`), or a call of them succeeded after others had failed (`word`). */
export async function noteAlive(db: Door, instances: readonly string[], kind: 'reconnect' | 'word'): Promise<void> {
  await db.call('note_alive', { p_instances: instances, p_kind: kind });
}

const restart = z.object({ instance: z.string(), reason: z.string(), restarts: z.number() });

export type ClaimedRestart = z.infer<typeof restart>;

/** SQL claim_restarts: numbers with a dead socket that are this caller's to restart now; `restarts`: the how manieth in a row. */
export async function claimRestarts(db: Door, reasons: readonly string[]): Promise<ClaimedRestart[]> {
  return z.array(restart).parse(await db.call('claim_restarts', { p_reasons: reasons }));
}

const listened = z.object({ wake: z.array(z.number()), deaf: z.array(z.string()), hears: z.array(z.string()) });

/** SQL listen_numbers: numbers that say that they are connected and hear nothing; `wake`: conversations in which one writes to itself to see. */
export async function listenNumbers(db: Door): Promise<z.infer<typeof listened>> {
  return listened.parse(await db.call('listen_numbers', {}));
}

/** SQL set_instance_state: what a poll of the number's socket says. `wakeSends`: it came back. */
export async function setInstanceState(db: Door, name: string, state: string): Promise<{ wakeSends: boolean }> {
  const { wake_sends } = z.object({ wake_sends: z.boolean() }).parse(await db.call('set_instance_state', { p_name: name, p_state: state }));
  return { wakeSends: wake_sends };
}

/** SQL set_instance_phone: which phone Evolution says that a number has; null leaves what is known. */
export async function setInstancePhone(db: Door, name: string, phone: string | null): Promise<void> {
  await db.call('set_instance_phone', { p_name: name, p_phone: phone });
}

/** SQL note_fault: what Evolution said of these numbers instead of their state; null: it answered. */
export async function noteFault(db: Door, instances: readonly string[], fault: string | null): Promise<void> {
  await db.call('note_fault', { p_names: instances, p_fault: fault });
}

const polled = z.object({
  name: z.string(),
  status: z.string(),
  version_stale: z.boolean(),
  phone_doubted: z.boolean(),
  breaker: z.string().nullable(),
  fault: z.string().nullable(),
});

/** `phone_doubted`: its own secret said another phone than the known one. `breaker`: why its breaker is open somewhere; null when it is not. `fault`: what Evolution said when it was last asked for it. */
export type PolledNumber = z.infer<typeof polled>;

/** SQL list_instances: the numbers to poll. */
export async function listInstances(db: Door): Promise<PolledNumber[]> {
  return z.array(polled).parse(await db.call('list_instances', {}));
}
