// The product behind the chat page, where its address is known (./scripts/dev): who answers in a conversation, and giving it back to the agent.

import type { Hono } from 'hono';
import { z } from 'zod';
import type { Core } from './core.ts';
import type { Env } from './evolution-http.ts';

/** A product that does not answer is shown as such. Milliseconds. */
const ANSWER_MS = 3_000;

/** Of `why`: what the page shows. Null in `silenced_by` and `quiet_until`: the agent answers. */
const told = z.object({
  conversation: z.object({
    id: z.number(),
    silenced_by: z.string().nullable(),
    takeover_until: z.string().nullable(),
    quiet_until: z.string().nullable(),
  }),
});

export function addProductRoutes(core: Core, app: Hono<Env>): void {
  // By a message at WhatsApp, which is all that the page knows. Null: the product has not stored it yet, or is not there.
  app.get('/sim/product/conversation/:message', async (c) => {
    const answer = await ask(core, `/admin/why?limit=1&id=${encodeURIComponent(c.req.param('message'))}`);
    const parsed = told.safeParse(answer?.ok === true ? await answer.json() : null);
    return c.json(parsed.success ? parsed.data.conversation : null);
  });
  app.post('/sim/product/return/:conversation', async (c) => {
    const answer = await ask(core, '/admin/handoff/return', { id: Number(c.req.param('conversation')), reason: 'chat page' });
    if (answer?.ok !== true) return c.json({ error: `o produto não devolveu a conversa (${answer?.status ?? 'sem resposta'})` }, 502);
    return c.json({ ok: true });
  });
}

async function ask({ product }: Core, path: string, body?: object): Promise<Response | null> {
  if (product === null) return null;
  const headers = { authorization: `Bearer ${product.token}`, 'content-type': 'application/json' };
  return fetch(`${product.url}${path}`, {
    headers,
    signal: AbortSignal.timeout(ANSWER_MS),
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  }).catch(() => null);
}
