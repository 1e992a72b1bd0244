/** /admin/*: the admin commands over HTTP, and the timelines of /api. Contract: the command's arguments as JSON (or in the address of a GET), its result as JSON. */
import { Hono } from 'hono';
import type { Context as Request, MiddlewareHandler } from 'hono';
import { HTTPException } from 'hono/http-exception';
import { COMMANDS, runCommand } from '../admin.ts';
import type { AdminCommand, Outcome, Refusal, Role } from '../admin/command.ts';
import { whyConversation, whyMessage } from '../admin/why.ts';
import type { Env } from '../http.ts';
import type { Process } from '../ops.ts';
import { requireCaller } from './auth.ts';
import type { CallerEnv } from './auth.ts';
import { contextOf } from './context-of.ts';

/** Entries of a timeline. */
const TIMELINE_LIMIT = 500;

export function adminRoutes(app: Hono<Env>, process: Process): void {
  const admin = new Hono<CallerEnv>();
  admin.use(requireCaller(process.config));

  const serve = async (c: Request<CallerEnv>, command: AdminCommand, args: unknown) => {
    const { sub, role, tenant } = c.get('caller');
    if (!mayRun(role, command.role))
      throw new HTTPException(403, { message: `${command.name} needs the role ${command.role}; this token has the role ${role}` });
    return c.json(resultOf(await runCommand(command, contextOf(process), args, { id: `api:${sub}`, tenant })) as object);
  };

  for (const command of COMMANDS) {
    const path = `/${command.name.replaceAll(' ', '/')}`;
    admin.post(path, async (c) => serve(c, command, await body(c)));
    if (command.readOnly) admin.get(path, (c) => serve(c, command, c.req.query()));
  }
  const named = (name: string): AdminCommand => {
    const command = COMMANDS.find((each) => each.name === name);
    if (command === undefined) throw new Error(`there is no admin command ${name}`);
    return command;
  };
  const [list, show, retry, discard] = [named('dlq list'), named('dlq show'), named('dlq retry'), named('dlq discard')];
  admin.get('/dlq', (c) => serve(c, list, c.req.query()));
  admin.get('/dlq/:id{[0-9]{1,15}}', (c) => serve(c, show, { id: c.req.param('id') }));
  admin.post('/dlq/:id{[0-9]{1,15}}/retry', async (c) => serve(c, retry, { ...(await body(c)), id: c.req.param('id') }));
  admin.post('/dlq/:id{[0-9]{1,15}}/discard', async (c) => serve(c, discard, { ...(await body(c)), id: c.req.param('id') }));
  app.route('/admin', admin as unknown as Hono<Env>);

  const api = new Hono<CallerEnv>();
  // Whole conversations are for operators, as `why` is; whoever only posts messages has no business with them.
  const operator: MiddlewareHandler<CallerEnv> = async (c, next) => {
    if (!mayRun(c.get('caller').role, 'operator')) throw new HTTPException(403, { message: 'a timeline needs the role operator' });
    await next();
  };
  for (const path of ['/conversations/:id/timeline', '/messages/:id/timeline']) api.use(path, requireCaller(process.config), operator);
  api.get('/conversations/:id{[0-9]{1,15}}/timeline', async (c) =>
    c.json(resultOf(await whyConversation(contextOf(process), c.get('caller').tenant, Number(c.req.param('id')), TIMELINE_LIMIT))),
  );
  api.get('/messages/:id{[0-9]{1,15}}/timeline', async (c) =>
    c.json(resultOf(await whyMessage(contextOf(process), c.get('caller').tenant, c.req.param('id'), TIMELINE_LIMIT))),
  );
  app.route('/api', api as unknown as Hono<Env>);
}

function mayRun(role: string, needed: Role): boolean {
  return role === 'admin' || (role === 'operator' && needed === 'operator');
}

/** No body is no arguments. */
async function body(c: Request<CallerEnv>): Promise<Record<string, unknown>> {
  const text = await c.req.text();
  if (text.trim() === '') return {};
  try {
    const value = JSON.parse(text) as unknown;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new HTTPException(400, { message: 'the body must be a JSON object with the arguments of the command' });
}

const STATUS = { bad_request: 400, forbidden: 403, not_found: 404, conflict: 409 } as const satisfies Record<Refusal['kind'], number>;

function resultOf<Result>(outcome: Outcome<Result>): Result {
  if (!outcome.ok) throw new HTTPException(STATUS[outcome.kind], { message: outcome.message });
  return outcome.result;
}
