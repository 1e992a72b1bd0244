// Webhook delivery as Evolution does it: one envelope per event, a jwt made once before the retry loop, ten attempts
// with exponential waits and jitter, a few statuses that drop the event for good, and no order between events.

import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { remember, type Core } from './core.ts';
import { faultNumber } from './faults.ts';
import type { Fault, Instance, WebhookTarget } from './types.ts';

const MAX_ATTEMPTS = 10;
const INITIAL_DELAY_MS = 5_000;
const MAX_DELAY_MS = 300_000;
const JITTER = 0.2;
const NON_RETRYABLE = new Set([400, 401, 403, 404, 422]);
/** How many bodies are kept for `repeat`. */
const KEPT_DELIVERIES = 5_000;

export type Delivery = {
  id: string;
  instance: string;
  event: string;
  messageId: string | null;
  url: string;
  headers: Record<string, string>;
  body: string;
  epoch: number;
  /** Resolves with the status of the first attempt; null when there was no answer or no attempt. */
  first: Promise<number | null>;
  /** Resolves when Evolution has done with it: it was taken, refused for good, or the attempts are used up. */
  settled: Promise<void>;
  settle(): void;
};

export type WebhookLog = {
  deliveries: Delivery[];
  /** Deliveries that a `reorder` fault holds until another message event has gone. */
  waiting: (() => void)[];
  counter: number;
  /** Grows at each reset: what began before it is not tried again and not recorded. */
  epoch: number;
  inFlight: number;
  idle: Set<() => void>;
};

export function createWebhookLog(): WebhookLog {
  return { deliveries: [], waiting: [], counter: 0, epoch: 0, inFlight: 0, idle: new Set() };
}

/** Forgets what was sent, what is held and what is planned. */
export function clearWebhookLog(log: WebhookLog): void {
  log.deliveries = [];
  log.waiting = [];
  log.epoch += 1;
}

/** Resolves when no request is under way. Planned retries and echoes do not count. */
export async function webhooksIdle(log: WebhookLog): Promise<void> {
  if (log.inFlight === 0) return;
  await new Promise<void>((resolve) => log.idle.add(resolve));
}

/**
 * Starts the delivery of one event and returns at once; null when the instance's webhook does not want it.
 * `messageId` is only for the records.
 */
export function emitWebhook(
  core: Core,
  instance: Instance,
  event: string,
  payload: unknown,
  messageId: string | null = null,
): Delivery | null {
  const target = instance.webhook;
  if (!target || !target.enabled || !/^https?:\/\//.test(target.url)) return null;
  if (!target.events.includes(upperName(event))) return null;
  const url = target.byEvents ? `${target.url}/${suffixOf(event)}` : target.url;
  const { promise: settled, resolve: settle } = Promise.withResolvers<void>();
  const delivery: Delivery = {
    id: `webhook-${++core.webhookLog.counter}`,
    instance: instance.name,
    event,
    messageId,
    url,
    headers: { ...requestHeaders(core, target), ...(core.rules.namesItself ? ownHeaders(core, instance, event) : {}) },
    body: JSON.stringify(envelope(core, instance, target, event, payload)),
    epoch: core.webhookLog.epoch,
    first: Promise.resolve(null),
    settled,
    settle,
  };
  delivery.first = start(core, delivery);
  remember(core.webhookLog.deliveries, delivery, KEPT_DELIVERIES);
  return delivery;
}

/** Sends recorded bodies again, unchanged, with a fresh token. Resolves with the status of each first attempt. */
export async function repeatWebhook(core: Core, messageId: string | null, times: number): Promise<(number | null)[]> {
  const wanted = core.webhookLog.deliveries.findLast(
    (delivery) => delivery.event === 'messages.upsert' && (messageId === null || delivery.messageId === messageId),
  );
  if (!wanted) return [];
  const target = core.world.instances.get(wanted.instance)?.webhook ?? null;
  const headers = target ? requestHeaders(core, target) : wanted.headers;
  const repeats = Array.from({ length: times }, () => firstOf(core, { ...wanted, headers }));
  return await Promise.all(repeats);
}

/** Posts any body to the instance's webhook with the right authorization, once. */
export async function rawWebhook(
  core: Core,
  instance: Instance | null,
  body: unknown,
  suffix: string | undefined,
): Promise<{ status: number | null; body: string; error: string | null }> {
  const target = instance?.webhook ?? null;
  if (!target) return { status: null, body: '', error: 'no webhook is set' };
  const url = suffix === undefined ? target.url : `${target.url}/${suffix}`;
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return await core.post(core, url, requestHeaders(core, target), text);
}

/** `messages.upsert` -> `MESSAGES_UPSERT`. */
function upperName(event: string): string {
  return event.replace(/[.-]/g, '_').toUpperCase();
}

function suffixOf(event: string): string {
  return upperName(event).replace(/_/g, '-').toLowerCase();
}

function envelope(core: Core, instance: Instance, target: WebhookTarget, event: string, payload: unknown): Record<string, unknown> {
  const now = core.clock.now();
  // Server local time with a false Z, as Evolution writes it.
  const local = new Date(now - new Date(now).getTimezoneOffset() * 60_000).toISOString();
  return {
    event,
    instance: instance.name,
    data: payload,
    destination: target.url,
    date_time: local,
    ...(instance.connectedOnce ? { sender: `${instance.number}@s.whatsapp.net` } : {}),
    server_url: core.url,
    apikey: instance.token,
  };
}

function requestHeaders(core: Core, target: WebhookTarget): Record<string, string> {
  const { jwt_key: jwtKey, ...custom } = target.headers ?? {};
  return {
    'Content-Type': 'application/json',
    'User-Agent': 'axios/1.7.9',
    Accept: 'application/json, text/plain, */*',
    ...custom,
    ...(jwtKey === undefined ? {} : { Authorization: `Bearer ${signToken(jwtKey, core.clock.now())}` }),
  };
}

function ownHeaders(core: Core, instance: Instance, event: string): Record<string, string> {
  return {
    'X-Instance-ID': instance.id,
    'X-Instance-Name': instance.name,
    'X-Event-Type': event,
    'X-Timestamp': String(core.clock.now()),
    // Its own source says 2.3.7.
    'User-Agent': 'EvolutionAPI-Webhook/2.3.7',
  };
}

/** HS256 with the claims that Evolution puts in. `now` in milliseconds. */
function signToken(secret: string, now: number): string {
  const iat = Math.floor(now / 1000);
  const claims = { iat, exp: iat + 600, app: 'evolution', action: 'webhook' };
  const signed = `${base64url({ alg: 'HS256', typ: 'JWT' })}.${base64url(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}

function base64url(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function start(core: Core, delivery: Delivery): Promise<number | null> {
  const fault = core.faults.take('webhook', {
    instance: delivery.instance,
    event: delivery.event,
    text: delivery.body,
  });
  return fault ? startFaulty(core, delivery, fault) : firstOf(core, delivery);
}

async function startFaulty(core: Core, delivery: Delivery, fault: Fault): Promise<number | null> {
  switch (fault.kind) {
    case 'drop':
      record(core, delivery, { attempt: 0, status: null, at: core.clock.now(), error: 'dropped by a fault' });
      delivery.settle();
      return null;
    case 'delay':
      await core.clock.sleep(faultNumber(fault, 'ms', 1_000));
      return await firstOf(core, delivery);
    case 'reorder':
      await new Promise<void>((resolve) => core.webhookLog.waiting.push(resolve));
      return await firstOf(core, delivery);
    case 'repeat': {
      const copies = Array.from({ length: faultNumber(fault, 'n', 1) + 1 }, () => firstOf(core, delivery));
      return (await Promise.all(copies))[0] ?? null;
    }
    default:
      return await firstOf(core, delivery);
  }
}

/** Runs the whole retry loop in the background and resolves after its first attempt. */
async function firstOf(core: Core, delivery: Delivery): Promise<number | null> {
  const status = await attempt(core, delivery, 1);
  if (delivery.event === 'messages.upsert') {
    for (const release of core.webhookLog.waiting.splice(0)) release();
  }
  if (isFinal(status)) delivery.settle();
  else planRetry(core, delivery, 2);
  return status;
}

function planRetry(core: Core, delivery: Delivery, number: number): void {
  if (number > MAX_ATTEMPTS || delivery.epoch !== core.webhookLog.epoch) {
    delivery.settle();
    return;
  }
  core.clock.after(core.clock.scaled(retryDelay(number - 1, core.chance.next())), () => {
    void attempt(core, delivery, number).then((status) => {
      if (isFinal(status)) delivery.settle();
      else planRetry(core, delivery, number + 1);
    });
  });
}

function isFinal(status: number | null): boolean {
  return status !== null && ((status >= 200 && status < 300) || NON_RETRYABLE.has(status));
}

/** Milliseconds to wait after the failed attempt `failed` (from 1); `random` in [0, 1). Jitter comes after the cap. */
export function retryDelay(failed: number, random: number): number {
  const plain = Math.min(INITIAL_DELAY_MS * 2 ** (failed - 1), MAX_DELAY_MS);
  return Math.max(INITIAL_DELAY_MS, plain + plain * JITTER * (random * 2 - 1));
}

async function attempt(core: Core, delivery: Delivery, number: number): Promise<number | null> {
  const log = core.webhookLog;
  if (delivery.epoch !== log.epoch) return null;
  const at = core.clock.now();
  log.inFlight += 1;
  const answer = await core.post(core, delivery.url, delivery.headers, delivery.body);
  log.inFlight -= 1;
  if (log.inFlight === 0) {
    for (const resolve of log.idle) resolve();
    log.idle.clear();
  }
  record(core, delivery, { attempt: number, status: answer.status, at, error: answer.error });
  return answer.status;
}

function record(
  core: Core,
  delivery: Delivery,
  result: { attempt: number; status: number | null; at: number; error: string | null },
): void {
  if (delivery.epoch !== core.webhookLog.epoch) return;
  const { instance, event, messageId } = delivery;
  remember(core.wire.webhooks, { ...result, instance, event, messageId, ms: core.clock.now() - result.at });
  const { attempt: number, status, error } = result;
  core.bus.emit({ type: 'webhook', id: delivery.id, instance, event, attempt: number, status, messageId, error });
}

/** One POST. Contract: never rejects. */
export type Post = (
  core: Core,
  url: string,
  headers: Record<string, string>,
  body: string,
) => Promise<{ status: number | null; body: string; error: string | null }>;

/** Over HTTP. A stale kept-alive socket is tried again at once: that is no failure of the receiver. */
export const post: Post = (core, url, headers, body) => {
  if (!URL.canParse(url)) return Promise.resolve({ status: null, body: '', error: 'invalid url' });
  return new Promise((resolve) => {
    const secure = url.startsWith('https:');
    const options = {
      method: 'POST',
      headers: { ...headers, 'Content-Length': String(Buffer.byteLength(body)) },
      timeout: core.options.webhookTimeoutMs ?? 30_000,
      ...(secure ? {} : { agent: core.agent }),
    };
    const request = (secure ? httpsRequest : httpRequest)(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', (error) => resolve({ status: null, body: '', error: error.message }));
      response.on('end', () => resolve({ status: response.statusCode ?? null, body: Buffer.concat(chunks).toString(), error: null }));
    });
    request.on('timeout', () => request.destroy(new Error('ECONNABORTED')));
    request.on('error', (error: NodeJS.ErrnoException) => {
      if (request.reusedSocket && error.code === 'ECONNRESET') resolve(post(core, url, headers, body));
      else resolve({ status: null, body: '', error: error.message || (error.code ?? 'failed') });
    });
    request.end(body);
  });
};
