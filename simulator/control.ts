// The control API /sim/* and the chat page's files: what the page, the tests, the bench and the chaos runs drive.
// Every body is checked here, so that a typo in a test is a 400 and not a silent nothing.

import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import type { Context, Hono } from 'hono';
import { z } from 'zod';
import { setConnection, setTrouble } from './connection.ts';
import type { Core } from './core.ts';
import type { Env } from './evolution-http.ts';
import { editMessage, inbound, ownerMessage, pickInstance, reactTo, readChat, removeMessage, typing, vote } from './handset.ts';
import { EVOLUTION_VERSIONS, rulesOf } from './version.ts';
import type { Contact, FaultInput, Json, ScriptTurn } from './types.ts';
import { addProductRoutes } from './product.ts';
import { rawWebhook, repeatWebhook } from './webhooks.ts';
import { resetCore } from './reset.ts';

const PAGE_DIRECTORY = join(import.meta.dirname, 'page');
const MIMETYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
};

const addressing = z.enum(['pn', 'lid', 'lid-hidden']);
const contactBody = z.object({
  name: z.string().min(1),
  phone: z.string().optional(),
  lid: z.string().optional(),
  addressing: addressing.optional(),
  refuses: z.array(z.enum(['pn', 'lid'])).optional(),
});
const inboundBody = z.object({
  instance: z.string().optional(),
  contactId: z.string(),
  text: z.string().optional(),
  media: z
    .object({
      kind: z.enum(['image', 'audio', 'video', 'document', 'sticker']),
      base64: z.string().optional(),
      mimetype: z.string().optional(),
      fileName: z.string().optional(),
      seconds: z.number().optional(),
      caption: z.string().optional(),
      cover: z.string().optional(),
    })
    .optional(),
  location: z
    .object({ latitude: z.number(), longitude: z.number(), name: z.string().exactOptional(), address: z.string().exactOptional() })
    .optional(),
  vcard: z.union([z.string(), z.object({ name: z.string(), phone: z.string() })]).optional(),
  quotedId: z.string().optional(),
  ageMs: z.number().optional(),
  id: z.string().optional(),
});
const chatBody = z.object({ instance: z.string().optional(), contactId: z.string() });
const faultBody = z.looseObject({
  target: z.enum([
    'send',
    'presence',
    'find',
    'state',
    'instance',
    'webhook',
    'claude',
    'slack',
    'speech',
    'voyage',
    'google',
    'orders',
    'media',
  ]),
  kind: z.string(),
  times: z.number().int().positive().nullable().optional(),
  forMs: z.number().positive().optional(),
  match: z
    .object({ text: z.string().optional(), instance: z.string().optional(), event: z.string().optional(), model: z.string().optional() })
    .optional(),
});
const scriptBody = z.object({
  turns: z.array(
    z.object({
      match: z.string().optional(),
      text: z.string().optional(),
      tools: z.array(z.object({ name: z.string(), input: z.record(z.string(), z.unknown()) })).optional(),
      delayMs: z.number().optional(),
      status: z.number().optional(),
      stop_reason: z.string().optional(),
      thinkTokens: z.number().optional(),
      redactedThinking: z.boolean().optional(),
      afterTools: z.boolean().optional(),
      repeat: z.boolean().optional(),
    }),
  ),
});

export function addControlRoutes(core: Core, app: Hono<Env>): void {
  app.get('/sim/state', (c) => c.json(stateOf(core)));
  app.get('/sim/wire', (c) => c.json(core.wire));
  app.get('/sim/events', (c) => events(core, c.req.raw.signal));
  app.get('/sim/media/:id', (c) => mediaFile(core, c.req.param('id')));

  app.post('/sim/contacts', async (c) => {
    const contact = core.world.addContact(withoutUndefined(await read(c, contactBody)));
    core.bus.emit({ type: 'contact', contact });
    return c.json({ contact }, 201);
  });
  app.patch('/sim/contacts/:id', async (c) => {
    const contact = core.world.contacts.get(c.req.param('id'));
    if (!contact) return c.json({ error: 'no such contact' }, 404);
    const change = await read(c, contactBody.pick({ addressing: true, refuses: true }).extend({ name: z.string().optional() }));
    Object.assign(contact, withoutUndefined(change));
    core.bus.emit({ type: 'contact', contact });
    return c.json({ contact });
  });

  app.post('/sim/inbound', async (c) => c.json({ message: inbound(core, await read(c, inboundBody)) }, 201));
  app.post('/sim/inbound/:id/edit', async (c) => {
    const { text, sealed } = await read(c, z.object({ text: z.string(), sealed: z.boolean().optional() }));
    return found(c, editMessage(core, c.req.param('id'), text, { sealed }));
  });
  app.post('/sim/inbound/:id/delete', (c) => found(c, removeMessage(core, c.req.param('id'))));
  app.post('/sim/inbound/:id/react', async (c) => {
    const { emoji } = await read(c, z.object({ emoji: z.string() }));
    return found(c, reactTo(core, c.req.param('id'), emoji));
  });
  app.post('/sim/typing', async (c) => {
    const body = await read(c, chatBody.extend({ presence: z.string(), force: z.boolean().optional() }));
    return c.json({ sent: typing(core, body) });
  });
  app.post('/sim/owner', async (c) => {
    const body = await read(c, chatBody.extend({ text: z.string(), id: z.string().optional() }));
    return c.json({ message: ownerMessage(core, body) }, 201);
  });
  app.post('/sim/read', async (c) => c.json({ read: readChat(core, await read(c, chatBody)) }));
  app.post('/sim/connection', async (c) => {
    const state = z.enum(['open', 'connecting', 'close']);
    const body = await read(c, z.object({ instance: z.string().optional(), state, reason: z.number().optional() }));
    const instance = pickInstance(core, body.instance);
    setConnection(core, instance, body.state, body.reason);
    return c.json({ instance: instance.name, state: instance.state });
  });

  app.post('/sim/vote', async (c) => {
    const shape = chatBody.extend({ pollId: z.string().optional(), options: z.array(z.string()), chosen: z.array(z.string()) });
    return c.json({ id: vote(core, await read(c, shape)) });
  });
  app.post('/sim/trouble', async (c) => {
    const kind = z.enum(['zombie', 'deaf', 'stuck']).nullable();
    const heals = z.enum(['restart', 'reconnect', 'never']).default('restart');
    const body = await read(c, z.object({ instance: z.string().optional(), kind, heals }));
    const instance = pickInstance(core, body.instance);
    setTrouble(core, instance, body.kind === null ? null : { kind: body.kind, heals: body.heals });
    return c.json({ instance: instance.name, state: instance.state, trouble: instance.trouble });
  });
  app.post('/sim/version', async (c) => {
    const body = await read(c, z.object({ version: z.enum(EVOLUTION_VERSIONS).optional(), licensed: z.boolean().optional() }));
    if (body.version !== undefined) core.rules = rulesOf(body.version);
    core.licensed = body.licensed ?? core.licensed;
    return c.json({ version: core.rules.says, licensed: core.licensed });
  });

  app.post('/sim/webhooks/repeat', async (c) => {
    const shape = z.object({ messageId: z.string().optional(), last: z.boolean().optional(), times: z.number().optional() });
    const body = await read(c, shape);
    return c.json({ statuses: await repeatWebhook(core, body.messageId ?? null, body.times ?? 1) });
  });
  app.post('/sim/webhooks/raw', async (c) => {
    const shape = z.object({ body: z.unknown(), suffix: z.string().optional(), instance: z.string().optional() });
    const body = await read(c, shape);
    return c.json(await rawWebhook(core, pickInstance(core, body.instance), body.body, body.suffix));
  });

  app.post('/sim/faults', async (c) => {
    const fault = core.faults.add(withoutUndefined(await read(c, faultBody)) as FaultInput);
    return c.json({ fault }, 201);
  });
  app.delete('/sim/faults', (c) => {
    core.faults.clear();
    return c.json({ faults: [] });
  });
  app.delete('/sim/faults/:id', (c) => found(c, core.faults.remove(c.req.param('id'))));

  app.post('/sim/claude/script', async (c) => {
    const { turns } = await read(c, scriptBody);
    setScript(
      core,
      turns.map((turn) => withoutUndefined<ScriptTurn>(turn as ScriptTurn)),
    );
    return c.json({ mode: core.claude.mode, turns: turns.length });
  });
  app.delete('/sim/claude/script', (c) => {
    setScript(core, null);
    return c.json({ mode: core.claude.mode });
  });

  app.post('/sim/reset', async (c) => {
    const { keep } = await read(c, z.object({ keep: z.array(z.string()).optional() }));
    resetCore(core, keep ?? []);
    return c.json({ ok: true });
  });

  addProductRoutes(core, app);

  app.get('/chat', async () => (await pageFile('index.html')) ?? new Response('no chat page', { status: 404 }));
  app.get('/chat/*', async (c) => {
    const path = decodeURIComponent(c.req.path.slice('/chat/'.length));
    return (await pageFile(path === '' ? 'index.html' : path)) ?? c.json({ error: 'not found' }, 404);
  });
}

/** Turns for the model to take, in order; null goes back to the persona (or the proxy). */
export function setScript(core: Core, turns: ScriptTurn[] | null): void {
  core.claude.mode = turns === null ? core.claude.baseMode : 'script';
  core.claude.turns = [...(turns ?? [])];
}

/** A control request that does not fit. The app's onError answers 400. */
export class ControlError extends Error {}

export function stateOf(core: Core): Json {
  const { world } = core;
  return {
    instances: [...world.instances.values()].map(({ name, number, state }) => ({ name, number, state })),
    contacts: [...world.contacts.values()] satisfies Contact[],
    messages: [...world.messages.values()],
    faults: core.faults.list(),
    claude: { mode: core.claude.mode },
    product: core.product === null ? null : { agent: core.product.agent, company: core.product.company },
    evolution: { version: core.rules.says, licensed: core.licensed },
  };
}

async function read<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const text = await c.req.text();
  const parsed = schema.safeParse(text === '' ? {} : JSON.parse(text));
  if (!parsed.success) throw new ControlError(z.prettifyError(parsed.error));
  return parsed.data;
}

function found(c: Context, ok: boolean): Response {
  return ok ? c.json({ ok: true }) : c.json({ error: 'not found' }, 404);
}

/** zod leaves absent keys out but types them as undefined; this says so to the compiler. */
function withoutUndefined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const kept = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(kept) as { [K in keyof T]: Exclude<T[K], undefined> };
}

/** The simulator's events as server-sent events, until the client leaves. */
function events(core: Core, signal: AbortSignal): Response {
  const encoder = new TextEncoder();
  let stop = (): void => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(encoder.encode(': open\n\n'));
      const end = core.bus.on((event) => {
        // What the wire log holds is too much for a page; it asks /sim/wire.
        if (event.type === 'send' || event.type === 'presence') return;
        controller.enqueue(encoder.encode(`data: ${JSON.stringify(event)}\n\n`));
      });
      stop = end;
      signal.addEventListener('abort', end);
    },
    cancel: () => stop(),
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' } });
}

function mediaFile(core: Core, id: string): Response {
  for (const name of core.world.instances.keys()) {
    const row = core.world.row(name, id);
    const mimetype = core.world.message(id, name)?.media?.mimetype;
    if (row?.base64 === undefined || mimetype === undefined) continue;
    return new Response(Buffer.from(row.base64, 'base64'), { headers: { 'content-type': mimetype } });
  }
  return new Response('not found', { status: 404 });
}

async function pageFile(path: string): Promise<Response | null> {
  const file = normalize(join(PAGE_DIRECTORY, path));
  if (!file.startsWith(PAGE_DIRECTORY)) return null;
  try {
    const content = await readFile(file);
    const type = MIMETYPES[extname(file)] ?? 'application/octet-stream';
    return new Response(content, { headers: { 'content-type': type, 'cache-control': 'no-cache' } });
  } catch {
    return null;
  }
}
