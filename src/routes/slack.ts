/** POST /webhook/slack: events and slash commands of the Slack app. Answers at once; the work follows in the background. */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { readSlackRequest } from '../operators/slack-request.ts';
import { DatabaseAway } from '../db/failures.ts';
import { takeSlackEvent } from '../operators/calls.ts';
import type { Process } from './ops.ts';
import { answerInSlack } from '../operators/slack-commands.ts';
import { within } from '../process/wait.ts';
import { unprovenBodies } from './body.ts';
import { contextOf } from './context-of.ts';
import type { Routes } from './table.ts';

/** Older requests may be copies that somebody kept. Seconds. */
const MAX_AGE_SECONDS = 300;
/** Slack waits 3 s, and then posts the event again. Milliseconds. */
const ANSWER_MS = 2_000;

export function slackRoutes(routes: Routes, process: Process): void {
  const { slack } = process.config;
  const bot = slack?.bot ?? null;
  const readBody = unprovenBodies(process.config.http.trustedProxyHops);
  routes.post('/webhook/slack', ABOUT, async (c) => {
    const [timestamp, signature] = [c.req.header('x-slack-request-timestamp'), c.req.header('x-slack-signature')];
    // The signature is over the body: what can be said without it is said first.
    if (slack === null || bot === null || !mayBeSigned(timestamp, signature, Date.now())) throw unsigned();
    const body = await readBody(c);
    if (!isSigned(bot.signingSecret, timestamp, signature, body)) throw unsigned();
    const isForm = (c.req.header('content-type') ?? '').startsWith('application/x-www-form-urlencoded');
    const request = readSlackRequest(body, isForm);
    if (request === null) throw new HTTPException(400, { message: 'the body is not JSON' });
    switch (request.kind) {
      case 'challenge':
        return c.json({ challenge: request.challenge });
      case 'nothing':
        return c.json({ ok: true });
      case 'words': {
        const ctx = contextOf(process);
        // Taken is carried out, also when that is known too late for this request: Slack's next post of it finds it taken.
        const taking = takeSlackEvent(ctx.db, request.id).then((taken) => {
          if (taken) ctx.background.run('command from Slack', () => answerInSlack(ctx, { ...slack, bot }, request));
        });
        await within(ANSWER_MS, taking).catch((error: unknown) => {
          throw error instanceof DatabaseAway ? error : new DatabaseAway('take_slack_event', 'no answer in time', { cause: error });
        });
        // Only the person who typed a slash command sees this.
        return isForm ? c.json({ response_type: 'ephemeral', text: 'Recebido.' }) : c.json({ ok: true });
      }
    }
  });
}

/** Slack's v0 signature over the raw body, in constant time. Exported for the tests, which sign. Source: docs.slack.dev, "Verifying requests from Slack". */
export function slackSignature(secret: string, timestamp: string, body: string): string {
  return `v0=${createHmac('sha256', secret).update(`v0:${timestamp}:${body}`).digest('hex')}`;
}

/** The headers have the form of a signature that is not old. */
function mayBeSigned(timestamp = '', signature = '', nowMs: number): boolean {
  const recent = /^\d{1,12}$/.test(timestamp) && Math.abs(nowMs / 1000 - Number(timestamp)) <= MAX_AGE_SECONDS;
  return recent && /^v0=[0-9a-f]{64}$/.test(signature);
}

function isSigned(secret: string, timestamp = '', signature = '', body: string): boolean {
  const expected = Buffer.from(slackSignature(secret, timestamp, body));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected);
}

function unsigned(): HTTPException {
  return new HTTPException(401, { message: 'missing, wrong or old signature: SLACK_SIGNING_SECRET must be that of the Slack app' });
}

const ABOUT = {
  tag: 'webhooks',
  access: 'webhook',
  summary: 'what is said to the bot in Slack',
  details:
    'Events (`app_mention`, `message.im`) and slash commands. Members of SLACK_ALLOWED_USERS give commands; the answer comes into the channel.',
  headers: z.object({ 'x-slack-request-timestamp': z.string(), 'x-slack-signature': z.string() }),
  body: z.looseObject({ type: z.string() }),
  example: { type: 'event_callback', event: { type: 'app_mention', user: 'U02ABCDEF', channel: 'C012345', text: '<@U0BOT> status' } },
  answers: {
    200: { means: 'taken, or nothing for us', schema: z.record(z.string(), z.unknown()) },
    400: 'the body is not JSON',
    401: 'missing, wrong or old signature',
    413: 'larger than 512 kB',
    429: 'too many unfinished requests from there: Slack posts it again',
    503: 'the database is away: Slack posts it again',
  },
} as const;
