/** A person at the console: with a browser's headers and cookie, without a browser. */
import assert from 'node:assert/strict';
import { hashPassword } from '../../src/people/passwords.ts';
import type { System } from './system.ts';

export const PASSWORD = 'uma frase longa de teste';

export type Person = {
  email: string;
  cookie(): string;
  get(path: string): Promise<{ status: number; text: string; to: string | null }>;
  /** With the CSRF token of a page, unless `csrf` says another. */
  post(
    path: string,
    form?: Record<string, string>,
    headers?: Record<string, string>,
  ): Promise<{ status: number; text: string; to: string | null }>;
};

/** A user who has changed the first password already. */
export async function addUser(
  system: Pick<System, 'query'>,
  { email, role = 'operator', tenant = 'default' }: { email: string; role?: string; tenant?: string },
): Promise<void> {
  const [row] = await system.query<{ id: string }>(
    `insert into users (tenant_id, email, role, created_by) values ($1, $2, $3, 'cli:tests') returning id`,
    [tenant, email, role],
  );
  await system.query(`insert into user_passwords (tenant_id, user_id, hash, temporary, asked_by) values ($1, $2, $3, false, 'cli:tests')`, [
    tenant,
    row?.id,
    await (hash ??= hashPassword(PASSWORD)),
  ]);
}
/** Made once: it takes as long as it should. */
let hash: Promise<string> | null = null;

export function visitor(system: Pick<System, 'url'>, email: string): Person {
  let cookie = '';
  let csrf = '';
  const ask = async (path: string, init: RequestInit): Promise<{ status: number; text: string; to: string | null }> => {
    const answer = await fetch(`${system.url}${path}`, { ...init, redirect: 'manual' });
    for (const set of answer.headers.getSetCookie()) cookie = /^console_session=([^;]*)/.exec(set)?.[0] ?? cookie;
    const text = await answer.text();
    csrf = /data-csrf="([^"]+)"/.exec(text)?.[1] ?? /name="_csrf" value="([^"]+)"/.exec(text)?.[1] ?? csrf;
    return { status: answer.status, text, to: answer.headers.get('location') };
  };
  return {
    email,
    cookie: () => cookie,
    get: (path) => ask(path, { headers: { accept: 'text/html', cookie } }),
    post: (path, form = {}, headers = {}) =>
      ask(path, {
        method: 'POST',
        headers: { accept: 'text/html', cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
        body: new URLSearchParams({ _csrf: csrf, ...form }).toString(),
      }),
  };
}

/** Logged in, with the CSRF token of the first page. */
export async function loggedIn(
  system: Pick<System, 'url' | 'query'>,
  email: string,
  { role = 'operator', tenant = 'default' }: { role?: string; tenant?: string } = {},
): Promise<Person> {
  await addUser(system, { email, role, tenant });
  const person = visitor(system, email);
  const answer = await person.post('/console/login', { email, password: PASSWORD });
  assert.equal(answer.status, 303, answer.text);
  await person.get('/console/password');
  return person;
}
