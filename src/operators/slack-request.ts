/** What Slack posts, read: events and slash commands. Pure and total. Source: docs.slack.dev, "Events API" and "Slash commands". */
import { jsonOf } from '../words/json.ts';
import { z } from 'zod';

export type SlackRequest =
  /** Slack checks the address: the challenge goes back. */
  | { kind: 'challenge'; challenge: string }
  /** Somebody said something to the bot. `id` is the same when Slack posts it again. */
  | { kind: 'words'; id: string; user: string; channel: string; text: string }
  /** Nothing for us: other events, other bots, our own words. */
  | { kind: 'nothing' };

const challenge = z.object({ type: z.literal('url_verification'), challenge: z.string() });
const callback = z.object({
  type: z.literal('event_callback'),
  event_id: z.string().min(1).max(100),
  event: z.object({
    type: z.string(),
    channel_type: z.string().optional(),
    subtype: z.string().optional(),
    bot_id: z.string().optional(),
    user: z.string(),
    channel: z.string(),
    text: z.string(),
  }),
});
const slash = z.object({
  command: z.string(),
  text: z.string().default(''),
  user_id: z.string(),
  channel_id: z.string(),
  trigger_id: z.string(),
});

/** `form`: the body is a form, as slash commands are; else JSON. Null: neither. */
export function readSlackRequest(body: string, form: boolean): SlackRequest | null {
  if (form) {
    const found = slash.safeParse(Object.fromEntries(new URLSearchParams(body))).data;
    if (found === undefined) return { kind: 'nothing' };
    return {
      kind: 'words',
      id: `slash-${found.trigger_id}`.slice(0, 100),
      user: found.user_id,
      channel: found.channel_id,
      text: found.text,
    };
  }
  const value = jsonOf(body);
  if (value === undefined) return null;
  const asked = challenge.safeParse(value).data;
  if (asked !== undefined) return { kind: 'challenge', challenge: asked.challenge };
  const found = callback.safeParse(value).data;
  if (found === undefined) return { kind: 'nothing' };
  const { event_id: id, event } = found;
  // In a channel the bot is spoken to by its name; what is said to it alone needs none.
  const spokenTo = event.type === 'app_mention' || (event.type === 'message' && event.channel_type === 'im');
  if (!spokenTo || event.bot_id !== undefined || event.subtype !== undefined) return { kind: 'nothing' };
  return { kind: 'words', id, user: event.user, channel: event.channel, text: unescaped(event.text) };
}

/** The three characters that Slack escapes; `&amp;` last, so that nothing is unescaped twice. Mentions keep their brackets. */
function unescaped(text: string): string {
  return text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&');
}
