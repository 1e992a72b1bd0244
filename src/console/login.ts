/** /console/login, /console/logout, /console/session. */
import { cut } from '../words/cut.ts';
import { html } from 'hono/html';
import { z } from 'zod';
import { isPassword, passwordPlace } from '../people/passwords.ts';
import { beginLogin, closeSession, hasUsers, openSession, wrongPassword } from '../people/user-calls.ts';
import { createNewest } from '../process/newest.ts';
import { createRateLimit } from '../process/rate-limit.ts';
import type { Config } from '../config.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Process } from '../routes/ops.ts';
import { giveSession, isOwnPage, newSession, takeSession } from '../routes/session.ts';
import { sourceOfRequest } from '../routes/source.ts';
import { unprovenBodies } from '../routes/body.ts';
import type { Routes } from '../routes/table.ts';
import { goTo, show } from './answer.ts';
import type { Markup } from './answer.ts';
import { outcome } from './markup.ts';
import { bare } from './layout.ts';

/** Of one place: a whole office behind one address logs in within a few minutes. */
const ATTEMPTS = 30;
const WINDOW_MS = 60_000;
const MOST_KNOWN = 2_000;

/** The same for who is unknown, disabled, locked out, or has another password: nobody learns who may come in. */
const WRONG = 'E-mail ou senha não conferem. Depois de 10 tentativas erradas a entrada fica fechada por 15 minutos.';

const ANSWERS = { 200: { means: 'the page', type: 'text/html', schema: z.string() } } as const;

export function loginRoutes(routes: Routes, process: Process): void {
  const { config } = process;
  const attempts = createRateLimit({ limit: ATTEMPTS, windowMs: WINDOW_MS });
  /** Places from which somebody has come in. */
  const entered = createNewest(MOST_KNOWN);
  const read = unprovenBodies(config.http.trustedProxyHops);

  routes.get('/console/login', { tag: 'console', access: 'public', summary: 'the login page', answers: ANSWERS }, async (c) =>
    show(c, (await hasUsers(contextOf(process).db)) ? loginPage(config, { to: placeOf(c.req.query('to')) }) : noUsersPage(config)),
  );

  // Who posts is proven by what is posted, so the body is read as a stranger's: small, quickly, one at a time.
  routes.post(
    '/console/login',
    {
      tag: 'console',
      access: 'webhook',
      summary: 'a login: email and password as a form',
      body: z.object({ email: z.string(), password: z.string(), to: z.string().optional() }),
      example: { email: 'ana@example.com', password: 'uma frase bem longa' },
      answers: {
        303: 'in: the cookie of a new session, and the way to the first page',
        401: {
          means: 'the login page again: e-mail or password are wrong, or the entrance is closed',
          type: 'text/html',
          schema: z.string(),
        },
        403: 'a page of another site posted it',
      },
    },
    async (c) => {
      const form = new URLSearchParams(await read(c));
      const to = placeOf(form.get('to') ?? undefined);
      const email = cut((form.get('email') ?? '').trim().toLowerCase(), 200);
      const password = cut(form.get('password') ?? '', 500);
      const again = (words: string, status: 401 | 403 | 429): Promise<Response> => show(c, loginPage(config, { to, email, words }), status);
      if (!isOwnPage(c)) return again('Este pedido veio de outro site. Entre por aqui.', 403);
      const source = sourceOfRequest(c, config.http.trustedProxyHops);
      // A place is taken before anything is waited for, or all who come at once would find one.
      using place = attempts.take(source, performance.now()) === null ? passwordPlace(entered.has(source)) : null;
      if (place === null) {
        c.header('Retry-After', '60');
        return again('Muitas tentativas de uma vez. Espere um minuto.', 429);
      }
      const { db } = contextOf(process);
      const begun = await beginLogin(db, storable(email));
      const right = await isPassword(password, begun.outcome === 'check' ? begun.hash : null);
      if (begun.outcome === 'no') return again(WRONG, 401);
      if (!right) {
        await wrongPassword(db, begun.user_id);
        return again(WRONG, 401);
      }
      const session = newSession();
      if (!(await openSession(db, begun.user_id, begun.password_id, session.hash))) return again(WRONG, 401);
      entered.add(source);
      giveSession(c, session.token, config.app.baseUrl);
      return c.redirect(to, 303);
    },
  );

  routes.page.post('/console/logout', { summary: 'ends the session', access: 'sender' }, async (c) => {
    await closeSession(contextOf(process).db, c.get('visitor').session);
    takeSession(c);
    return goTo(c, '/console/login');
  });

  // A link in a message of Slack, say, brings no cookie (SameSite=Strict): the login page asks here, and goes on when there is a session after all.
  routes.get(
    '/console/session',
    {
      tag: 'console',
      access: 'public',
      summary: 'whether there is a session',
      answers: { 200: { means: 'whether there is', schema: z.object({ in: z.boolean() }) } },
    },
    async (c) => c.json({ in: await routes.isIn(c) }),
  );
}

/** Where to go after the login: a page of the console, whatever an address says. */
function placeOf(given = '/console'): string {
  return /^\/console(?:\/[A-Za-z0-9/_-]*)?$/.test(given) && !given.startsWith('/console/log') ? given : '/console';
}

/** Postgres holds no NUL and no half character; no e-mail has one. */
function storable(text: string): string {
  return text.isWellFormed() ? text.replaceAll('\u0000', '') : '';
}

function loginPage(config: Config, { to, email = '', words }: { to: string; email?: string; words?: string }): Markup {
  return bare(
    'Entrar',
    config,
    html`<form class="card" method="post" action="/console/login" data-go="${to}">
      <h1>Entrar</h1>
      ${words === undefined ? '' : outcome('wrong', words)}
      <input type="hidden" name="to" value="${to}" />
      <label
        >E-mail
        <input
          name="email"
          type="email"
          autocomplete="username"
          required
          maxlength="200"
          value="${email}"
          ${email === '' ? html`autofocus` : ''}
      /></label>
      <label
        >Senha
        <input
          name="password"
          type="password"
          autocomplete="current-password"
          required
          maxlength="500"
          ${email === '' ? '' : html`autofocus`}
      /></label>
      <button class="main">Entrar</button>
      <p class="quiet">Esqueceu a senha? Quem administra dá uma nova: <code>npm run admin -- user reset SEU-EMAIL</code></p>
    </form>`,
  );
}

function noUsersPage(config: Config): Markup {
  return bare(
    'Primeiro acesso',
    config,
    html`<section class="card">
      <h1>Ninguém tem acesso ainda</h1>
      <p>Faça o primeiro usuário na máquina onde o produto roda:</p>
      <pre><code>npm run admin -- user create voce@empresa.com --role admin</code></pre>
      <p>No Docker: <code>docker compose exec api admin user create voce@empresa.com --role admin</code></p>
      <p>O comando mostra uma senha, uma vez só. Depois, <a href="/console/login">entre aqui</a>.</p>
    </section>`,
  );
}
