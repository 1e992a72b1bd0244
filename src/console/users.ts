/** Usuários: who may come in, and who asked for which password. */
import { html } from 'hono/html';
import type { Config } from '../config.ts';
import { timeFormat } from '../admin/why.ts';
import { listUsers } from '../people/user-calls.ts';
import type { ListedUser } from '../people/user-calls.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { outcome } from './markup.ts';
import { ROLE_NAMES } from './layout.ts';
import { proof } from './proof.ts';
import { run } from './run.ts';
import type { Page, Site } from './page.ts';

const PATH = '/console/users';
/** Of the list; nobody has more. */
const MOST = 500;

export const usersPage: Page = {
  path: PATH,
  name: 'Usuários',
  access: 'admin',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'who may use the console', access: 'admin' }, async (c) =>
      show(c, await usersMarkup(site, c.get('visitor'), null)),
    );
    for (const verb of ['create', 'reset', 'disable'] as const)
      routes.page.post(
        `${PATH}/${verb}`,
        {
          summary: `user ${verb}`,
          access: 'admin',
          form: verb === 'create' ? { email: 'ana@example.com', role: 'operator' } : { email: 'ana@example.com' },
        },
        async (c) => {
          const visitor = c.get('visitor');
          const form = new URLSearchParams(await c.req.text());
          const names = verb === 'create' ? ['email', 'role'] : ['email'];
          const args = Object.fromEntries(names.map((name) => [name, form.get(name) ?? '']));
          const outcome = await run(site, visitor, `user ${verb}`, args);
          return show(
            c,
            await usersMarkup(site, visitor, outcome.ok ? done(verb, outcome.result as Done) : { wrong: wrongOf(outcome.kind) }),
            outcome.ok ? 200 : 422,
          );
        },
      );
  },
};

type Done = { email: string; password?: string };
type Said = { wrong: string } | { email: string; password: string } | { text: string };

function done(verb: 'create' | 'reset' | 'disable', { email, password }: Done): Said {
  return verb === 'disable' || password === undefined
    ? { text: `${email} não entra mais; as sessões dele terminaram.` }
    : { email, password };
}

function wrongOf(kind: string): string {
  if (kind === 'conflict') return 'Este e-mail já tem acesso, ou já está desligado.';
  if (kind === 'not_found') return 'Não há usuário com este e-mail.';
  return 'Isto não é um e-mail.';
}

async function usersMarkup({ process, config, page }: Site, visitor: Visitor, said: Said | null): Promise<Markup> {
  const users = await listUsers(contextOf(process).db, visitor.tenant, MOST);
  return page(
    { title: 'Usuários', here: PATH, visitor },
    html`<h1>Usuários</h1>
      ${said === null ? '' : saidMarkup(said)}
      <form class="row" method="post" action="${PATH}/create">
        ${proof(visitor)}
        <label>E-mail <input name="email" type="email" required maxlength="200" /></label>
        <label
          >Papel
          <select name="role">
            <option value="operator">Operação: conversas, números, alertas</option>
            <option value="admin">Administração: tudo</option>
            <option value="sender">Envio: só pela API</option>
          </select>
        </label>
        <button class="main">Dar acesso</button>
      </form>
      <ul class="cards">
        ${users.map((user) => userMarkup(user, visitor, config))}
      </ul>`,
  );
}

function saidMarkup(said: Said): Markup {
  if ('wrong' in said) return outcome('wrong', said.wrong);
  if ('text' in said) return outcome('good', said.text);
  return html`<div class="good" role="status">
    <p>Senha de ${said.email}, mostrada só esta vez. Ela é trocada na primeira entrada:</p>
    <p><code class="secret">${said.password}</code></p>
  </div>`;
}

function userMarkup(user: ListedUser, visitor: Visitor, config: Config): Markup {
  const format = timeFormat(config.app.timeZone);
  const own = user.email === visitor.email;
  const state =
    user.disabled_at !== null
      ? html`<span class="tag off">desligado</span> em ${format(user.disabled_at)} por ${user.disabled_by}`
      : user.locked_until !== null
        ? html`<span class="tag warn">fechado</span> até ${format(user.locked_until)}: 10 senhas erradas`
        : user.must_change
          ? html`<span class="tag">novo</span> ainda não trocou a primeira senha`
          : html`entrou
            ${user.logged_in_at === null ? 'nunca' : format(user.logged_in_at)}${user.sessions > 0 ? html` · ${user.sessions} sessão aberta` : ''}`;
  const button = (verb: string, label: string, ask: string): Markup =>
    html`<form method="post" action="${PATH}/${verb}" data-ask="${ask}">
      ${proof(visitor)}<input type="hidden" name="email" value="${user.email}" /><button class="plain">${label}</button>
    </form>`;
  return html`<li class="card">
    <h2>${user.email} <small>${ROLE_NAMES[user.role] ?? user.role}</small></h2>
    <p>${state}</p>
    <details>
      <summary>Senhas: quem pediu e quando</summary>
      <ul class="quiet">
        ${user.passwords.map(({ at, asked_by, temporary }) => html`<li>${format(at)} · ${temporary ? 'primeira senha' : 'senha própria'}, por ${asked_by}</li>`)}
      </ul>
    </details>
    ${
      own
        ? html`<p class="quiet">É você.</p>`
        : html`<div class="actions">
            ${button('reset', user.disabled_at === null ? 'Dar senha nova' : 'Ligar de novo, com senha nova', `Dar uma senha nova a ${user.email}? As sessões dele terminam.`)}
            ${user.disabled_at === null ? button('disable', 'Desligar', `Desligar ${user.email}? Ele sai agora.`) : ''}
          </div>`
    }
  </li>`;
}
