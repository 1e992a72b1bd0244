/** The console: server-rendered pages for the people who run a number. Wiring only; a page is an entry of pages.ts. */
import { html } from 'hono/html';
import type { Process } from '../routes/ops.ts';
import { isConsole } from '../routes/browser.ts';
import type { Routes } from '../routes/table.ts';
import { assetRoutes } from './assets.ts';
import { bare, siteOf } from './layout.ts';
import { liveRoutes } from './live.ts';
import { loginRoutes } from './login.ts';
import { PAGES } from './pages.ts';
import { passwordRoutes } from './password.ts';
import { stopRoutes } from './stop.ts';
import { troubleText } from './trouble-texts.ts';

/** A page that could not be made asks again by itself. Seconds. */
const AGAIN_SECONDS = 4;

export function consoleRoutes(routes: Routes, process: Process): void {
  routes.onTrouble((c, status) => {
    const accepts = c.req.header('accept') ?? '';
    if (!isConsole(c.req.path) || !accepts.includes('text/html')) return null;
    const { title, text, passes } = troubleText(status);
    // A look may be repeated; what was posted may have been done.
    const again = passes && c.req.method === 'GET' ? AGAIN_SECONDS : undefined;
    const body = bare(
      title,
      process.config,
      html`<section class="card" role="alert" ${again === undefined ? '' : html`data-again="${again}"`}>
        <h1>${title}</h1>
        <p>${text}</p>
        ${again === undefined ? '' : html`<p class="quiet">Esta página tenta de novo sozinha a cada ${again} segundos.</p>`}
        <p><a class="button" href="${c.req.method === 'GET' ? c.req.path : '/console'}">Tentar agora</a> <a href="/console">Início</a></p>
        <p class="quiet">Pedido ${c.get('requestId')}</p>
      </section>`,
    );
    return c.html(body as string, status as 400);
  });
  assetRoutes(routes);
  loginRoutes(routes, process);
  liveRoutes(routes, process);
  stopRoutes(routes, process);
  const site = siteOf(process, PAGES);
  passwordRoutes(routes, site);
  for (const page of PAGES) page.mount(routes, site);
  const [first] = PAGES;
  routes.get('/', { tag: 'console', access: 'public', summary: 'leads to the console', answers: { 302: 'to /console' } }, (c) =>
    c.redirect('/console', 302),
  );
  routes.page.get('/console', { summary: 'leads to the first page', access: 'sender' }, (c) => {
    const { role } = c.get('visitor');
    return c.redirect(role === 'sender' || first === undefined ? '/console/password' : first.path, 303);
  });
}
