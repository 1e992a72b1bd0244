/** What stands around every page: head, navigation, who is in. */
import { html } from 'hono/html';
import type { HtmlEscapedString } from 'hono/utils/html';
import type { Config } from '../config.ts';
import { mayCall } from '../routes/auth.ts';
import { assetPath } from './assets.ts';
import { proof } from './proof.ts';
import { stopOf } from './stop.ts';
import type { Stopped } from './stop.ts';
import type { Markup } from './answer.ts';
import type { Page, Site } from './page.ts';
import type { Process } from '../routes/ops.ts';

/** No script and no style of a page itself, and nothing that is evaluated: see the content security policy in routes/browser.ts. */
const HTMX = JSON.stringify({ includeIndicatorCSS: false, allowEval: false, history: false });

export function siteOf(process: Process, pages: readonly Page[]): Site {
  const { config } = process;
  return {
    process,
    config,
    page: async ({ title, here, visitor }, main) =>
      framed({ title, here, visitor, config, pages, stopped: await stopOf(process, visitor, here) }, main),
  };
}

type Framed = Parameters<Site['page']>[0] & { config: Config; pages: readonly Page[]; stopped: Stopped };

function framed({ title, here, visitor, config, pages, stopped }: Framed, main: Markup): Promise<HtmlEscapedString> {
  const links = pages.filter(({ access }) => mayCall(visitor.role, access));
  return Promise.resolve(
    head(
      `${title} · ${config.app.name}`,
      html`<body class="app" data-csrf="${visitor.csrf}">
        <a class="skip" href="#main">Ir para o conteúdo</a>
        <header class="side">
          <a class="brand" href="/console">${brand(config)}</a>
          <nav aria-label="Páginas">
            ${links.map(({ path, name }) => html`<a href="${path}" ${path === here ? html`aria-current="page"` : ''}>${name}</a>`)}
          </nav>
          ${stopped.button}
          <details class="me">
            <summary><span class="who">${visitor.email}</span></summary>
            <div class="menu">
              <p>${visitor.email}<br /><small>${ROLE_NAMES[visitor.role] ?? visitor.role}</small></p>
              <a href="/console/password">Trocar a senha</a>
              <form method="post" action="/console/logout">${proof(visitor)}<button class="plain">Sair</button></form>
            </div>
          </details>
        </header>
        <div class="page">
          ${stopped.banner}
          <p id="banner" class="banner" role="alert" hidden></p>
          <main id="main" tabindex="-1">${main}</main>
        </div>
      </body>`,
    ),
  );
}

/** A page without navigation: login, errors. */
export function bare(title: string, config: Config, main: Markup): Markup {
  return head(
    `${title} · ${config.app.name}`,
    html`<body class="bare">
      <main id="main">
        <p class="brand">${brand(config)}</p>
        ${main}
      </main>
    </body>`,
  );
}

export const ROLE_NAMES: Readonly<Record<string, string>> = { sender: 'Envio', operator: 'Operação', admin: 'Administração' };

function brand({ app }: Config): Markup {
  return html`<span class="mark" aria-hidden="true"></span
    ><span>${app.name}${app.company === null ? '' : html`<small>${app.company}</small>`}</span>`;
}

function head(title: string, body: Markup): Markup {
  return html`<!doctype html>
    <html lang="pt-BR">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light" />
        <meta name="htmx-config" content="${HTMX}" />
        <title>${title}</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="${assetPath('console.css')}" />
        <script src="${assetPath('htmx.js')}" defer></script>
        <script src="${assetPath('console.js')}" defer></script>
      </head>
      ${body}
    </html>`;
}
