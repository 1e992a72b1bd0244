/** /console/password: a user chooses a password; at the first login it comes before everything else. */
import { cut } from '../words/cut.ts';
import { html } from 'hono/html';
import { hashPassword, isPassword, passwordFault, passwordPlace } from '../people/passwords.ts';
import { beginLogin, changePassword, wrongPassword } from '../people/user-calls.ts';
import { contextOf } from '../routes/context-of.ts';
import { giveSession, newSession } from '../routes/session.ts';
import type { Visitor } from '../routes/session.ts';
import type { Routes } from '../routes/table.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { outcome } from './markup.ts';
import { bare, ROLE_NAMES } from './layout.ts';
import { proof } from './proof.ts';
import type { Site } from './page.ts';

export function passwordRoutes(routes: Routes, site: Site): void {
  const { process, config } = site;
  routes.page.get('/console/password', { summary: 'to choose a password', access: 'sender' }, (c) =>
    show(c, passwordPage(site, c.get('visitor'))),
  );
  routes.page.post(
    '/console/password',
    {
      summary: 'a password was chosen',
      access: 'sender',
      form: { current: 'uma frase', password: 'uma frase bem longa', repeated: 'uma frase bem longa' },
    },
    async (c) => {
      const visitor = c.get('visitor');
      const form = new URLSearchParams(await c.req.text());
      const [current, chosen, repeated] = ['current', 'password', 'repeated'].map((name) => cut(form.get(name) ?? '', 500));
      const again = (words: string): Promise<Response> => show(c, passwordPage(site, visitor, words), 422);
      if (chosen !== repeated) return again('As duas senhas novas não são iguais.');
      const fault = passwordFault(chosen ?? '', visitor.email);
      if (fault !== null) return again(fault);
      if (chosen === current) return again('Escolha uma senha diferente da atual.');
      using place = passwordPlace(true);
      if (place === null) return again('Muitas senhas de uma vez. Espere um pouco.');
      const { db } = contextOf(process);
      // As a login: guesses at the current one count.
      const begun = await beginLogin(db, visitor.email);
      const right = await isPassword(current ?? '', begun.outcome === 'check' ? begun.hash : null);
      if (begun.outcome === 'no') return again('A senha atual não confere.');
      if (!right) {
        await wrongPassword(db, begun.user_id);
        return again('A senha atual não confere.');
      }
      const session = newSession();
      const changed = await changePassword(db, {
        user: begun.user_id,
        password: begun.password_id,
        hash: await hashPassword(chosen ?? ''),
        session: session.hash,
      });
      if (!changed) return again('A senha mudou neste momento em outro lugar. Entre de novo.');
      giveSession(c, session.token, config.app.baseUrl);
      return c.redirect(visitor.role === 'sender' ? '/console/password?done=1' : '/console', 303);
    },
  );
}

function passwordPage({ config, page }: Site, visitor: Visitor, words?: string): Markup {
  const form = html`<form class="card" method="post" action="/console/password">
    <h1>${visitor.must_change ? 'Escolha a sua senha' : 'Trocar a senha'}</h1>
    ${visitor.must_change ? html`<p>A senha que você recebeu serve uma vez só. Escolha a sua para continuar.</p>` : ''}
    ${words === undefined ? '' : outcome('wrong', words)} ${proof(visitor)}
    <input
      class="away"
      name="email"
      type="email"
      autocomplete="username"
      value="${visitor.email}"
      readonly
      tabindex="-1"
      aria-hidden="true"
    />
    <label
      >${visitor.must_change ? 'Senha que você recebeu' : 'Senha atual'}
      <input name="current" type="password" autocomplete="current-password" required autofocus
    /></label>
    <label>Senha nova <input name="password" type="password" autocomplete="new-password" required minlength="12" /></label>
    <label>Senha nova, outra vez <input name="repeated" type="password" autocomplete="new-password" required minlength="12" /></label>
    <p class="quiet">Pelo menos 12 caracteres; uma frase curta serve. As outras sessões abertas terminam.</p>
    <button class="main">Guardar</button>
  </form>`;
  if (visitor.must_change) return bare('Escolha a sua senha', config, form);
  const role =
    visitor.role === 'sender'
      ? html`<p class="quiet">
          O seu papel é ${ROLE_NAMES['sender']}: envia mensagens pela API. As páginas são para operação e administração.
        </p>`
      : '';
  return page({ title: 'Trocar a senha', here: '/console/password', visitor }, html`<div class="narrow">${role}${form}</div>`);
}
