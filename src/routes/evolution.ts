/** POST /webhook/evolution[/suffix]: what Evolution posts. Contract: evolution.md in docs. */
import type { Hono } from 'hono';
import { HTTPException } from 'hono/http-exception';
import type { Config } from '../config.ts';
import type { Env } from '../http.ts';
import { receive } from '../inbound.ts';
import type { Process } from '../ops.ts';
import { DatabaseAway } from '../db/failures.ts';
import { webhookAuth } from './webhook-auth.ts';

/** Answers 200 only when the event is durable; 503 lets Evolution come again; 400 and 401 make it drop the event for good. */
export function evolutionRoutes(app: Hono<Env>, process: Process): void {
  const allowed = webhookAuth(secretsOf(process.config));
  // Evolution glues the suffix on: an address that was given with a slash at its end gets `//messages-upsert`, and a 404 would drop the event.
  app.on('POST', ['/webhook/evolution', '/webhook/evolution/*'], async (c) => {
    const id = c.get('requestId');
    const { context } = process;
    if (!(await allowed(c.req.header('authorization')))) {
      context?.events.webhookRefused('unauthorized', { correlation_id: id });
      throw new HTTPException(401, {
        message: 'missing or wrong credentials: set EVOLUTION_WEBHOOK_SECRET as jwt_key or as a Bearer header of the webhook',
      });
    }
    const body = parseJson(await c.req.text());
    if (body === undefined) {
      context?.events.webhookRefused('malformed', { correlation_id: id });
      throw new HTTPException(400, { message: 'the body is not JSON' });
    }
    if (context === null) throw new HTTPException(503, { message: 'starting; try again' });
    try {
      await receive(context, { requestId: id, body, suffix: suffixOf(c.req.path) });
    } catch (error) {
      if (!(error instanceof DatabaseAway)) throw error;
      context.events.webhookRefused('unavailable', { correlation_id: id, error });
      throw new HTTPException(503, { message: 'nothing durable is there to keep this event; try again' });
    }
    return c.json({ status: 'ok' });
  });
}

function suffixOf(path: string): string | null {
  return /^\/webhook\/evolution\/+([^/]+)\/*$/.exec(path)?.[1] ?? null;
}

function secretsOf({ webhook }: Config): string[] {
  return [webhook.secret, webhook.secretPrevious].filter((secret) => secret !== null);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
