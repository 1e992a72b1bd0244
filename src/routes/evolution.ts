/** POST /webhook/evolution[/suffix]: what Evolution posts. Contract: evolution.md in docs. */
import type { Context as Request } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import type { Config } from '../config.ts';
import { parseBounded } from '../words/json.ts';
import { createRateLimit } from '../process/rate-limit.ts';
import type { Env } from './http.ts';
import { receive } from '../inbox/receive.ts';
import type { Process } from './ops.ts';
import { DatabaseAway } from '../db/failures.ts';
import { openEnvelopes } from '../whatsapp/envelope.ts';
import { tooMany } from './auth.ts';
import { contextSoon } from './context-of.ts';
import { sourceOfRequest } from './source.ts';
import type { Routes } from './table.ts';
import { ownSecrets } from '../numbers/webhook-secrets.ts';
import type { OwnSecret } from '../numbers/webhook-secrets.ts';
import { webhookAuth } from './webhook-auth.ts';

/** Answers 200 only when the event is durable; 503 lets Evolution come again; 400 and 401 make it drop the event for good. */
export function evolutionRoutes(routes: Routes, process: Process): void {
  const { http } = process.config;
  const posterOf = webhookAuth(secretsOf(process.config), readerOf(process));
  const accepted = createRateLimit({ limit: http.webhookRateLimit, windowMs: WINDOW_MS });
  const refused = createRateLimit({ limit: http.webhookRefusedRateLimit, windowMs: WINDOW_MS });
  /** Those without a secret are counted apart: who shares an address with Evolution cannot use up its allowance. */
  const count = (c: Request<Env>, which: typeof accepted, who: string, variable: string): void => {
    const waitMs = which.take(`${who} ${sourceOfRequest(c, http.trustedProxyHops)}`, performance.now());
    if (waitMs === null) return;
    process.context?.events.webhookRefused('too_many', { correlation_id: c.get('requestId') });
    throw tooMany(c, waitMs, variable);
  };
  // Evolution glues the suffix on: an address that was given with a slash at its end gets `//messages-upsert`, and a 404 would drop the event.
  routes.post(['/webhook/evolution', '/webhook/evolution/*'], ABOUT, async (c) => {
    const id = c.get('requestId');
    const poster = await posterOf(c.req.header('authorization')).catch((error: unknown): never => {
      if (!(error instanceof DatabaseAway)) throw error;
      // A 401 would drop the event for good, and it may be a number's own secret.
      count(c, refused, 'default', 'WEBHOOK_REFUSED_RATE_LIMIT');
      process.context?.events.webhookRefused('unavailable', { correlation_id: id, error });
      throw new HTTPException(503, { message: 'nobody can say whose secret this is while the database is away; try again' });
    });
    if (poster === null) {
      count(c, refused, 'default', 'WEBHOOK_REFUSED_RATE_LIMIT');
      process.context?.events.webhookRefused('unauthorized', { correlation_id: id });
      throw new HTTPException(401, {
        message:
          'missing or wrong credentials: set EVOLUTION_WEBHOOK_SECRET, or the secret of the number, as jwt_key or as a Bearer header of the webhook',
      });
    }
    const who = 'instance' in poster ? `number ${poster.instance}` : 'default';
    count(c, accepted, who, 'WEBHOOK_RATE_LIMIT');
    const bound = { bytes: http.maxWebhookBytes, variable: 'MAX_WEBHOOK_MB' };
    using held = await routes.readBody(c, who, bound).catch(refusedFor(process, id));
    const body = parseBounded(held.text);
    if (body === undefined) {
      process.context?.events.webhookRefused('malformed', { correlation_id: id });
      throw new HTTPException(400, { message: 'the body is not JSON, or of far more values than a webhook has' });
    }
    const suffix = suffixOf(c.req.path);
    const opened = openEnvelopes(body, suffix);
    if (!opened.ok) {
      process.context?.events.webhookRefused('malformed', { correlation_id: id });
      throw new HTTPException(400, { message: opened.why });
    }
    const context = await contextSoon(process);
    if (context === null) throw new HTTPException(503, { message: 'starting; try again' });
    try {
      // What Evolution posts is one. Each of a list is kept by itself, so that what is kept of a webhook is of one number and one tenant.
      for (const envelope of opened.envelopes) await receive(context, { requestId: id, body: envelope, suffix, from: poster });
    } catch (error) {
      if (!(error instanceof DatabaseAway)) throw error;
      context.events.webhookRefused('unavailable', { correlation_id: id, error });
      throw new HTTPException(503, { message: 'nothing durable is there to keep this event; try again' });
    }
    return c.json({ status: 'ok' });
  });
}

/** The window of both limits. Milliseconds. */
const WINDOW_MS = 10_000;

const ABOUT = {
  tag: 'webhooks',
  access: 'webhook',
  summary: 'what Evolution posts',
  details:
    'The address of the webhook of Evolution, with or without webhookByEvents. Authorization: Bearer with EVOLUTION_WEBHOOK_SECRET itself, or with the token ' +
    'that Evolution makes when the secret is the jwt_key of the webhook; or the same with the own secret of a number. An event may come in a list, or as the body of a ' +
    'forwarder. What is put aside (groups, unknown events and shapes) leaves an entry with its reason (/admin/ignored/list); what names a number that is not registered, or ' +
    'another one than the secret is of, is set aside (/admin/instance/unknown).',
  body: z.record(z.string(), z.unknown()),
  example: {
    event: 'messages.upsert',
    instance: 'julia-prod',
    data: {
      key: { remoteJid: '5511912345678@s.whatsapp.net', fromMe: false, id: '3EB0C767D26A1B2E5F' },
      pushName: 'Maria',
      message: { conversation: 'Oi! Qual o horário de vocês?' },
      messageType: 'conversation',
      messageTimestamp: 1_793_000_000,
    },
  },
  answers: {
    200: { means: 'durable, or noise that is only counted (contacts, chats, presence)', schema: z.object({ status: z.literal('ok') }) },
    400: 'the body is not JSON, of far more values than a webhook has, or holds no event of Evolution; Evolution drops the event',
    401: 'wrong credentials; Evolution drops the event',
    408: 'the body did not arrive in time; Evolution comes again',
    413: 'larger than MAX_WEBHOOK_MB; Evolution comes again, and what it holds is found by asking Evolution (reconcile_inbox)',
    503: 'nothing durable is there to keep the event, or too much of other bodies is still arriving; Evolution comes again',
  },
} as const;

/** Counts why a body was not read. */
function refusedFor(process: Process, id: string): (error: unknown) => never {
  return (error) => {
    const status = error instanceof HTTPException ? error.status : 0;
    const reason = status === 413 ? 'too_large' : status === 503 ? 'crowded' : 'incomplete';
    process.context?.events.webhookRefused(reason, { correlation_id: id });
    throw error;
  };
}

function suffixOf(path: string): string | null {
  return /^\/webhook\/evolution\/+([^/]+)\/*$/.exec(path)?.[1] ?? null;
}

/** The secrets of numbers; without SECRETS_KEY none can be opened. */
function readerOf(process: Process): (() => Promise<OwnSecret[]>) | null {
  const { secrets } = process.config;
  if (secrets === null) return null;
  return async () => {
    const context = await contextSoon(process);
    if (context === null) throw new DatabaseAway('sealed_secrets', 'the process is starting');
    return ownSecrets(context.db, secrets);
  };
}

function secretsOf({ webhook }: Config): string[] {
  return [webhook.secret, webhook.secretPrevious].filter((secret) => secret !== null);
}
