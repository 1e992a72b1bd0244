/**
 * Business events: one function each = one log line and one metric. Labels have few values; a phone number or a text is never one.
 * Contract: no function here throws.
 */
import type { Transition } from './breakers/shell.ts';
import type { RecordedEvent } from './inbox/calls.ts';
import type { ClaimedNotice, NoticeOutcome } from './notices/calls.ts';
import type { ClaimedSend } from './outbox/calls.ts';
import type { ModelCallRecord } from './claude/call-record.ts';
import type { AgentVersion, TurnClaim } from './turns/calls.ts';
import type { Logger } from './process/log.ts';
import { createMetrics } from './metrics.ts';

export type Events = ReturnType<typeof createEvents>;

export function createEvents(log: Logger, mode: string) {
  const metrics = createMetrics(mode);
  const { tenantLabel } = metrics;
  const countCall = (tenant: string, call: ModelCallRecord): void => {
    metrics.tokens.inc({ tenant, type: 'input' }, call.input_tokens);
    metrics.tokens.inc({ tenant, type: 'output' }, call.output_tokens);
    metrics.thinking.inc({ tenant }, call.thinking_tokens);
    metrics.tokens.inc({ tenant, type: 'cache_read' }, call.cache_read_tokens);
    metrics.tokens.inc({ tenant, type: 'cache_write' }, call.cache_write_tokens);
    if (call.cost_usd === null) metrics.unpriced.inc({ model: call.model });
    else metrics.cost.inc({ tenant }, call.cost_usd);
    if (call.outcome === 'refusal') metrics.refusals.inc({ model: call.model, category: call.detail ?? 'none' });
    metrics.modelCalls.observe({ model: call.model, outcome: call.outcome }, call.ms / 1000);
    metrics.modelCache(call);
    if (call.cache_miss !== null) metrics.cacheMisses.inc({ model: call.model, reason: call.cache_miss });
  };
  /** What anybody can forge by a hole of the gateway is counted apart: see docs/security.md. */
  const ignored = (reason: string): void => {
    const forged = reason.startsWith('forged_');
    metrics.webhooks.inc({ outcome: forged ? 'forged' : 'ignored' });
    metrics.ignored.inc({ reason });
    if (forged) log.warning({ reason }, 'A message that anybody can forge was put aside');
  };

  return {
    registry: metrics.registry,

    webhookRecorded(requestId: string, tenant: string, results: RecordedEvent[]): void {
      for (const result of results) {
        if (result.outcome === 'ignored') {
          ignored(result.reason ?? '');
          log.debug({ request_id: requestId, reasons: [result.reason] }, 'Webhook ignored');
          continue;
        }
        metrics.webhooks.inc({ outcome: result.outcome });
        if (result.outcome === 'stored') metrics.received.inc({ tenant: tenantLabel(tenant) });
        const fields = {
          request_id: requestId,
          // News of a message (an ack, an echo) belong to what that message came of.
          correlation_id: result.correlation_id ?? requestId,
          outcome: result.outcome,
          conversa_id: result.conversation_id,
          message_id: result.message_id,
        };
        if (result.outcome === 'takeover') log.info(fields, 'A person answers on the phone');
        else log.info(fields, 'Webhook recorded');
      }
    },

    webhookIgnored(reasons: string[]): void {
      for (const reason of reasons) ignored(reason);
      log.debug({ reasons }, 'Webhook ignored');
    },

    webhookKept(requestId: string): void {
      metrics.webhooks.inc({ outcome: 'kept' });
      log.warning({ correlation_id: requestId }, 'Database away: webhook kept in the queue');
    },

    keptWebhookRefused(why: 'forged' | 'old'): void {
      metrics.webhooks.inc({ outcome: why === 'old' ? 'refused_old' : 'refused' });
      log.error(
        {},
        why === 'old'
          ? 'A webhook in the queue is refused: it is older than 48 hours; what it said is found by asking Evolution, if it is missing'
          : 'A webhook in the queue is refused: somebody else wrote it, or SECRETS_KEY differs between the processes',
      );
    },

    reconciled(instance: string, missing: number): void {
      metrics.webhooks.inc({ outcome: 'reconciled' }, missing);
      if (missing > 0) log.warning({ instance, count: missing }, 'Found messages whose webhook never came');
    },

    restoreSettled(instance: string): void {
      log.warning({ instance }, 'Restored number was compared with WhatsApp and goes on');
    },

    webhookRefused(
      reason: 'unauthorized' | 'malformed' | 'too_large' | 'incomplete' | 'crowded' | 'too_many' | 'unavailable',
      fields: Record<string, unknown>,
    ): void {
      metrics.webhooks.inc({ outcome: reason });
      // A flood must not become one of lines.
      if (reason === 'too_many' || reason === 'crowded') log.debug({ reason, ...fields }, 'Webhook refused');
      else log.warning({ reason, ...fields }, 'Webhook refused');
    },

    requestServed(route: string, status: number, seconds: number): void {
      metrics.requests.observe({ route, status: String(status) }, seconds);
    },

    turnWoken(conversation: number, delayMs: number): void {
      log.debug({ conversa_id: conversation, delay_ms: delayMs }, 'Turn woken');
    },

    turnClaimed(claim: TurnClaim): void {
      log.info({ queue: 'turn', ...turnIds(claim), messages: claim.pending.length }, 'Processing message...');
    },

    versionUnusable(claim: TurnClaim, { id, slug, version }: AgentVersion, faults: readonly { code: string }[]): void {
      const codes = faults.map(({ code }) => code);
      log.error({ ...turnIds(claim), agent_id: id, agent: slug, version, faults: codes }, 'Version of the agent not used');
    },

    answerChecked(claim: TurnClaim, verdict: string): void {
      const [outcome = 'ok', rules = ''] = verdict.split(':');
      for (const rule of rules === '' ? ['none'] : rules.split(',')) metrics.answerChecks.inc({ outcome, rule });
      if (outcome === 'again' || outcome === 'refused') log.warning({ ...turnIds(claim), verdict }, 'Answer had faults');
    },

    turnPutOff(conversation: number, reason: string): void {
      log.info({ conversation_id: conversation, reason }, 'Turn put off');
    },

    turnEnded(claim: TurnClaim, outcome: string, fields: { reason?: string | null; model?: string | null; parts?: number }): void {
      metrics.turns.inc({ tenant: tenantLabel(claim.tenant_id), outcome });
      log.info({ ...turnIds(claim), outcome, ...fields }, 'Turn ended');
    },

    /** The agent stops answering somebody who costs money and is no customer; once, what comes then is not told again. */
    contactQuieted(claim: TurnClaim, reason: string, environment: string): void {
      const hint =
        environment === 'production'
          ? 'handoff return ID lets the agent answer again'
          : 'a script that writes like a machine is treated as one: write slower and in different words, or set ABUSE_GATES=false';
      log.warning({ ...turnIds(claim), reason, hint }, 'The agent stops answering: the other side writes like a machine or too much');
    },

    modelUsed(claim: TurnClaim, call: ModelCallRecord): void {
      countCall(tenantLabel(claim.tenant_id), call);
      log.info({ ...turnIds(claim), ...call }, 'Model called');
    },

    /** A picture or a document was read for its description. */
    mediaDescribed(media: { tenant_id: string; message_id: number }, call: ModelCallRecord): void {
      countCall(tenantLabel(media.tenant_id), call);
      log.info({ message_id: media.message_id, ...call }, 'Model called for a file');
    },

    /** One paid call of the speech service. `length`: of the audio, in seconds. */
    speechHeard(outcome: string, seconds: number, length: number | null): void {
      metrics.speech.observe({ outcome }, seconds);
      log.info({ outcome, ms: Math.round(seconds * 1000), audio_seconds: length }, 'Speech service called');
    },

    mediaUnread(message: number, { why, detail, retryMs }: { why: string; detail: string; retryMs: number | null }): void {
      metrics.mediaUnread.inc({ reason: why, again: String(retryMs !== null) });
      const fields = { message_id: message, reason: why, detail, retry_ms: retryMs };
      log.warning(fields, retryMs === null ? 'Media of a message was not read' : 'Media of a message is not read yet');
    },

    sendClaimed(send: ClaimedSend): void {
      log.info({ queue: 'send', ...sendIds(send), attempt: send.attempts }, 'Processing message...');
    },

    /** `now` by the database's clock, as what the send says of its times. `firstOfAnswer`: this send ends the wait of the contact. */
    messageSent(send: ClaimedSend, now: Date, firstOfAnswer: boolean): void {
      metrics.sends.inc({ outcome: 'sent', kind: send.kind });
      const latencyMs = send.inbound_at === null ? null : now.getTime() - send.inbound_at.getTime();
      if (latencyMs !== null && firstOfAnswer) metrics.answered.observe(latencyMs / 1000);
      log.info({ ...sendIds(send), latencia_ms: latencyMs, latency_ms: latencyMs }, 'Message sent');
    },

    sendFailed(
      send: { message_id: number; correlation_id: string | null; text: string },
      outcome: 'retry' | 'failed' | 'uncertain' | 'unproven',
      fields: { class: string; detail?: string; kind?: string },
    ): void {
      metrics.sends.inc({ outcome, kind: fields.kind ?? 'unknown' });
      const detail = fields.detail === undefined ? undefined : withoutWords(fields.detail, send.text);
      const context = { message_id: send.message_id, correlation_id: send.correlation_id, outcome, ...fields, detail };
      if (outcome === 'retry') log.info(context, 'Message not sent, retrying');
      else log.warning(context, outcome === 'failed' ? 'Message not sent' : 'Message may have been sent');
    },

    sendEnded(messageId: number, status: string, reason: string, kind: string): void {
      metrics.sends.inc({ outcome: status, kind });
      log.info({ message_id: messageId, outcome: status, reason }, 'Message not sent');
    },

    sendHeld(messageId: number, reason: string, until: Date | null): void {
      log.info({ message_id: messageId, reason, goes_at: until?.toISOString() ?? null }, 'Message held');
    },

    breakerChanged(transition: Transition): void {
      metrics.breakers.set({ breaker: transition.breaker, number: transition.instance ?? '' }, transition.state === 'closed' ? 0 : 1);
      const fields = { breaker: transition.breaker, instance: transition.instance, state: transition.state, reason: transition.reason };
      if (transition.state === 'open') log.error(fields, 'Circuit breaker opened');
      else log.info(fields, 'Circuit breaker changed');
    },

    /** Its proactive messages rest for a while. */
    numberTroubled(instance: string, reason: string): void {
      metrics.numbers.inc({ reason });
      log.warning({ instance, reason }, 'A number is not well');
    },

    numberRestarted(instance: string, reason: string, restarts: number, failure: string | null): void {
      if (failure === null) log.warning({ instance, reason, restarts }, 'A number was restarted');
      else log.warning({ instance, reason, restarts, failure }, 'A number could not be restarted');
    },

    numbersListened(deaf: string[], hears: string[]): void {
      for (const instance of deaf) log.warning({ instance }, 'A number says that it is connected and hears nothing');
      for (const instance of hears) log.info({ instance }, 'A number hears again');
    },

    gatewayChanged(there: boolean): void {
      if (there) log.info({}, 'Evolution answers again');
      else log.warning({}, 'Evolution does not answer');
    },

    numbersReleased(instances: string[]): void {
      for (const instance of instances) log.info({ instance }, 'A number may send proactive messages again');
    },

    jobEnded(job: string, outcome: 'done' | 'failed' | 'skipped', fields: { ms: number; count: number; error: string | null }): void {
      metrics.jobs.inc({ name: job, outcome });
      if (outcome !== 'failed') log.info({ job, outcome, ...fields }, `Job executed: ${job}`);
      else log.error({ job, ...fields }, `Job failed: ${fields.error}`);
    },

    alertChanged(alert: string, status: 'firing' | 'ok'): void {
      metrics.alerts.inc({ alert, status });
      if (status === 'firing') log.warning({ alert }, 'Alert fired');
      else log.info({ alert }, 'Alert is over');
    },

    /** `news`: this trouble was not told before; an ERROR a minute would help nobody. */
    noticeDelivered(notice: ClaimedNotice, outcome: NoticeOutcome, news: boolean): void {
      const { status, channel = null, error } = outcome;
      const changed = outcome.counts === true || status !== 'handed';
      if (changed) metrics.notices.inc({ kind: notice.kind, outcome: status, channel: channel ?? '' });
      const fields = { notice_id: notice.id, kind: notice.kind, urgent: notice.urgent, channel, outcome: status, reason: error };
      if (status === 'failed') log.error(fields, 'Notice reached nobody');
      else if (error !== null && news) log.error(fields, 'Notice not delivered, retrying');
      else if (changed) log.info(fields, status === 'pending' ? 'Notice not delivered yet' : 'Notice delivered');
    },

    /** A tool's call outside is over, or waits for its next try. */
    toolWriteEnded(
      write: { id: number; conversation_id: number; definition: { name: string } },
      end: { status: string; reason: string | null },
    ): void {
      metrics.toolWrites.inc({ outcome: end.status });
      const fields = {
        write_id: write.id,
        conversa_id: write.conversation_id,
        tool: write.definition.name,
        outcome: end.status,
        reason: end.reason,
      };
      if (end.status === 'uncertain' || end.status === 'failed') log.error(fields, 'Tool write ended');
      else log.info(fields, 'Tool write ended');
    },

    /** People heard that a conversation needs them. */
    handoffTold(handoff: { id: number; conversation_id: number; step: string; controls: boolean; created_at: Date }): void {
      metrics.handoffs.inc({ step: handoff.step });
      const waitedMs = Date.now() - handoff.created_at.getTime();
      const { id, conversation_id, step, controls } = handoff;
      log.info({ handoff_id: id, conversa_id: conversation_id, step, controls, waited_ms: waitedMs }, 'People told of a handoff');
    },

    handoffReturned(conversation: number, by: string): void {
      metrics.handoffs.inc({ step: 'returned' });
      log.info({ conversa_id: conversation, by }, 'Conversation given back to the agent');
    },

    /** `command` is one of the admin commands, `help`, `confirm` or `edited`. */
    operatorAnswered(command: string, outcome: 'done' | 'refused' | 'asked' | 'late' | 'locked'): void {
      metrics.operators.inc({ command, outcome });
      log.info({ command, outcome }, 'Command of the manager answered');
    },

    swept(what: 'turns' | 'sends' | 'deferred' | 'spend', count: number): void {
      if (count === 0) return;
      if (what === 'turns') log.warning({ what, count }, 'Found work that the queue had forgotten');
      // what has been due for a moment and is on its way anyway is among them
      else log.info({ what, count }, what === 'sends' ? 'Woke lanes with something due' : 'Woke conversations that wait for the model');
    },
  };
}

/** What Evolution says may quote what it was given: words of the message, of four letters and more, are taken out. */
function withoutWords(detail: string, text: string): string {
  let told = detail;
  for (const word of new Set(text.match(/[\p{L}\p{N}]{4,}/gu))) told = told.replaceAll(word, '…');
  return told;
}

/** `medico_id` is what the first users call a contact; their dashboards read it. */
function turnIds(claim: TurnClaim): Record<string, unknown> {
  return {
    correlation_id: claim.correlation_id,
    conversa_id: claim.conversation_id,
    medico_id: claim.contact.id,
    contact_id: claim.contact.id,
    turn_id: claim.turn_id,
  };
}

function sendIds(send: ClaimedSend): Record<string, unknown> {
  return {
    correlation_id: send.correlation_id,
    conversa_id: send.conversation_id,
    medico_id: send.contact_id,
    contact_id: send.contact_id,
    turn_id: send.turn_id,
    message_id: send.message_id,
  };
}
