// The Slack look-alike: `POST /slack/hook` (an incoming webhook), `POST /slack/api/chat.postMessage` (a bot), each post on the wire log, and `auth.test`.
// Source: docs.slack.dev, "Sending messages using incoming webhooks" "chat.postMessage" and "auth.test".

import type { Hono } from 'hono';
import { remember, type Core } from './core.ts';
import { dropSocket, hang, type Env, type Http } from './evolution-http.ts';
import { faultNumber } from './faults.ts';
import { textField, type Json, type WireSlack } from './types.ts';

export function addSlackRoutes(core: Core, app: Hono<Env>): void {
  app.post('/slack/hook', async (c) => {
    const { text } = await bodyOf(c);
    return await take(core, c, { via: 'webhook', channel: null, text: textField(text) }, () =>
      textField(text) === '' ? new Response('no_text', { status: 400 }) : new Response('ok'),
    );
  });
  app.post('/slack/api/auth.test', (c) =>
    c.req.header('authorization')?.startsWith('Bearer ')
      ? Response.json({ ok: true, team: 'simulator', user: 'julia', team_id: 'T1', user_id: 'U1', bot_id: 'B1' })
      : Response.json({ ok: false, error: 'not_authed' }),
  );
  app.post('/slack/api/chat.postMessage', async (c) => {
    const { text, channel } = await bodyOf(c);
    return await take(core, c, { via: 'bot', channel: textField(channel), text: textField(text) }, () => {
      if (!c.req.header('authorization')?.startsWith('Bearer ')) return Response.json({ ok: false, error: 'not_authed' });
      return Response.json({ ok: true, channel, ts: `${Date.now() / 1000}`, message: { text } });
    });
  });
}

/** Faults: `status` (status, retryAfter), `error` (error: a word of the Web API, in a 200), `hang`, `drop`. A post is on the log as taken only when it was answered well. */
async function take(core: Core, c: Http, post: Pick<WireSlack, 'via' | 'channel' | 'text'>, accept: () => Response): Promise<Response> {
  const fault = core.faults.take('slack', { text: post.text });
  const record = (taken: boolean): void => {
    remember(core.wire.slack, { at: Date.now(), ...post, taken });
    core.bus.emit({ type: 'slack', text: post.text, taken });
  };
  switch (fault?.kind) {
    case 'hang':
    case 'drop':
      record(false);
      return fault.kind === 'hang' ? await hang(core, c) : dropSocket(c);
    case 'status': {
      record(false);
      const status = faultNumber(fault, 'status', 500);
      const retryAfter = faultNumber(fault, 'retryAfter', 0);
      return new Response('no', { status, headers: retryAfter > 0 ? { 'retry-after': String(retryAfter) } : {} });
    }
    case 'error':
      record(false);
      return Response.json({ ok: false, error: fault['error'] });
    default: {
      const response = accept();
      record(response.ok);
      return response;
    }
  }
}

async function bodyOf(c: Http): Promise<Json> {
  const text = await c.req.text();
  return text === '' ? {} : (JSON.parse(text) as Json);
}
