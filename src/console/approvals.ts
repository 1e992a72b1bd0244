/** Autorizações: what the agent asked to be done outside, and waits for a person's yes. */
import { html } from 'hono/html';
import { timeFormat } from '../admin/why.ts';
import { listApprovals } from '../tools/calls.ts';
import type { Approval } from '../tools/calls.ts';
import { RISK_WORDS } from '../tools/tool-texts.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { oneLine, printable, shownName } from '../words/foreign-text.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { proof } from './proof.ts';
import { run } from './run.ts';
import type { Page, Site } from './page.ts';

const PATH = '/console/approvals';
/** Of the list, the oldest first. */
const MOST = 100;
const CHARS = 600;

export const approvalsPage: Page = {
  path: PATH,
  name: 'Autorizações',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'calls of tools that wait for a yes', access: 'operator' }, async (c) =>
      show(c, await approvalsMarkup(site, c.get('visitor'), null)),
    );
    for (const verb of ['approve', 'refuse'] as const)
      routes.page.post(
        `${PATH}/${verb}`,
        { summary: `approval ${verb}`, access: 'operator', form: { id: '12', reason: 'cliente confirmou' } },
        async (c) => {
          const visitor = c.get('visitor');
          const form = new URLSearchParams(await c.req.text());
          const reason = (form.get('reason') ?? '').trim();
          const outcome = await run(site, visitor, `approval ${verb}`, { id: form.get('id') ?? '', ...(reason === '' ? {} : { reason }) });
          const said = outcome.ok ? doneText(outcome.result as Decided) : { wrong: WRONG[outcome.kind] ?? 'Isto não pôde ser feito.' };
          return show(c, await approvalsMarkup(site, visitor, said), outcome.ok ? 200 : 422);
        },
      );
  },
};

type Decided = { approval: number; decided: string; write: string | null };
type Said = { good: string } | { wrong: string };

const WRONG: Readonly<Record<string, string>> = {
  conflict: 'Alguém já respondeu esta autorização, ou o prazo dela passou. Nada mudou agora.',
  not_found: 'Não há esta autorização.',
  bad_request: 'Isto não é o número de uma autorização.',
};

const WRITES: Readonly<Record<string, string>> = {
  done: 'O sistema fez, e o cliente é avisado.',
  failed: 'O sistema recusou, ou a chamada nem saiu: a conversa está com uma pessoa.',
  uncertain: 'Não se sabe se foi feito: confira no sistema; a conversa está com uma pessoa.',
  queued: 'O sistema não está disponível; é tentado de novo em instantes.',
};

function doneText({ approval, decided, write }: Decided): Said {
  if (decided === 'refused') return { good: `Autorização ${approval} negada: nada sai, e o cliente é avisado.` };
  return {
    good: `Autorização ${approval} dada. ${write === null ? 'A chamada já está em andamento, ou sai quando a pausa acabar.' : (WRITES[write] ?? write)}`,
  };
}

async function approvalsMarkup({ process, config, page }: Site, visitor: Visitor, said: Said | null): Promise<Markup> {
  const approvals = await listApprovals(contextOf(process).db, visitor.tenant, MOST);
  const format = timeFormat(config.app.timeZone);
  return page(
    { title: 'Autorizações', here: PATH, visitor },
    html`<h1>Autorizações</h1>
      ${said === null ? '' : 'wrong' in said ? html`<p class="wrong" role="alert">${said.wrong}</p>` : html`<p class="good" role="status">${said.good}</p>`}
      ${
        approvals.length === 0
          ? html`<p class="quiet">Nada espera por um sim. O que o agente pede às ferramentas e precisa de uma pessoa aparece aqui.</p>`
          : html`<ul class="cards">
              ${approvals.map((each) => cardMarkup(each, visitor, format))}
            </ul>`
      }`,
  );
}

function cardMarkup(each: Approval, visitor: Visitor, format: (at: Date) => string): Markup {
  const { id, tool, conversation_id: conversation, contact, input, request, risks, asked } = each;
  const form = (verb: 'approve' | 'refuse', label: string, kind: string): Markup =>
    html`<form method="post" action="${PATH}/${verb}">
      ${proof(visitor)}<input type="hidden" name="id" value="${id}" /><button class="${kind}" aria-label="${label} ${id}">${label}</button>
    </form>`;
  return html`<li class="card">
    <h2>${tool} <small>autorização ${id}</small></h2>
    <p>
      <a href="/console/conversations/${conversation}">Conversa ${conversation}</a>, ${shownName(contact) ?? 'sem nome'} · até
      ${format(each.expires_at)}
    </p>
    ${asked === null ? '' : html`<p class="summary">${oneLine(printable(asked), CHARS)}</p>`}
    <pre>
${Object.entries(input)
  .map(([name, value]) => `${name}: ${oneLine(String(value), 200)}`)
  .join('\n')}
${request.method} ${oneLine(request.url, 300)}</pre>
    <p>Espera porque ${risks.map((risk) => RISK_WORDS[risk] ?? risk).join('; ')}.</p>
    <div class="actions">${form('approve', 'Autorizar', 'main')} ${form('refuse', 'Negar', 'plain')}</div>
  </li>`;
}
