/** Slack, outgoing: one message to the channel, as the bot or through the incoming webhook. Expected failures are values. */
import { jsonOf } from '../words/json.ts';
import { shortened } from '../words/cut.ts';
import { z } from 'zod';
import type { Slack } from '../config/features.ts';
import type { Failure } from '../process/errors.ts';
import { failure } from '../process/errors.ts';
import { httpCall } from '../process/http-out.ts';

/** Slack answers within a second; who waits longer waits for nothing. Milliseconds. */
const TIMEOUT_MS = 10_000;
/** Longer texts are cut by Slack itself, in the middle of a word. Characters. */
const MAX_TEXT = 4_000;

/** `away`: try again; `refused`: this will never be accepted (a wrong token, a channel that is gone). */
export type SlackPost = { ok: true } | (Failure<'away' | 'refused'> & { retryAfterMs: number | null });

/**
 * Posts to the configured channel, or to `channel`. The bot goes first; the webhook is asked where the bot is refused.
 * Contract: never throws. May be repeated; Slack shows a repeated message twice.
 */
export async function postToSlack(slack: Slack, text: string, channel: string = slack.channel): Promise<SlackPost> {
  const words = escaped(shortened(text, MAX_TEXT));
  if (slack.bot === null) return viaWebhook(slack.webhookUrl ?? '', words);
  const said = await viaBot(slack.apiUrl, slack.bot.token, channel, words);
  return !said.ok && said.kind === 'refused' && slack.webhookUrl !== null ? viaWebhook(slack.webhookUrl, words) : said;
}

/** Answers to a refused call that say nothing about the call: worth another try. */
const PASSING = new Set(['ratelimited', 'internal_error', 'fatal_error', 'service_unavailable', 'request_timeout', 'team_added_to_org']);

async function viaBot(apiUrl: string, token: string, channel: string, text: string): Promise<SlackPost> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json; charset=utf-8' };
  return post(`${apiUrl}/chat.postMessage`, headers, { channel, text, unfurl_links: false }, (body) => {
    // The Web API answers 200 to everything and says in the body what it means.
    const answer = z.object({ ok: z.boolean(), error: z.string().optional() }).safeParse(jsonOf(body)).data;
    if (answer?.ok === true) return { ok: true };
    const word = answer?.error ?? 'unreadable';
    return trouble(answer === undefined || PASSING.has(word) ? 'away' : 'refused', word);
  });
}

function viaWebhook(url: string, text: string): Promise<SlackPost> {
  return post(url, { 'content-type': 'application/json; charset=utf-8' }, { text }, () => ({ ok: true }));
}

async function post(url: string, headers: Record<string, string>, body: object, read: (body: string) => SlackPost): Promise<SlackPost> {
  const answer = await httpCall({ method: 'POST', url, headers, body: JSON.stringify(body), timeoutMs: TIMEOUT_MS });
  if ('networkError' in answer)
    return { ...failure('away', { retryable: true, message: 'unreachable', cause: new Error(answer.code) }), retryAfterMs: null };
  const { status } = answer;
  if (status >= 200 && status < 300) return read(answer.text);
  if (status !== 429 && status < 500) return trouble('refused', `http_${status}`);
  const seconds = Number(answer.headers['retry-after']);
  return trouble('away', `http_${status}`, Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null);
}

/** `message` is one word: it is stored and shown. */
function trouble(kind: 'away' | 'refused', word: string, retryAfterMs: number | null = null): SlackPost {
  return { ...failure(kind, { retryable: kind === 'away', message: word.replaceAll(/[^a-z0-9_]/g, '').slice(0, 60) }), retryAfterMs };
}

/** The three characters that Slack reads as its own. */
function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
