/** Auditoria: who did what, the newest first. */
import { html } from 'hono/html';
import { listAudit } from '../people/audit-calls.ts';
import { contextOf } from '../routes/context-of.ts';
import { show } from './answer.ts';
import { actionText } from './audit-texts.ts';
import { clockWithSeconds } from './why-texts.ts';
import type { Page } from './page.ts';

const PATH = '/console/audit';
const ROWS = 100;

export const auditPage: Page = {
  path: PATH,
  name: 'Auditoria',
  access: 'admin',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'who did what', access: 'admin' }, async (c) => {
      const visitor = c.get('visitor');
      const before = /^\d{1,15}$/.exec(c.req.query('before') ?? '')?.[0];
      const rows = await listAudit(contextOf(site.process).db, visitor.tenant, ROWS, before === undefined ? null : Number(before));
      const time = clockWithSeconds(site.config.app.timeZone);
      const last = rows.at(-1);
      return show(
        c,
        site.page(
          { title: 'Auditoria', here: PATH, visitor },
          html`<h1>Auditoria</h1>
            <p class="quiet">Nada aqui muda nem some antes do prazo: só se acrescenta.</p>
            <div class="wide" tabindex="0" role="region" aria-label="Auditoria">
              <table>
                <thead>
                  <tr>
                    <th>Quando</th>
                    <th>Quem</th>
                    <th>O quê</th>
                    <th>Em quê</th>
                    <th>Detalhes</th>
                  </tr>
                </thead>
                <tbody>
                  ${rows.map(
                    (row) =>
                      html`<tr>
                        <td class="when">${time(row.at)}</td>
                        <td>${row.actor.replace(/^console:/, '')}</td>
                        <td>${actionText(row.action)}</td>
                        <td class="words">${row.subject ?? ''}</td>
                        <td class="words">
                          ${Object.entries(row.details)
                            .filter(([, value]) => value !== null)
                            .map(
                              ([key, value]) =>
                                html`<span class="pair">${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}</span> `,
                            )}
                        </td>
                      </tr>`,
                  )}
                </tbody>
              </table>
            </div>
            ${rows.length < ROWS || last === undefined ? '' : html`<p class="more"><a href="${PATH}?before=${last.id}">Mais antigas</a></p>`}`,
        ),
      );
    });
  },
};
