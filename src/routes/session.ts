/**
 * Who asks for a page of the console. The cookie holds a random token, the database its digest (`use_session`), asked at each request: a session ends with the
 * commit that ends it. The cookie is HttpOnly, SameSite=Strict, below /console only, and Secure behind TLS; /api and /admin do not know it. A post carries a
 * token made of the cookie's, in the form or in a header, and comes from a page of ours.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { Context as Request, MiddlewareHandler } from 'hono';
import { deleteCookie, getCookie, setCookie } from 'hono/cookie';
import { HTTPException } from 'hono/http-exception';
import { useSession } from '../people/user-calls.ts';
import type { SessionUser } from '../people/user-calls.ts';
import type { TokenRole } from '../people/token-calls.ts';
import { createNewest } from '../process/newest.ts';
import { mayCall } from './auth.ts';
import type { Auth } from './auth.ts';
import { contextOf } from './context-of.ts';
import type { Env } from './http.ts';
import type { Process } from './ops.ts';

export type Visitor = SessionUser & {
  /** Digest of the cookie's token: the session's name in the database. */
  session: string;
  /** What each post of this session carries. */
  csrf: string;
};

export type Sessions = {
  /** Contract: lets through with `visitor` set; else the login page for who looks at a page, and 401 for programs. 403 for a role that is too low. */
  guard(needed: TokenRole): MiddlewareHandler<Env>;
  /** Whose session the cookie is; null: there is none. */
  visitorOf(c: Request<Env>): Promise<Visitor | null>;
  /** Of a post, after its body is there: throws 403 when it was not made by a page of this session. */
  proof: MiddlewareHandler<Env>;
};

const COOKIE = 'console_session';
const PATH = '/console';
/** The longest that a session lasts; see SQL session_counts. Seconds. */
const WEEK_SECONDS = 604_800;
/** What a user with a first password may do: choose another one, or leave. */
const BEFORE_CHANGE = new Set(['/console/password', '/console/logout']);

/** So many sessions are known to be somebody's before the database says so. */
const MOST_KNOWN = 2_000;

export function createSessions(process: Process, auth: Auth): Sessions {
  /** Sessions that were somebody's when they were last asked about. */
  const known = createNewest(MOST_KNOWN);
  const tokenOf = (c: Request<Env>): string | null => {
    const token = getCookie(c, COOKIE);
    return token === undefined || token.length > 100 ? null : token;
  };
  const visitorOf = async (c: Request<Env>): Promise<Visitor | null> => {
    const token = tokenOf(c);
    if (token === null) return null;
    const session = digestOf(token);
    const user = await useSession(contextOf(process).db, session);
    if (user === null) known.remove(session);
    else known.add(session);
    return user === null ? null : { ...user, session, csrf: csrfOf(token) };
  };
  return {
    visitorOf,
    guard: (needed) => async (c, next) => {
      // What may be nobody's counts for where it comes from, before the database is asked.
      const token = tokenOf(c);
      const isKnown = token !== null && known.has(digestOf(token));
      if (!isKnown) auth.count(c, auth.nameOf(c));
      const user = await visitorOf(c);
      if (user !== null) auth.count(c, `of ${user.tenant} ${user.email}`);
      else if (isKnown) auth.count(c, auth.nameOf(c));
      c.header('Cache-Control', 'no-store');
      if (user === null) return toLogin(c);
      if (user.must_change && !BEFORE_CHANGE.has(c.req.path)) {
        if (c.req.method === 'GET') return c.redirect('/console/password', 303);
        throw new HTTPException(403, { message: 'the first password has to be changed before anything else' });
      }
      if (!mayCall(user.role, needed))
        throw new HTTPException(403, { message: `this needs the role ${needed}; this user has the role ${user.role}` });
      c.set('visitor' as never, user as never); // typed by the page's entry
      return next();
    },
    proof: async (c, next) => {
      const visitor = c.get('visitor' as never) as Visitor;
      const given = c.req.header('x-csrf-token') ?? new URLSearchParams(await c.req.text()).get('_csrf') ?? '';
      if (!isOwnPage(c) || !equal(given, visitor.csrf))
        throw new HTTPException(403, { message: 'this was not sent by a page of this session; load the page again' });
      await next();
    },
  };
}

/** Before there is a session: browsers say where a form comes from. Programs, which no stranger's page can use, say nothing. */
export function isOwnPage(c: Request<Env>): boolean {
  const site = c.req.header('sec-fetch-site');
  return site === undefined || site === 'same-origin' || site === 'none';
}

/** A new one for each login and each password, whatever cookie came: what somebody else knows is never taken over. */
export function newSession(): { token: string; hash: string } {
  const token = randomBytes(32).toString('base64url');
  return { token, hash: digestOf(token) };
}

export function giveSession(c: Request, token: string, baseUrl: string | null): void {
  setCookie(c, COOKIE, token, { path: PATH, httpOnly: true, sameSite: 'Strict', secure: isSecure(c, baseUrl), maxAge: WEEK_SECONDS });
}

export function takeSession(c: Request): void {
  deleteCookie(c, COOKIE, { path: PATH });
}

/** By what the proxy says, which only makes the client's own cookie stricter when a client invents it; or it is the address that people are given. */
function isSecure(c: Request, baseUrl: string | null): boolean {
  if (c.req.header('x-forwarded-proto')?.split(',')[0]?.trim() === 'https') return true;
  return baseUrl?.startsWith('https:') === true && new URL(baseUrl).host === c.req.header('host');
}

function toLogin(c: Request<Env>): Response {
  const isLook = c.req.method === 'GET' && c.req.header('hx-request') === undefined && (c.req.header('accept') ?? '').includes('text/html');
  if (!isLook) throw new HTTPException(401, { message: 'a session is needed: log in at /console/login' });
  const at = c.req.path === PATH ? '' : `?to=${encodeURIComponent(c.req.path)}`;
  return c.redirect(`/console/login${at}`, 303);
}

function digestOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

function csrfOf(token: string): string {
  return createHash('sha256').update(`csrf of ${token}`).digest('base64url');
}

function equal(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}
