/**
 * The table of routes. One entry serves a route, guards it and describes it (openapi.ts), so none can be forgotten:
 *
 *   routes.get('/api/things/:id{[0-9]{1,15}}', {
 *     tag: 'messages', summary: 'one thing', access: 'operator',
 *     answers: { 200: { means: 'the thing', schema: thing }, 404: 'there is no such thing' },
 *   }, async (c) => c.json(await findThing(contextOf(process).db, c.get('caller').tenant, Number(c.req.param('id')))));
 *
 * Schemas here describe; what comes in is checked by the handler, which answers in the one form of errors (http.ts).
 */
import type { Context as Request, Handler, Hono, MiddlewareHandler } from 'hono';
import { z } from 'zod';
import type { Auth, Caller } from './auth.ts';
import type { TokenRole } from '../people/token-calls.ts';
import type { Bodies } from './body.ts';
import type { Sessions, Visitor } from './session.ts';
import type { Env } from './http.ts';

/**
 * `public`: everybody. `webhook`: the handler checks the sender's secret or signature, and only then reads the body (body.ts). Else: a token with that role
 * or a higher one, and a body of at most 1 MB.
 */
export type Access = 'public' | 'webhook' | TokenRole;

export type Tag = 'health' | 'messages' | 'webhooks' | 'admin' | 'console' | 'reference';

/** `schema` of JSON, or another media type; a bare string is the meaning of an error, whose body is always the same. */
export type Answer = string | { means: string; schema?: z.ZodType; type?: string };

export type About<A extends Access = Access> = {
  tag: Tag;
  /** One line. */
  summary: string;
  details?: string;
  access: A;
  /** Asked for by load balancers and collectors: never refused for coming often. A function: whether who asks is one. */
  unlimited?: true | ((c: Request<Env>) => boolean);
  query?: z.ZodObject;
  headers?: z.ZodObject;
  body?: z.ZodType;
  /** Of the body, to copy; it is one that the handler takes. */
  example?: object;
  /** What a route can answer beside 401, 403, 429 and 500, which follow from `access`. */
  answers: Readonly<Record<number, Answer>>;
};

/** `session`: a page of the console. Who asks shows the cookie of a session in place of a token, and a post the proof that a page of it made it. */
export type DescribedRoute = About & { method: 'get' | 'post' | 'put'; path: string; session?: true };

type EnvOf<A extends Access> = A extends TokenRole ? { Variables: Env['Variables'] & { caller: Caller } } : Env;
type Add = <const Path extends string, A extends Access>(
  path: Path | readonly Path[],
  about: About<A>,
  handler: Handler<EnvOf<A>, Path>,
) => void;

export type PageEnv = { Variables: Env['Variables'] & { visitor: Visitor } };
type AddPage = <const Path extends string>(path: Path, about: PageAbout, handler: Handler<PageEnv, Path>) => void;
/** What a page is; it answers a document, a part of one, or the way to another. */
export type PageAbout = {
  summary: string;
  access: TokenRole;
  /** Of a post: an example of its fields, each of which is a text; the proof comes on top. */
  form?: Record<string, string>;
};

/** An error as a page for a person, for the paths that have such; null: as JSON. */
export type Trouble = (c: Request<Env>, status: number) => Response | null;

export type Routes = {
  get: Add;
  post: Add;
  put: Add;
  page: { get: AddPage; post: AddPage };
  /** Whether who asks a route for everybody is in the console. */
  isIn(c: Request<Env>): Promise<boolean>;
  /** How errors look below /console. */
  onTrouble(show: Trouble): void;
  trouble: Trouble;
  /** Whether who asks may read names of numbers and tenants, volumes, money and words of alerts. Never throws. */
  seesDetails(c: Request<Env>): Promise<boolean>;
  /** Of a `webhook` route, once it knows who posts; the other posts have been read when their handler begins. */
  readBody: Bodies['read'];
  /** All so far, each path of its own. */
  readonly described: readonly DescribedRoute[];
};

function unless(unlimited: ((c: Request<Env>) => boolean) | undefined, guard: MiddlewareHandler<Env>): MiddlewareHandler<Env> {
  return unlimited === undefined ? guard : (c, next) => (unlimited(c) ? next() : guard(c, next));
}

export function routesOf(app: Hono<Env>, auth: Auth, bodies: Bodies, sessions: Sessions): Routes {
  const described: DescribedRoute[] = [];
  let show: Trouble | null = null;
  const addPage =
    (method: DescribedRoute['method']): AddPage =>
    (path, about, handler) => {
      const { form = {}, ...rest } = about;
      const fields = { _csrf: 'data-csrf of the page', ...form };
      const body = z.object(Object.fromEntries(Object.keys(fields).map((name) => [name, z.string()])));
      const posted = method === 'post' ? { body, example: fields } : {};
      described.push({ tag: 'console', answers: PAGE_ANSWERS, ...rest, ...posted, method, path, session: true });
      // The guard sets `visitor`, as that of a token sets `caller`.
      const served = handler as unknown as Handler<Env>;
      if (method === 'get') app.on('GET', path, sessions.guard(about.access), served);
      else
        app.on(
          'POST',
          path,
          sessions.guard(about.access),
          bodies.guard((c) => auth.nameOf(c)),
          sessions.proof,
          served,
        );
    };
  const add =
    (method: DescribedRoute['method']): Add =>
    (path, about, handler) => {
      // A list that `Array.isArray` narrows wrongly, because it is readonly.
      for (const each of typeof path === 'string' ? [path] : (path as readonly string[])) {
        described.push({ ...about, method, path: each });
        // The guard sets `caller`, which Env has not: handlers of guarded routes are typed with it.
        const served = handler as unknown as Handler<Env>;
        const name = method.toUpperCase();
        // The body comes after the guard: who may not post has nothing of it read.
        if (about.access === 'webhook' || about.unlimited === true) app.on(name, each, served);
        else if (method === 'get') app.on(name, each, unless(about.unlimited, auth.guard(about.access)), served);
        else
          app.on(
            name,
            each,
            auth.guard(about.access),
            bodies.guard((c) => auth.nameOf(c)),
            served,
          );
      }
    };
  return {
    get: add('get'),
    post: add('post'),
    put: add('put'),
    page: { get: addPage('get'), post: addPage('post') },
    isIn: async (c) => (await sessions.visitorOf(c)) !== null,
    onTrouble: (given) => void (show = given),
    trouble: (c, status) => show?.(c, status) ?? null,
    seesDetails: (c) => auth.seesDetails(c),
    readBody: (...of) => bodies.read(...of),
    described,
  };
}

const PAGE_ANSWERS = {
  200: { means: 'a page, or a part of one', type: 'text/html', schema: z.string() },
  303: 'the way to another page: that of the login without a session',
} as const;
