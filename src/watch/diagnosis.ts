/** What a check found, as a person needs it: what is so, and the command or step that fixes it. Pure. */

import { mediaInWords, modelInWords, unheardInWords } from './health-words.ts';
import type { HealthRows } from './health-words.ts';
import { MODES } from '../process/liveness.ts';
import { faultOf } from '../claude/model-failure.ts';

export type Finding = {
  check:
    | 'variables'
    | 'database'
    | 'schema'
    | 'rights'
    | 'queue'
    | 'processes'
    | 'evolution'
    | 'gateway'
    | 'webhook'
    | 'claude'
    | 'media'
    | 'people'
    | 'clock'
    | 'disk'
    | 'switches'
    | 'agents'
    | 'live';
  /** `failed`: something does not work; `warning`: it works, and somebody should look; `skipped`: there is nothing to check. */
  status: 'ok' | 'warning' | 'failed' | 'skipped';
  says: string;
  mend: string | null;
};

type Found = Omit<Finding, 'check'>;

export const fine = (says: string): Found => ({ status: 'ok', says, mend: null });
export const skipped = (says: string): Found => ({ status: 'skipped', says, mend: null });
export const warning = (says: string, mend: string): Found => ({ status: 'warning', says, mend });
export const failed = (says: string, mend: string): Found => ({ status: 'failed', says, mend });

/** Beyond this the times of messages and of their webhooks' tokens no longer fit. Milliseconds. */
const SKEW_WARNING_MS = 10_000;
const SKEW_FAILED_MS = 120_000;
const CLOCK_MEND = 'set the clock of that machine by NTP: timedatectl set-ntp true';

/** How far a clock is off: what it said while we measured `sentMs` to `gotMs` on ours. Date headers are whole seconds. */
export function judgeClock(whose: string, theirsMs: number, sentMs: number, gotMs: number): Found {
  const offMs = Math.max(0, sentMs - (theirsMs + 1_000), theirsMs - gotMs);
  const says = `the clock of ${whose} differs by ${Math.round(offMs / 1000)} s from the one here`;
  if (offMs > SKEW_FAILED_MS) return failed(says, CLOCK_MEND);
  return offMs > SKEW_WARNING_MS ? warning(says, CLOCK_MEND) : fine(`the clock of ${whose} agrees with the one here`);
}

const GIGABYTE = 1_073_741_824;

export function judgeDisk(place: string, freeBytes: number, totalBytes: number): Found {
  const share = totalBytes === 0 ? 1 : freeBytes / totalBytes;
  const says = `${(freeBytes / GIGABYTE).toFixed(1)} GB of ${(totalBytes / GIGABYTE).toFixed(1)} GB are free at ${place}`;
  if (share >= 0.1) return fine(says);
  const mend = 'make room (docker system prune, old logs and backups) or enlarge the disk: du -xh / | sort -h | tail -20';
  return share < 0.03 ? failed(says, mend) : warning(says, mend);
}

/** Seconds since each process of a mode showed a sign of life, the youngest. */
export function judgeProcesses(seen: Readonly<Record<string, number>>, silentSeconds: number): Found {
  const missing = MODES.filter((mode) => (seen[mode] ?? Infinity) > silentSeconds);
  if (missing.length === 0) return fine('api, worker and scheduler show signs of life');
  return failed(
    `no ${missing.join(' and no ')} has shown a sign of life for ${silentSeconds} s`,
    `start what is missing: docker compose -f docker-compose.prod.yml up -d ${missing.join(' ')}; without containers ${missing.map((mode) => `RUN_MODE=${mode} npm start`).join(', ')}`,
  );
}

/** Whether people hear of what needs them. `unheard`: conversations that wait for a person whom nobody could tell. */
export function judgePeople(channels: readonly string[], unheard: number): Found {
  const set = 'set SLACK_WEBHOOK_URL, or GESTOR_WHATSAPP to the phone of whoever looks after the conversations';
  if (unheard > 0)
    return failed(
      unheardInWords(unheard),
      channels.length === 0 ? set : 'npm run admin -- handoff list; does the channel still take messages?',
    );
  if (channels.length === 0) return warning('nobody is told of handoffs and alerts: no channel is set', set);
  return fine(`handoffs and alerts are told by ${channels.join(' and ')}`);
}

/** Whether what contacts send beside text is read. `readers`: what is set up. */
export function judgeMedia(readers: { speech: boolean; model: boolean }, media: HealthRows['media']): Found {
  const says = mediaInWords(media);
  if (says !== null)
    return warning(says, 'npm run admin -- why ID says it of one message; what is tried again comes by itself for half an hour');
  if (!readers.model)
    return warning('pictures and documents of contacts are not read: there is no ANTHROPIC_API_KEY', 'set ANTHROPIC_API_KEY');
  return fine(readers.speech ? 'voice notes, pictures and PDF are read' : 'pictures and PDF are read; voice notes are not (STT_BASE_URL)');
}

/** What the workers say of the model, beside what it says to us now. */
export function judgeModel(breakers: HealthRows['breakers'], deferred: HealthRows['deferred']): Found | null {
  const says = modelInWords(breakers, deferred);
  if (says === null) return null;
  return deferred.reasons.some((reason) => faultOf(reason) === 'configuration')
    ? failed(says, 'correct ANTHROPIC_API_KEY, LLM_MODEL and LLM_MODEL_COMPLEX, or the account, and restart; who waits is answered then')
    : warning(says, 'nothing, the agent goes on by itself: npm run admin -- breaker list says when the model is tried next');
}

/** What all conversations of an agent begin with: too short for the cache of its model, and each is paid in full until it is long enough by itself. */
export function judgePrefix(agent: string, model: string, tokens: number, floor: number): Found {
  return warning(
    `all conversations of the agent ${agent} begin with the same ${tokens} tokens or so, and ${model} caches nothing below ${floor}`,
    'nothing is wrong, it costs more: name a model with a lower floor (docs/claude.md, "Models"), or tell the agent more',
  );
}

/** The worst of the findings decides. */
export function healthy(findings: readonly Finding[]): boolean {
  return findings.every((finding) => finding.status !== 'failed');
}

/** With whose rights the product reaches its database. One user for all is for trying it out; in production who takes over a process would have all of them. */
export function judgeRights(
  { role, superuser, owner, audit }: { role: string; superuser: boolean; owner: boolean; audit: boolean },
  production: boolean,
): Found {
  if (!superuser && !owner && !audit) return fine(`the product comes as ${role}, who owns nothing and cannot change the audit`);
  const says = `the product comes to its database as ${role}, ${superuser ? 'a superuser' : owner ? 'who owns its tables' : 'who may change the audit'}`;
  if (!production) return fine(`${says}: that is enough to try things out`);
  return warning(says, 'give it a user of its own: docs/security.md, "Rights in the database"');
}
