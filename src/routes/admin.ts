/** /admin/*: the admin commands over HTTP, and the timelines of /api. Contract: the command's arguments as JSON (or in the address of a GET), its result as JSON. */
import type { Context as Request } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { commandNamed, COMMANDS, runCommand } from '../admin/all.ts';
import type { AdminCommand, Outcome, Refusal } from '../admin/command.ts';
import { whyConversation, whyMessage } from '../admin/why.ts';
import type { Process } from './ops.ts';
import type { Caller } from './auth.ts';
import { contextOf } from './context-of.ts';
import { exampleOf } from './openapi-examples.ts';
import type { About, Routes } from './table.ts';

/** Of `why`; the entries differ by what they are. */
const whyAnswer = z.object({
  conversation: z.looseObject({
    id: z.number(),
    instance: z.string(),
    controlled_by: z.string(),
    silenced_by: z.string().nullable(),
    paused: z.string().nullable(),
  }),
  message_id: z.number().nullable(),
  entries: z.array(z.looseObject({ what: z.string(), at: z.iso.datetime(), says: z.string(), why: z.string().nullable() })),
  conclusion: z.string(),
});

/** Entries of a timeline. */
const TIMELINE_LIMIT = 500;

export function adminRoutes(routes: Routes, process: Process): void {
  const run = async (caller: Caller, command: AdminCommand, args: unknown): Promise<object> => {
    const actor = { id: `api:${caller.sub}`, tenant: caller.tenant };
    return resultOf(await runCommand(command, contextOf(process), args, actor)) as object;
  };

  for (const command of COMMANDS) {
    const path = `/admin/${command.name.replaceAll(' ', '/')}`;
    const about = aboutOf(command);
    routes.post(path, { ...about, body: command.args, example: exampleOf(command.name, command.args) }, async (c) =>
      c.json(await run(c.get('caller'), command, await body(c.req))),
    );
    if (command.readOnly)
      routes.get(path, { ...about, query: command.args }, async (c) => c.json(await run(c.get('caller'), command, c.req.query())));
  }

  // The dead letter by its own addresses.
  const [list, show, retry, discard] = [
    commandNamed('dlq list'),
    commandNamed('dlq show'),
    commandNamed('dlq retry'),
    commandNamed('dlq discard'),
  ];
  routes.get('/admin/dlq', { ...aboutOf(list), query: list.args }, async (c) => c.json(await run(c.get('caller'), list, c.req.query())));
  routes.get('/admin/dlq/:id{[0-9]{1,15}}', aboutOf(show), async (c) =>
    c.json(await run(c.get('caller'), show, { id: c.req.param('id') })),
  );
  for (const [path, command] of [
    ['/admin/dlq/:id{[0-9]{1,15}}/retry', retry],
    ['/admin/dlq/:id{[0-9]{1,15}}/discard', discard],
  ] as const)
    routes.post(
      path,
      { ...aboutOf(command), body: z.object(command.args.shape).omit({ id: true }), example: { reason: 'não está no chat do celular' } },
      async (c) => c.json(await run(c.get('caller'), command, { ...(await body(c.req)), id: c.req.param('id') })),
    );

  // Whole conversations are for operators, as `why` is; who only posts messages has no business with them.
  const timeline = {
    tag: 'messages',
    access: 'operator',
    answers: { 200: { means: 'what happened, when and why, and a conclusion in words', schema: whyAnswer }, 404: 'there is nothing' },
  } as const;
  routes.get(
    '/api/conversations/:id{[0-9]{1,15}}/timeline',
    { ...timeline, summary: 'everything that happened in a conversation' },
    async (c) =>
      c.json(resultOf(await whyConversation(contextOf(process), c.get('caller').tenant, Number(c.req.param('id')), TIMELINE_LIMIT))),
  );
  routes.get('/api/messages/:id{[0-9]{1,15}}/timeline', { ...timeline, summary: 'why a message was (not) answered or sent' }, async (c) =>
    c.json(resultOf(await whyMessage(contextOf(process), c.get('caller').tenant, c.req.param('id'), TIMELINE_LIMIT))),
  );
}

function aboutOf(command: AdminCommand): About<AdminCommand['role']> {
  return {
    tag: 'admin',
    access: command.role,
    summary: command.summary,
    details: command.details,
    answers: {
      200: { means: 'done; the result of the command', schema: command.result ?? z.record(z.string(), z.unknown()) },
      400: 'an argument is missing, unknown or wrong',
      404: 'what it names is not there',
      409: 'it is not in a state for this; nothing was changed',
    },
  };
}

/** No body is no arguments. */
async function body(request: Request['req']): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (text.trim() === '') return {};
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new HTTPException(400, { message: 'the body must be a JSON object with the arguments of the command' });
}

const STATUS = {
  bad_request: 400,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  upstream: 502,
  unavailable: 503,
} as const satisfies Record<Refusal['kind'], number>;

export function resultOf<Result>(outcome: Outcome<Result>): Result {
  if (!outcome.ok) throw new HTTPException(STATUS[outcome.kind], { message: outcome.message });
  return outcome.result;
}
