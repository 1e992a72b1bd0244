/** O que a empresa sabe: the documents that the agent answers from, and what of them a question finds. Part of the page Agente. */
import { html } from 'hono/html';
import { timeFormat } from '../admin/why.ts';
import { knowledgePassages, listKnowledge } from '../knowledge/calls.ts';
import type { FoundPassage, ListedDocument } from '../knowledge/calls.ts';
import { WHOLE_CHARS } from '../knowledge/knowledge.ts';
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

export const KNOWLEDGE_PATH = '/console/agent/knowledge';
/** Of a document that is looked at. */
const MOST_PASSAGES = 200;

type Around = { here: string; tabs: Markup };
type Said = { wrong: string } | { good: string } | { question: string; found: FoundPassage[] };

export function knowledgeRoutes(routes: Routes, site: Site, around: Around): void {
  routes.page.get(KNOWLEDGE_PATH, { summary: 'what the company knows', access: 'operator' }, async (c) =>
    show(c, await knowledgeMarkup(site, around, { visitor: c.get('visitor'), said: null, open: c.req.query('document') ?? null })),
  );
  routes.page.post(
    `${KNOWLEDGE_PATH}/add`,
    { summary: 'knowledge add', access: 'operator', form: { name: 'precos.md', text: 'A camiseta custa R$ 59,90.' } },
    async (c) => {
      const visitor = c.get('visitor');
      const form = new URLSearchParams(await c.req.text());
      const [name, text, base64] = ['name', 'text', 'base64'].map((field) => form.get(field) ?? '');
      const file = form.get('file') ?? '';
      const args =
        base64 === '' || base64 === undefined
          ? { name: named(name ?? ''), text: (text ?? '').replaceAll('\r\n', '\n') }
          : { file: { name: file, base64 }, ...(name === '' ? {} : { name }) };
      const outcome = await run(site, visitor, 'knowledge add', args);
      const said = outcome.ok
        ? { good: `${(outcome.result as { name: string }).name} está com o agente; vale em até 5 segundos.` }
        : { wrong: refusalText(outcome) };
      return show(c, await knowledgeMarkup(site, around, { visitor, said, open: null }), outcome.ok ? 200 : 422);
    },
  );
  routes.page.post(
    `${KNOWLEDGE_PATH}/remove`,
    { summary: 'knowledge remove', access: 'operator', form: { name: 'precos.md' } },
    async (c) => {
      const visitor = c.get('visitor');
      const name = new URLSearchParams(await c.req.text()).get('name') ?? '';
      const outcome = await run(site, visitor, 'knowledge remove', { name });
      const said = outcome.ok ? { good: `${name} saiu: o agente responde sem ele.` } : { wrong: refusalText(outcome) };
      return show(c, await knowledgeMarkup(site, around, { visitor, said, open: null }), outcome.ok ? 200 : 422);
    },
  );
  routes.page.post(
    `${KNOWLEDGE_PATH}/ask`,
    { summary: 'knowledge ask', access: 'operator', form: { question: 'quanto custa o frete?' } },
    async (c) => {
      const visitor = c.get('visitor');
      const question = new URLSearchParams(await c.req.text()).get('question') ?? '';
      const outcome = await run(site, visitor, 'knowledge ask', { question });
      const said = outcome.ok
        ? { question, found: (outcome.result as { passages: FoundPassage[] }).passages }
        : { wrong: refusalText(outcome) };
      return show(c, await knowledgeMarkup(site, around, { visitor, said, open: null }), outcome.ok ? 200 : 422);
    },
  );
}

/** Who writes a page by hand need not know of endings. */
function named(name: string): string {
  return /\.(md|txt)$/i.test(name) || name === '' ? name : `${name}.md`;
}

type Look = { visitor: Visitor; said: Said | null; open: string | null };

async function knowledgeMarkup({ process, config, page }: Site, { here, tabs }: Around, { visitor, said, open }: Look): Promise<Markup> {
  const { db } = contextOf(process);
  const documents = await listKnowledge(db, visitor.tenant);
  const passages = open === null ? [] : await knowledgePassages(db, visitor.tenant, open);
  const chars = documents.reduce((sum, each) => sum + each.chars, 0);
  const format = timeFormat(config.app.timeZone);
  return page(
    { title: 'O que a empresa sabe', here, visitor },
    html`<h1>Agente</h1>
      ${tabs} ${said === null ? '' : saidMarkup(said)}
      <div class="split">
        <section aria-labelledby="documents-title">
          <h2 id="documents-title">Documentos <small>${amount(chars)}</small></h2>
          ${documents.length === 0 ? html`<p class="card">Nenhum ainda: o agente não sabe preço, horário nem prazo. Acrescente o primeiro ao lado.</p>` : ''}
          <ul class="cards">
            ${documents.map((each) => documentMarkup(each, { visitor, format, passages: each.name === open ? passages : null }))}
          </ul>
        </section>
        <div>
          <section class="card" aria-labelledby="ask-title">
            <h2 id="ask-title">O que uma pergunta encontra</h2>
            <form class="row" method="post" action="${KNOWLEDGE_PATH}/ask">
              ${proof(visitor)}
              <label
                >Nas palavras de um cliente <input name="question" required maxlength="500" placeholder="quanto fica o frete pra Minas?"
              /></label>
              <button>Procurar</button>
            </form>
          </section>
          <section class="card" aria-labelledby="add-title">
            <h2 id="add-title">Acrescentar ou trocar</h2>
            <form method="post" action="${KNOWLEDGE_PATH}/add">
              ${proof(visitor)}<input type="hidden" name="base64" /><input type="hidden" name="file" />
              <label
                >Arquivo <span class="quiet">md, txt, csv, docx ou pdf, até 700 kB; maior, por comando</span>
                <input type="file" data-file accept=".md,.txt,.csv,.docx,.pdf"
              /></label>
              <p class="quiet">ou escreva aqui:</p>
              <label>Nome <input name="name" maxlength="200" placeholder="precos" /></label>
              <label
                >Texto
                <textarea
                  name="text"
                  rows="8"
                  maxlength="500000"
                  placeholder="# Entrega&#10;&#10;Entregamos em todo o Brasil..."
                ></textarea>
              </label>
              <button class="main">Dar ao agente</button>
              <p class="quiet">O mesmo nome de novo troca o documento. O que está escrito aqui o agente pode dizer a qualquer cliente.</p>
            </form>
          </section>
        </div>
      </div>`,
  );
}

function amount(chars: number): string {
  const all = chars.toLocaleString('pt-BR');
  return chars <= WHOLE_CHARS
    ? `${all} caracteres: o agente lê tudo em cada resposta`
    : `${all} caracteres: o agente lê os cinco trechos de que cada pergunta precisa`;
}

function saidMarkup(said: Said): Markup {
  if ('wrong' in said) return outcome('wrong', said.wrong);
  if ('good' in said) return outcome('good', said.good);
  return html`<section class="card" role="status">
    <h2>Para “${said.question}”</h2>
    ${said.found.length === 0 ? html`<p>Nenhum documento tem algo disso: o agente vai dizer que não sabe.</p>` : ''}
    <ol class="found">
      ${said.found.map(
        ({ name, heading, text }) =>
          html`<li>
            <strong>${name}</strong>${heading === '' ? '' : html` <span class="quiet">${heading}</span>`}
            <pre>${text}</pre>
          </li>`,
      )}
    </ol>
  </section>`;
}

type Shown = { visitor: Visitor; format: (at: Date) => string; passages: { heading: string; text: string }[] | null };

function documentMarkup(
  { name, kind, chars, pages, added_by: by, updated_at: at }: ListedDocument,
  { visitor, format, passages }: Shown,
): Markup {
  const size = `${chars.toLocaleString('pt-BR')} caracteres${pages === null ? '' : `, ${pages} páginas`}`;
  return html`<li class="card">
    <h2>${name} <small>${kind}</small></h2>
    <p class="quiet">${size} · ${format(at)} por ${by}</p>
    ${
      passages === null
        ? ''
        : html`<div class="passages">
            ${passages.slice(0, MOST_PASSAGES).map(
              ({ heading, text }) =>
                html`${heading === '' ? '' : html`<h3>${heading}</h3>`}
                  <pre>${text}</pre>`,
            )}
          </div>`
    }
    <div class="actions">
      ${passages === null ? html`<a class="button plain" href="${KNOWLEDGE_PATH}?document=${encodeURIComponent(name)}">Ver como o agente lê</a>` : html`<a class="button plain" href="${KNOWLEDGE_PATH}">Fechar</a>`}
      <form method="post" action="${KNOWLEDGE_PATH}/remove" data-ask="Tirar ${name} do agente?">
        ${proof(visitor)}<input type="hidden" name="name" value="${name}" /><button class="plain stop">Tirar</button>
      </form>
    </div>
  </li>`;
}
