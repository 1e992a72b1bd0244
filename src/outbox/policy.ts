/** What the configuration lets leave, as `claim_send` takes it. */
import type { Config } from '../config.ts';
import type { SendPolicy } from './calls.ts';

/** One lease of a send; renewed while the call runs, so a dead worker is noticed within it. Milliseconds. */
const SEND_LEASE_MS = 30_000;

/** What claim_send checks; made of the configuration once. */
export function sendPolicyOf(config: Config): SendPolicy {
  const { outbound, app, autonomous } = config;
  return {
    allowlist: outbound.allowlist === 'everyone' ? null : [...outbound.allowlist],
    capHour: outbound.maxPerHour,
    capDay: outbound.maxPerDay,
    replyCapHour: outbound.maxRepliesPerHour,
    contactCapHour: outbound.maxPerContactHour,
    contactCapWeek: outbound.maxPerContactWeek,
    campaignGapDays: outbound.campaignGapDays,
    maxUnanswered: outbound.maxUnanswered,
    kindCaps: outbound.maxPerKind,
    noticeCapHour: outbound.maxNoticesPerHour,
    strangersDay: outbound.maxStrangersPerDay,
    minReplyPercent: outbound.minReplyPercent,
    paceMinSeconds: outbound.intervalSeconds.min,
    paceMaxSeconds: outbound.intervalSeconds.max,
    hours: outbound.hours,
    tz: app.timeZone,
    pilot: autonomous.pilotMode,
    leaseMs: SEND_LEASE_MS,
    projectRef: config.supabaseProjectRef,
    replyMaxAgeMinutes: config.turn.maxMessageAgeMinutes,
  };
}
