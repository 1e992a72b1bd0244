/** Which way a notice takes, and how long it is tried. Pure. */

/** Slack is tried so often before the manager's WhatsApp is asked; an urgent notice has less patience. */
const SLACK_TRIES = { urgent: 2, other: 5 };
/** What could not be told for so long is old news. Seconds. */
export const TOO_OLD_SECONDS = 24 * 60 * 60;

/** How Slack took it: not configured, refused for good (a wrong address or token), or unavailable for now. */
export type SlackTrouble = 'not_there' | 'refused' | 'away';

/** Whether the manager is written to in this attempt. `attempts` is the number of those that failed before. */
export function asksManager(notice: { attempts: number; urgent: boolean }, slack: SlackTrouble): boolean {
  return slack !== 'away' || notice.attempts + 1 >= (notice.urgent ? SLACK_TRIES.urgent : SLACK_TRIES.other);
}

/** True when nobody needs to hear it any more. */
export function isOldNews(notice: { age_seconds: number }): boolean {
  return notice.age_seconds > TOO_OLD_SECONDS;
}

/** Milliseconds to the next attempt: 5 s, 15 s, 45 s ... at most 10 minutes, with a quarter of jitter. `attempts` are those that failed before this one. */
export function noticeDelay(attempts: number, random: number): number {
  return Math.round(Math.min(600_000, 5_000 * 3 ** Math.min(10, attempts)) * (1 + random / 4));
}

/** What the state of the WhatsApp message says of the notice that it carries. */
export function carriedNotice(messageStatus: string): 'arrived' | 'on_its_way' | 'lost' {
  if (messageStatus === 'sent' || messageStatus === 'delivered' || messageStatus === 'read') return 'arrived';
  if (messageStatus === 'queued' || messageStatus === 'sending' || messageStatus === 'uncertain') return 'on_its_way';
  return 'lost';
}
