/**
 * The next message of a conversation's lane: claim it under every rule, show "typing", send it, record what became of it.
 *
 * An outbound row:
 *   queued      waits for its turn, its time, or a rule; says why and until when
 *   sending     claimed; written before the HTTP call, so a crash leaves a trace
 *   sent -> delivered -> read     by the HTTP answer, an echo, acks
 *   uncertain   it may have left: looked up at Evolution for at most two minutes; back to `queued` only when it is proven that it did not leave
 *   unproven    nobody could say: a person looks, and the lane goes on; an echo or a comparison may settle it yet
 *   failed | blocked | expired | cancelled | deduped     ended, with the reason
 * Two workers may call `sendNext` for one conversation at once; the claim lets one through.
 */
import type { Context } from '../context.ts';
import type { InboundEvent } from '../whatsapp/inbound-event.ts';
import { takesMessageId } from '../whatsapp/release.ts';
import { idAt } from '../words/json.ts';
import { jidVariants } from '../words/phone.ts';
import { absenceProves, FIRST_LOOK_MS, MAX_ATTEMPTS, matchEcho, nextLook, retryDelay, waitDelay } from './decide.ts';
import { faultOf } from '../whatsapp/send-fault.ts';
import { settleByConnectionState } from '../whatsapp/send-outcome.ts';
import type { SendOutcome } from '../whatsapp/send-outcome.ts';
import { persist } from '../db/persist.ts';
import { setInstanceState } from '../numbers/calls.ts';
import { claimSend, knownProviderIds, recordSend, renewSend, settleSend, timeOf } from './calls.ts';
import type { ClaimedSend, Look, SendClaim, SendRecord, UncertainSend } from './calls.ts';
import type { Evolution } from '../whatsapp/client.ts';
import { mark, span } from '../process/trace.ts';
import type { SpanOptions } from '../process/trace.ts';
import { parseFoundMessages } from '../whatsapp/payload.ts';

/** `next`: there may be more. `wait`: look again after `delayMs`. `idle`: nothing is there, or a pause whose end wakes the lane. */
export type SendStep = { kind: 'next' } | SendEnd;

export type SendEnd = { kind: 'wait'; delayMs: number } | { kind: 'idle' };

/** A wait that is over already must not become a loop. */
const LEAST_WAIT_MS = 250;
/** How often a running send renews its lease, which is three times as long. */
const RENEW_MS = 10_000;
/** All calls of one look: what takes longer has not answered. Milliseconds; shorter than the claim of a look in claim_send. */
const LOOK_MS = 6_000;
/** What a clock of Evolution's host may be off. */
const CLOCK_SKEW_MS = 120_000;

/**
 * Sends what is due in a lane, one after the other, from `first` on: what the commit of the answer has claimed already. Resolves when nothing is due.
 * Throws DatabaseAway when the database is unavailable: a send under way becomes uncertain when its lease runs out.
 */
export async function sendLane(ctx: Context, conversation: number, first?: SendClaim): Promise<SendEnd> {
  const { whatsapp } = ctx;
  if (whatsapp === null) return { kind: 'idle' }; // EVOLUTION_* is not set: the start has said so, and the rows wait
  let claim = first;
  for (;;) {
    const step = await take(ctx, whatsapp, conversation, claim ?? (await nextOf(ctx, conversation)), true);
    if (step.kind !== 'next') return step;
    claim = step.claim;
  }
}

/** Takes one step in a lane, and claims nothing beyond it. Throws as `sendLane` does. */
export async function sendNext(ctx: Context, conversation: number): Promise<SendStep> {
  const { whatsapp } = ctx;
  if (whatsapp === null) return { kind: 'idle' };
  return take(ctx, whatsapp, conversation, await nextOf(ctx, conversation), false);
}

function nextOf(ctx: Context, conversation: number): Promise<SendClaim> {
  return claimSend(ctx.db, conversation, ctx.sendPolicy, ctx.random());
}

/** A step, and what was claimed with it: what comes after it. */
type Step = { kind: 'next'; claim?: SendClaim } | SendEnd;

/** `goesOn`: the caller acts on what is claimed with the end of this send. */
async function take(ctx: Context, whatsapp: Evolution, conversation: number, claim: SendClaim, goesOn: boolean): Promise<Step> {
  switch (claim.action) {
    case 'idle':
      return { kind: 'idle' };
    case 'wait':
      if (claim.reason !== 'sending' && claim.reason !== 'uncertain' && claim.reason !== 'typing')
        ctx.events.sendHeld(claim.message_id, claim.reason, claim.until);
      return claim.wait_ms === null ? { kind: 'idle' } : { kind: 'wait', delayMs: Math.max(LEAST_WAIT_MS, claim.wait_ms) };
    case 'ended':
      ctx.events.sendEnded(claim.message_id, claim.status, claim.reason, claim.kind);
      return { kind: 'next' };
    case 'typing':
      if (!ctx.breakers.evolution(claim.instance).isOpen()) ctx.background.run('read and type', () => readAndType(whatsapp, claim));
      return { kind: 'wait', delayMs: claim.ms };
    case 'look':
      return lookUp(ctx, whatsapp, conversation, claim);
    case 'send':
      // A machine that slept between the claim and here has lost its lease: the row is being looked up by another worker, or is sent by now.
      if (performance.now() - claim.asked >= ctx.sendPolicy.leaseMs) return { kind: 'next' };
      mark('queue send', { kind: 'consumer', of: claim.correlation_id, from: claim.created_at });
      return span('send', spanOf(claim), () => send(ctx, whatsapp, claim, goesOn));
  }
}

function spanOf({ correlation_id: of, message_id, conversation_id, kind, attempts }: ClaimedSend): SpanOptions {
  return {
    kind: 'consumer',
    of,
    attributes: { 'julia.message_id': message_id, 'julia.conversation_id': conversation_id, 'julia.kind': kind, 'julia.attempt': attempts },
  };
}

/** What a person does before answering: blue ticks, then "typing". Not awaited by the lane, since Evolution blocks meanwhile; if it fails, the message still goes. */
async function readAndType(whatsapp: Evolution, claim: Extract<SendClaim, { action: 'typing' }>): Promise<void> {
  const { instance, number, read_jid: remoteJid, read_ids: ids } = claim;
  if (ids.length > 0) await whatsapp.markRead({ instance, messages: ids.map((id) => ({ id, remoteJid, fromMe: false })) });
  await whatsapp.sendPresence({ instance, number, presence: 'composing', delayMs: claim.ms });
}

async function send(ctx: Context, whatsapp: Evolution, claim: ClaimedSend, goesOn: boolean): Promise<Step> {
  ctx.events.sendClaimed(claim);
  const renewing = setInterval(() => ctx.background.run('renew send', () => renewSend(ctx.db, claim, ctx.sendPolicy.leaseMs)), RENEW_MS);
  try {
    const guarded = await ctx.breakers.evolution(claim.instance).run(() => call(ctx, whatsapp, claim), verdictOf);
    const record: SendRecord = guarded.open
      ? {
          kind: 'retry',
          class: 'breaker_open',
          detail: 'the circuit breaker of this number is open',
          delay_ms: guarded.retryInMs,
          counts: false,
        }
      : recordOf(guarded.value, claim, ctx.random());
    return await conclude(ctx, claim, record, goesOn);
  } finally {
    clearInterval(renewing);
  }
}

async function call(ctx: Context, whatsapp: Evolution, claim: ClaimedSend): Promise<SendOutcome> {
  const outcome =
    claim.type === 'reaction'
      ? await whatsapp.sendReaction({
          instance: claim.instance,
          key: { id: claim.quoted_id ?? '', remoteJid: claim.number, fromMe: false },
          emoji: claim.text,
        })
      : await whatsapp.sendText({ instance: claim.instance, number: claim.number, text: claim.text, messageId: claim.wire_id });
  if (outcome.kind !== 'not_sent' || outcome.class !== 'connection_closed') return outcome;
  const answer = await whatsapp.connectionState(claim.instance);
  if (answer.kind !== 'ok') return outcome;
  // Known at once: what waits for this number need not try, and the reconnect wakes it.
  const state = answer.state === 'not_loaded' ? 'close' : answer.state;
  if (state !== 'open') ctx.background.run('note state', () => setInstanceState(ctx.db, claim.instance, state));
  return settleByConnectionState(outcome, answer.state);
}

/** For the breaker of the number: why a call failed, null when it went well, undefined when it says nothing. */
function verdictOf(outcome: SendOutcome): string | null | undefined {
  const fault = faultOf(outcome);
  if (outcome.kind === 'sent' || fault === null || fault.breaker === 'success') return null;
  return fault.breaker === 'failure' ? outcome.class : undefined;
}

function recordOf(outcome: SendOutcome, claim: ClaimedSend, random: number): SendRecord {
  const fault = faultOf(outcome);
  const trouble = fault?.trouble ?? null;
  switch (outcome.kind) {
    case 'sent':
      return { kind: 'sent', provider_id: outcome.providerId, jid: outcome.jid === claim.number ? null : outcome.jid };
    case 'ambiguous':
      return { kind: 'uncertain', class: outcome.class, detail: outcome.detail, look_ms: FIRST_LOOK_MS, trouble };
    case 'not_sent': {
      const { class: failure, detail } = outcome;
      // A wrong key or a number that Evolution does not know is a mistake of the installation: somebody may be correcting it.
      if (!outcome.retryable && fault?.whose !== 'installation') return { kind: 'failed', class: failure, detail, trouble };
      // A number or an Evolution that is unavailable is no fault of the message: it waits without using its attempts up.
      const counts = fault?.attempt ?? true;
      if (counts && claim.attempts >= MAX_ATTEMPTS) return { kind: 'failed', class: `max_attempts_${failure}`, detail, trouble };
      const waitedMs = claim.now.getTime() - claim.created_at.getTime();
      return {
        kind: 'retry',
        class: failure,
        detail,
        delay_ms: counts ? retryDelay(claim.attempts, random) : waitDelay(waitedMs, random),
        counts,
        trouble,
      };
    }
  }
}

async function conclude(ctx: Context, claim: ClaimedSend, record: SendRecord, goesOn: boolean): Promise<Step> {
  const next = goesOn ? { policy: ctx.sendPolicy, random: ctx.random() } : null;
  const recorded = await persist(() => recordSend(ctx.db, claim, record, next));
  const onwards: Step = recorded.next === undefined ? { kind: 'next' } : { kind: 'next', claim: recorded.next };
  if (record.kind !== 'sent' && record.trouble) ctx.events.numberTroubled(claim.instance, record.trouble.reason);
  switch (record.kind) {
    case 'sent':
      ctx.events.messageSent(claim, timeOf(claim), claim.part <= 1);
      return recorded.more === false ? { kind: 'idle' } : onwards;
    case 'failed':
      ctx.events.sendFailed(claim, 'failed', { class: record.class, detail: record.detail, kind: claim.kind });
      return onwards;
    case 'retry':
      ctx.events.sendFailed(claim, 'retry', { class: record.class, detail: record.detail, kind: claim.kind });
      return { kind: 'wait', delayMs: record.delay_ms };
    case 'uncertain':
      ctx.events.sendFailed(claim, 'uncertain', { class: record.class, detail: record.detail, kind: claim.kind });
      return { kind: 'wait', delayMs: record.look_ms };
  }
}

/** Looks for an uncertain message at Evolution. Absence rarely proves anything, so it is looked for a few times and then shown to a person. */
async function lookUp(ctx: Context, whatsapp: Evolution, conversation: number, claim: UncertainSend): Promise<Step> {
  // A number whose breaker is open gets no calls but probes.
  const look: Look = ctx.breakers.evolution(claim.instance).isOpen()
    ? { kind: 'no_answer' }
    : await search(ctx, whatsapp, conversation, claim);
  const nextMs = nextLook({ ...claim, looks: claim.looks + 1 });
  const { status } = await settleSend(ctx.db, claim, look, nextMs);
  if (status === 'uncertain' && nextMs !== null) return { kind: 'wait', delayMs: nextMs };
  if (status === 'unproven') ctx.events.sendFailed(claim, 'unproven', { class: claim.reason ?? 'unproven' });
  return { kind: 'next' };
}

async function search(ctx: Context, whatsapp: Evolution, conversation: number, claim: UncertainSend): Promise<Look> {
  const signal = AbortSignal.timeout(LOOK_MS);
  if (await isThereById(whatsapp, claim, signal)) return { kind: 'found', providerId: claim.wire_id ?? '' };
  const from = new Date(claim.claimed_at.getTime() - CLOCK_SKEW_MS);
  const jids = new Set(claim.jids.flatMap(jidVariants));
  const answers = await Promise.all(
    [...jids].map((remoteJid) =>
      whatsapp.findMessages({ instance: claim.instance, remoteJid, fromMe: true, from, pageSize: 50 }, { signal }),
    ),
  );
  const own: InboundEvent[] = [];
  for (const answer of answers) {
    if (answer.kind !== 'ok') return { kind: 'no_answer' };
    own.push(...parseFoundMessages(claim.instance, answer.records, new Date()));
  }
  const candidates = matchEcho(claim, own, from);
  const taken = await knownProviderIds(ctx.db, claim.instance, candidates, conversation);
  const providerId = candidates.find((id) => !taken.has(id));
  if (providerId !== undefined) return { kind: 'found', providerId };
  return { kind: 'absent', proof: absenceProves(claim) && (await isStored(whatsapp, claim, jids, signal)) };
}

/** Asked by the id that the send was to have: one look, no words to compare. That it is not there says nothing: the release may have been another one then. */
async function isThereById(whatsapp: Evolution, claim: UncertainSend, signal: AbortSignal): Promise<boolean> {
  const { instance, wire_id: id, gateway_version: version } = claim;
  if (id === null || !takesMessageId(version)) return false;
  const found = await whatsapp.findMessages({ instance, id, fromMe: true, pageSize: 1 }, { signal });
  return found.kind === 'ok' && found.records.some((record) => idAt(record, 'key', 'id') === id);
}

/**
 * Whether Evolution keeps the messages of this chat under the addresses that were searched. If it does not (DATABASE_SAVE_DATA_NEW_MESSAGE off, a new database, an
 * address that we do not know), finding nothing proves nothing.
 */
async function isStored(
  whatsapp: Evolution,
  { instance, witness }: UncertainSend,
  jids: Set<string>,
  signal: AbortSignal,
): Promise<boolean> {
  if (witness === null) return false;
  const found = await whatsapp.findMessages({ instance, id: witness, pageSize: 1 }, { signal });
  return (
    found.kind === 'ok' &&
    parseFoundMessages(instance, found.records, new Date()).some((event) => event.kind === 'message' && jids.has(event.jid))
  );
}
