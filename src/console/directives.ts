/** Instruções: what the team tells the agent, and what documents propose, each with its sentence and what it would change. Part of the page Agente. */
import { diffWordsWithSpace } from 'diff';
import { html } from 'hono/html';
import { timeFormat } from '../admin/why.ts';
import { listDirectives } from '../directives/calls.ts';
import type { Directive } from '../directives/calls.ts';
import { mayCall } from '../routes/auth.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import type { Routes } from '../routes/table.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { outcome } from './markup.ts';
import { proof } from './proof.ts';
import type { Site } from './page.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

export const DIRECTIVES_PATH = '/console/agent/directives';
/** So many are shown; the rest is for the command line. */
const MOST = 100;

type Around = { here: string; tabs: Markup };
type Said = { wrong: string; text?: string } | { good: string };

const VERBS = {
  approve: 'A instrução vale a partir da próxima mensagem.',
  reject: 'A proposta foi recusada.',
  end: 'A instrução não vale mais.',
} as const;

export function directiveRoutes(routes: Routes, site: Site, around: Around): void {
  routes.page.get(DIRECTIVES_PATH, { summary: 'what the team tells the agent', access: 'operator' }, async (c) =>
    show(c, await directivesMarkup(site, around, { visitor: c.get('visitor'), said: null })),
  );
  routes.page.post(
    `${DIRECTIVES_PATH}/add`,
    { summary: 'directive add', access: 'admin', form: { text: 'Frete grátis para todo o Brasil', until: 'sexta' } },
    async (c) => {
      const visitor = c.get('visitor');
      const form = new URLSearchParams(await c.req.text());
      const [text, until] = ['text', 'until'].map((field) => (form.get(field) ?? '').replaceAll('\r\n', '\n').trim());
      const outcome = await run(site, visitor, 'directive add', { text, ...(until === '' ? {} : { until }) });
      const said: Said = outcome.ok
        ? { good: 'A instrução vale a partir da próxima mensagem.' }
        : { wrong: refusalText(outcome), ...(text === undefined ? {} : { text }) };
      return show(c, await directivesMarkup(site, around, { visitor, said }), outcome.ok ? 200 : 422);
    },
  );
  for (const verb of ['approve', 'reject', 'end'] as const)
    routes.page.post(`${DIRECTIVES_PATH}/${verb}`, { summary: `directive ${verb}`, access: 'admin', form: { id: '3' } }, async (c) => {
      const visitor = c.get('visitor');
      const id = new URLSearchParams(await c.req.text()).get('id') ?? '';
      const outcome = await run(site, visitor, `directive ${verb}`, { id });
      const said: Said = outcome.ok ? { good: VERBS[verb] } : { wrong: refusalText(outcome) };
      return show(c, await directivesMarkup(site, around, { visitor, said }), outcome.ok ? 200 : 422);
    });
}

async function directivesMarkup(
  { process, config, page }: Site,
  { here, tabs }: Around,
  { visitor, said }: { visitor: Visitor; said: Said | null },
): Promise<Markup> {
  const all = await listDirectives(contextOf(process).db, visitor.tenant, false, MOST);
  const format = timeFormat(config.app.timeZone);
  const mayWrite = mayCall(visitor.role, 'admin');
  const section = (title: string, status: Directive['status'], none: string): Markup => {
    const found = all.filter((each) => each.status === status);
    return html`<section aria-label="${title}">
      <h2>${title}</h2>
      ${found.length === 0 ? html`<p class="quiet">${none}</p>` : ''}
      <ul class="cards">
        ${found.map((each) => directiveMarkup(each, { visitor, format, mayWrite }))}
      </ul>
    </section>`;
  };
  return page(
    { title: 'Instruções', here, visitor },
    html`<h1>Agente</h1>
      ${tabs} ${said === null ? '' : 'wrong' in said ? outcome('wrong', said.wrong) : outcome('good', said.good)}
      <div class="split">
        <div>
          ${section('Propostas', 'proposed', 'Nenhuma espera por um sim.')}
          ${section('Em vigor', 'active', 'Nenhuma: o agente segue as palavras dele e os documentos.')}
        </div>
        <section class="card" aria-labelledby="tell-title">
          <h2 id="tell-title">Dizer ao agente</h2>
          ${
            mayWrite
              ? html`<form method="post" action="${DIRECTIVES_PATH}/add">
                  ${proof(visitor)}
                  <label
                    >Instrução
                    <textarea name="text" rows="4" required maxlength="500" placeholder="Frete grátis para todo o Brasil">
${said !== null && 'wrong' in said ? (said.text ?? '') : ''}</textarea>
                  </label>
                  <label
                    >Até quando <span class="quiet">sexta, 31/12, daqui a 3 dias; vazio: até alguém encerrar</span>
                    <input name="until" maxlength="60"
                  /></label>
                  <button class="main">Dizer</button>
                  <p class="quiet">O agente pode contar a qualquer cliente o que está aqui.</p>
                </form>`
              : html`<p class="quiet">Quem administra diz ao agente o que vale, e aprova as propostas.</p>`
          }
        </section>
      </div>`,
  );
}

function directiveMarkup(
  { id, status, scope, target, text, before, document, sentence, ends_at: end, created_by: by, created_at: at }: Directive,
  { visitor, format, mayWrite }: { visitor: Visitor; format: (at: Date) => string; mayWrite: boolean },
): Markup {
  const button = (verb: keyof typeof VERBS, label: string, look: string): Markup =>
    html`<form method="post" action="${DIRECTIVES_PATH}/${verb}">
      ${proof(visitor)}<input type="hidden" name="id" value="${id}" /><button class="${look}">${label}</button>
    </form>`;
  return html`<li class="card">
    ${
      before === null
        ? html`<p>${text}</p>`
        : html`<p class="diff">
            ${diffWordsWithSpace(before, text).map(({ value, added, removed }) => (added ? html`<ins>${value}</ins>` : removed ? html`<del>${value}</del>` : html`${value}`))}
          </p>`
    }
    ${document === null ? '' : html`<p class="quiet">De “${document}”: “${sentence ?? ''}”</p>`}
    <p class="quiet">
      ${id} · ${scope === 'global' ? '' : `${SCOPE_NAMES[scope]} ${target} · `}${format(at)} por
      ${by}${end === null ? '' : ` · até ${format(end)}`}
    </p>
    ${
      mayWrite
        ? html`<div class="actions">
            ${status === 'proposed' ? html`${button('approve', 'Vale', 'main')} ${button('reject', 'Não vale', 'plain')}` : button('end', 'Encerrar', 'plain stop')}
          </div>`
        : ''
    }
  </li>`;
}

const SCOPE_NAMES = { agent: 'agente', campaign: 'campanha', contact: 'contato' } as const;
