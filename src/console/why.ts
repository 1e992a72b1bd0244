/** What happened to a message, or in a conversation, step by step: the same as `why`, in Portuguese. */
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import { whyConversation, whyMessage } from '../admin/why.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Routes } from '../routes/table.ts';
import { show } from './answer.ts';
import { PATH } from './conversation-markup.ts';
import { clockWithSeconds, entryText } from './why-texts.ts';
import type { Site } from './page.ts';

const STEPS = 200;

export function whyRoutes(routes: Routes, site: Site): void {
  routes.page.get(`${PATH}/:id{[0-9]{1,15}}/why`, { summary: 'what happened, step by step', access: 'operator' }, async (c) => {
    const ctx = contextOf(site.process);
    const visitor = c.get('visitor');
    const message = /^\d{1,15}$/.exec(c.req.query('message') ?? '')?.[0];
    const id = Number(c.req.param('id'));
    const told =
      message === undefined ? await whyConversation(ctx, visitor.tenant, id, STEPS) : await whyMessage(ctx, visitor.tenant, message, STEPS);
    if (!told.ok) throw new HTTPException(404);
    const time = clockWithSeconds(site.config.app.timeZone);
    return show(
      c,
      site.page(
        { title: 'Passo a passo', here: PATH, visitor },
        html`<p><a href="${PATH}/${told.result.conversation.id}">‹ Voltar à conversa</a></p>
          <h1>${message === undefined ? 'O que aconteceu nesta conversa' : 'O que aconteceu com esta mensagem'}</h1>
          <ol class="steps">
            ${told.result.entries.map((entry) => {
              const { says, why, tone } = entryText(entry, time);
              return html`<li class="${tone}">
                <time>${time(entry.at)}</time>
                <div><b>${says}</b>${why === null ? '' : html`<p>${why}</p>`}</div>
              </li>`;
            })}
          </ol>`,
      ),
    );
  });
}
