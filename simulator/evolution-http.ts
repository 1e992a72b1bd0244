// The HTTP manners of Evolution: error bodies, the guards in their order, schema errors, and the generic faults.

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { HttpBindings } from '@hono/node-server';
import type { Context, MiddlewareHandler } from 'hono';
import type { Core } from './core.ts';
import { faultNumber } from './faults.ts';
import { textField, type Fault, type Instance, type Json } from './types.ts';

export type Env = { Bindings: HttpBindings };
export type Http = Context<Env>;

const NAMES: Record<number, string> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
};

/** An answer that ends the request; thrown, and turned into the response by the app's onError. */
export class EvolutionError extends Error {
  readonly status: number;
  readonly body: unknown;

  constructor(status: number, message: unknown, error?: string) {
    super(typeof message === 'string' ? message : JSON.stringify(message));
    this.status = status;
    this.body = { status, error: error ?? NAMES[status] ?? 'Error', response: { message } };
  }
}

export function json(status: number, body: unknown): Response {
  return Response.json(body, { status });
}

/** Of 2.4 without an activated licence only the root and the licence's own pages answer; webhooks and the socket run on. */
export function licenceGate(core: Core): MiddlewareHandler<Env> {
  return async (c, next) => {
    const free = c.req.path === '/' || /^\/(manager|assets|license|sim|chat\/?$)/.test(c.req.path);
    if (!core.rules.wantsLicence || core.licensed || free) {
      await next();
      return;
    }
    const address = `${core.url}/manager/login`;
    const docs = 'https://docs.evolutionfoundation.com.br/licensing';
    return json(503, {
      error: 'service not activated',
      code: 'LICENSE_REQUIRED',
      register_url: address,
      instance_id: '46574c01-323a-4663-ba30-303a30303a30',
      docs_url: docs,
      message: `This Evolution API instance is not activated. Open ${address} to activate, or set AUTHENTICATION_API_KEY in your .env with a valid licensing key. Docs: ${docs}`,
    });
  };
}

/** Existence first, then the key: an unknown instance is 404 even with a wrong key. */
export function guard(core: Core, c: Http): Instance {
  const name = c.req.query('instanceName') ?? c.req.param('instance') ?? '';
  const instance = core.world.instances.get(name);
  if (!instance) throw new EvolutionError(404, [`The "${name}" instance does not exist`]);
  const key = c.req.header('apikey');
  if (key !== core.options.apiKey && key !== instance.token) throw new EvolutionError(401, 'Unauthorized');
  return instance;
}

export function guardGlobal(core: Core, c: Http): void {
  if (c.req.header('apikey') !== core.options.apiKey) throw new EvolutionError(401, 'Unauthorized');
}

/** The body as an object. Express parses it before the guards, so call this first. */
export async function readBody(c: Http): Promise<Json> {
  if ((c.req.header('content-type') ?? '').startsWith('multipart/form-data')) return await readForm(c);
  const text = await c.req.text();
  if (text === '') return {};
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === 'object' && body !== null ? (body as Json) : {};
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    // Newer engines add "(line 1 column 2)", which the recorded server did not.
    throw new EvolutionError(400, message.replace(/ \(line .*\)$/, ''), 'Internal Server Error');
  }
}

async function readForm(c: Http): Promise<Json> {
  const form: Json = { ...(await c.req.parseBody()) };
  const file = form['file'];
  if (file instanceof File) {
    form['media'] = Buffer.from(await file.arrayBuffer()).toString('base64');
    form['fileName'] ??= file.name;
    delete form['file'];
  }
  if (typeof form['delay'] === 'string') form['delay'] = Number(form['delay']);
  return form;
}

export type Rule = { type: 'string' | 'boolean' | 'integer' | 'array' | 'object'; text?: string; values?: string[] };

/** Schema validation with Evolution's texts: a 400 with an array in an array. */
export function check(body: Json, rules: Record<string, Rule>, required: string[]): void {
  const errors: string[] = [];
  for (const [name, rule] of Object.entries(rules)) {
    const value = body[name];
    if (value === undefined) continue;
    if (!hasType(value, rule.type)) errors.push(rule.text ?? `${name} is not of a type(s) ${rule.type}`);
    else if (rule.values && !rule.values.includes(textField(value)))
      errors.push(rule.text ?? `${name} is not one of enum values: ${rule.values.join(',')}`);
    else if (Array.isArray(value) && value.length === 0 && rule.type === 'array') errors.push(`${name} does not meet minimum length of 1`);
  }
  for (const name of required) {
    if (body[name] === undefined) errors.push(`instance requires property "${name}"`);
  }
  if (errors.length > 0) throw new EvolutionError(400, [errors]);
}

function hasType(value: unknown, type: Rule['type']): boolean {
  switch (type) {
    case 'integer':
      return Number.isInteger(value);
    case 'array':
      return Array.isArray(value);
    case 'object':
      return typeof value === 'object' && value !== null && !Array.isArray(value);
    default:
      return typeof value === type;
  }
}

export function closedError(): EvolutionError {
  return new EvolutionError(400, ['Error: Connection Closed']);
}

/** Faults that any route can have: `status`, `unauthorized`, `rate-limited`, `slow`, `hang`, `drop`. Null: go on. */
export async function plainFault(core: Core, c: Http, fault: Fault | null): Promise<Response | null> {
  switch (fault?.kind) {
    case 'status':
      return json(faultNumber(fault, 'status', 500), fault['body'] ?? genericBody(faultNumber(fault, 'status', 500)));
    case 'unauthorized':
      throw new EvolutionError(401, 'Unauthorized');
    case 'rate-limited':
      throw new EvolutionError(429, ['Error: rate-overlimit']);
    case 'slow':
      await core.clock.sleep(faultNumber(fault, 'ms', 1_000));
      return null;
    case 'hang':
      return await hang(core, c);
    case 'drop':
      return dropSocket(c);
    default:
      return null;
  }
}

function genericBody(status: number): Json {
  const message = status === 500 ? 'Internal Server Error' : [NAMES[status] ?? 'Error'];
  return { status, error: NAMES[status] ?? 'Error', response: { message } };
}

/** Never answers; the socket ends when the client leaves, at a reset or at close(). */
export async function hang(core: Core, c: Http): Promise<Response> {
  const socket = c.env.incoming.socket;
  await new Promise<void>((resolve) => {
    const end = (): void => {
      core.hung.delete(end);
      socket.destroy();
      resolve();
    };
    core.hung.add(end);
    socket.once('close', end);
  });
  return RESPONSE_ALREADY_SENT;
}

export function dropSocket(c: Http): Response {
  c.env.incoming.socket.destroy();
  return RESPONSE_ALREADY_SENT;
}
