/**
 * Posts events to the programs that subscribed. A subscription is with one process at a time, which posts its events one by one: the next one leaves when the
 * one before was taken (2xx). What was not taken is posted again under the same id, later and later, for three days; then people are told, and nothing more is
 * posted until a replay. A process that dies between a post and its record has it posted again: at least once, in order.
 */
import { randomBytes } from 'node:crypto';
import type { Context } from '../context.ts';
import { persist } from '../db/persist.ts';
import { sendNotice } from '../notices/notices.ts';
import type { NoticeContext } from '../notices/notices.ts';
import { TOO_LARGE } from '../process/http-out.ts';
import { PRIVATE_ADDRESS } from '../process/http-outside.ts';
import type { Outside } from '../process/http-outside.ts';
import { openSecret } from '../process/secrets.ts';
import { secretOwner } from '../tools/client.ts';
import { tenantSecret } from '../tools/calls.ts';
import { claimPush, recordPush } from './push-calls.ts';
import type { ClaimedPush } from './push-calls.ts';
import { disabledText, PATIENCE_MS, waitMs } from './push-words.ts';
import { signedHeaders } from './signature.ts';

/** What this needs of the context; an admin command has it too. */
export type PushContext = NoticeContext & Pick<Context, 'tools'> & { process: Pick<Context['process'], 'id'> };

/** How long a subscriber may take to say yes. Milliseconds. */
const TIMEOUT_MS = 15_000;
/** Longer than one post and its record take. Milliseconds. */
const LEASE_MS = 60_000;
/** What a yes may say beside it. Bytes. */
const MOST_BYTES = 64_000;
/** Events of one claim. */
const AT_ONCE = 50;
/** Subscriptions that are posted to at the same time: a slow one holds nobody else up. */
const LANES = 4;

/** Posts what is due until nothing is, or `signal`; returns how many arrived. Any number at once. Throws what the database throws. */
export async function pushEvents(ctx: PushContext, signal: AbortSignal): Promise<number> {
  const lanes = await Promise.all(Array.from({ length: LANES }, () => lane(ctx, signal)));
  return lanes.reduce((sum, n) => sum + n, 0);
}

async function lane(ctx: PushContext, signal: AbortSignal): Promise<number> {
  for (let arrived = 0; ;) {
    const claim = signal.aborted ? null : await claimPush(ctx.db, ctx.process.id, LEASE_MS, AT_ONCE);
    if (claim === null) return arrived;
    arrived += await postAll(ctx, claim, signal);
  }
}

async function postAll(ctx: PushContext, claim: ClaimedPush, signal: AbortSignal): Promise<number> {
  const secrets = await secretsOf(ctx, claim);
  for (const [n, { seq, event }] of claim.events.entries()) {
    const fault = await post(ctx.tools.client.outside.call, claim.url, { id: event.id, body: JSON.stringify(event), secrets });
    const last = n === claim.events.length - 1 || signal.aborted;
    const end = { seq, fault, waitMs: waitMs(claim.failures), patienceMs: PATIENCE_MS, leaseMs: LEASE_MS, last };
    const { recorded, disabled } = await persist(() => recordPush(ctx.db, claim, end));
    if (disabled && fault !== null) await tellDisabled(ctx, claim, fault);
    if (fault !== null || !recorded) return n;
    if (last) return n + 1;
  }
  return 0;
}

/** Posts once. Null: it was taken; else what is wrong, in words without what it answered. Contract: never rejects, and ends within TIMEOUT_MS. */
export async function post(
  call: Outside['call'],
  url: string,
  { id, body, secrets }: { id: string; body: string; secrets: readonly string[] },
): Promise<string | null> {
  if (secrets.length === 0) return 'its secret is missing';
  const answer = await call({
    method: 'POST',
    url,
    headers: { 'content-type': 'application/json', ...signedHeaders(id, Math.floor(Date.now() / 1000), body, secrets) },
    body,
    timeoutMs: TIMEOUT_MS,
    mostBytes: MOST_BYTES,
    // its other end may have closed one that was kept
    fresh: true,
  });
  if (!('networkError' in answer)) return answer.status >= 200 && answer.status < 300 ? null : `it answered ${answer.status}`;
  if (answer.code === PRIVATE_ADDRESS) return 'it leads to a private address';
  if (answer.code === TOO_LARGE) return 'it answered with more than 64 kB';
  return answer.networkError === 'timeout' ? 'it did not answer within 15 s' : `it cannot be reached (${answer.code})`;
}

/** The secrets that count for a subscription, the newest first; empty: none can be opened. */
export async function secretsOf(
  { db, config }: Pick<PushContext, 'db' | 'config'>,
  { tenant, secret, previous }: { tenant: string; secret: string; previous: boolean },
): Promise<string[]> {
  const opened: string[] = [];
  for (const name of previous ? [secret, `${secret}_OLD`] : [secret]) {
    const sealed = await tenantSecret(db, tenant, name);
    const text =
      sealed === null || config.secrets === null ? undefined : openSecret(config.secrets, sealed, secretOwner(tenant, name))?.text;
    if (text !== undefined) opened.push(text);
  }
  return opened;
}

export function newSecret(): string {
  return `whsec_${randomBytes(32).toString('base64')}`;
}

async function tellDisabled(ctx: PushContext, { id, claim, tenant, url }: ClaimedPush, fault: string): Promise<void> {
  const key = `subscription-${id}-${claim}`;
  await sendNotice(ctx, { tenant, key, kind: 'alert', text: disabledText(id, new URL(url).host, fault), urgent: true });
}
