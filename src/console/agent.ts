/** Agente: the agent's words with their versions, a place to try them, and what is missing. What it knows: knowledge.ts. */
import { diffWordsWithSpace } from 'diff';
import { html } from 'hono/html';
import { lacksOf } from '../admin/agents.ts';
import { timeFormat } from '../admin/why.ts';
import { listKnowledge } from '../knowledge/calls.ts';
import { mayCall } from '../routes/auth.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { listVersions, readVersion } from '../turns/agent-calls.ts';
import type { ListedVersion, StoredVersion } from '../turns/agent-calls.ts';
import { LACKS, LANGUAGE_NAMES } from './agent-texts.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { outcome } from './markup.ts';
import { DIRECTIVES_PATH, directiveRoutes } from './directives.ts';
import { knowledgeRoutes, KNOWLEDGE_PATH } from './knowledge.ts';
import { proof } from './proof.ts';
import type { Page, Site } from './page.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

const PATH = '/console/agent';
/** The numbers' own agent; another one is for the command line. */
const SLUG = 'default';
/** So many versions are shown. */
const MOST = 12;
/** What of an agent a person writes, and what it is called in a form. */
const PARTS = [
  { name: 'tone', label: 'Tom', hint: 'Como escreve: formal ou à vontade, frases curtas, emoji ou não.', rows: 3 },
  { name: 'instructions', label: 'O que fazer', hint: 'Como atende, o que pergunta, quando chama uma pessoa.', rows: 8 },
  { name: 'promises', label: 'O que pode prometer', hint: 'O que pode garantir sozinho. O resto uma pessoa confirma.', rows: 4 },
] as const;
/** One field after the other, as a form posts them. */
const FIELDS = ['from', 'name', 'company', 'language', ...PARTS.map(({ name }) => name), 'note'] as const;

type Said =
  | { wrong: string; form?: Readonly<Record<string, string>> }
  | { good: string }
  | { tried: { text: string; answer: string | null; failed: string | null; cost: string; version: number } };

export const agentPage: Page = {
  path: PATH,
  name: 'Agente',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'the agent, its words and their versions', access: 'operator' }, async (c) =>
      show(c, await agentMarkup(site, c.get('visitor'), null)),
    );
    routes.page.post(
      `${PATH}/save`,
      {
        summary: 'agent save',
        access: 'admin',
        form: { name: 'Julia', tone: 'Cordial.', instructions: 'Responda a quem pergunta.', promises: 'Nada.' },
      },
      async (c) => {
        const visitor = c.get('visitor');
        const form = Object.fromEntries(new URLSearchParams(await c.req.text()));
        const given = FIELDS.flatMap((name) =>
          form[name] === undefined || ((name === 'note' || name === 'from') && form[name] === '') ? [] : [[name, lines(form[name])]],
        );
        const outcome = await run(site, visitor, 'agent save', { ...Object.fromEntries(given), anyway: form['anyway'] === 'on' });
        if (!outcome.ok) return show(c, await agentMarkup(site, visitor, { wrong: refusalText(outcome), form }), 422);
        const { version, saved } = outcome.result as { version: number; saved: boolean };
        const good = saved
          ? `A versão ${version} é um rascunho: experimente abaixo e publique.`
          : `Nada mudou: a versão ${version} diz o mesmo.`;
        return show(c, await agentMarkup(site, visitor, { good }));
      },
    );
    for (const verb of ['publish', 'rollback'] as const)
      routes.page.post(
        `${PATH}/${verb}`,
        { summary: `agent ${verb}`, access: 'admin', form: verb === 'publish' ? { version: '2' } : {} },
        async (c) => {
          const visitor = c.get('visitor');
          const form = new URLSearchParams(await c.req.text());
          const outcome = await run(site, visitor, `agent ${verb}`, verb === 'publish' ? { version: form.get('version') ?? '' } : {});
          if (!outcome.ok) return show(c, await agentMarkup(site, visitor, { wrong: refusalText(outcome) }), 422);
          const { version } = outcome.result as { version: number };
          return show(c, await agentMarkup(site, visitor, { good: `A versão ${version} vale a partir da próxima mensagem.` }));
        },
      );
    routes.page.post(
      `${PATH}/try`,
      { summary: 'agent try', access: 'operator', form: { text: 'Bom dia! Que horas vocês abrem?' } },
      async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const text = form.get('text') ?? '';
        const version = form.get('version') ?? '';
        const outcome = await run(site, visitor, 'agent try', { text, ...(version === '' ? {} : { version }) });
        if (!outcome.ok) return show(c, await agentMarkup(site, visitor, { wrong: refusalText(outcome) }), 422);
        const tried = outcome.result as {
          answer: string | null;
          failed: string | null;
          version: number;
          model: string;
          cost_usd: number | null;
        };
        const cost = tried.cost_usd === null ? tried.model : `${tried.model}, US$ ${tried.cost_usd.toFixed(5)}`;
        return show(c, await agentMarkup(site, visitor, { tried: { ...tried, text, cost } }));
      },
    );
    directiveRoutes(routes, site, { here: PATH, tabs: agentTabs(DIRECTIVES_PATH) });
    knowledgeRoutes(routes, site, { here: PATH, tabs: agentTabs(KNOWLEDGE_PATH) });
  },
};

/** A browser ends lines as mail does. */
function lines(text: string): string {
  return text.replaceAll('\r\n', '\n');
}

function agentTabs(here: string): Markup {
  const tabs = [
    [PATH, 'Palavras'],
    [DIRECTIVES_PATH, 'Instruções'],
    [KNOWLEDGE_PATH, 'O que a empresa sabe'],
  ] as const;
  return html`<nav class="tabs" aria-label="Agente">
    ${tabs.map(([path, name]) => html`<a href="${path}" ${path === here ? html`aria-current="page"` : ''}>${name}</a>`)}
  </nav>`;
}

async function agentMarkup({ process, config, page }: Site, visitor: Visitor, said: Said | null): Promise<Markup> {
  const { db } = contextOf(process);
  const { tenant } = visitor;
  const [active, listed, documents] = await Promise.all([
    readVersion(db, tenant, SLUG, null),
    listVersions(db, tenant, SLUG, MOST),
    listKnowledge(db, tenant),
  ]);
  // Each with what it changes against the one before it.
  const versions = await Promise.all(listed.map(async ({ version }) => readVersion(db, tenant, SLUG, version)));
  // What a draft says is edited on, not what is in force.
  const newest = versions[0] ?? active;
  const lacks = active === null ? [] : lacksOf(active, { company: config.app.company, documents: documents.length });
  const mayWrite = mayCall(visitor.role, 'admin');
  return page(
    { title: 'Agente', here: PATH, visitor },
    html`<h1>Agente</h1>
      ${agentTabs(PATH)} ${said === null ? '' : saidMarkup(said)}
      ${
        lacks.length === 0
          ? ''
          : html`<ul class="lacks">
              ${lacks.map(({ code }) => html`<li>${LACKS[code] ?? code}</li>`)}
            </ul>`
      }
      ${tryMarkup(visitor, listed, said)}
      <div class="split">
        <section class="card" aria-labelledby="words-title">
          <h2 id="words-title">
            Palavras
            ${newest === null ? '' : html`<small>da versão ${newest.version}${newest.active ? ', em vigor' : ', um rascunho'}</small>`}
          </h2>
          ${wordsMarkup(visitor, newest, { mayWrite, said })}
        </section>
        <section aria-labelledby="versions-title">
          <h2 id="versions-title">Versões</h2>
          ${listed.length === 0 ? html`<p class="quiet">Ainda não há versão própria: valem as palavras que vêm com o produto.</p>` : ''}
          <ol class="cards">
            ${listed.map((each, index) => versionMarkup(each, { visitor, mayWrite, format: timeFormat(config.app.timeZone), pair: [versions[index] ?? null, versions[index + 1] ?? null] }))}
          </ol>
        </section>
      </div>`,
  );
}

function saidMarkup(said: Said): Markup {
  if ('wrong' in said) return outcome('wrong', said.wrong);
  if ('good' in said) return outcome('good', said.good);
  return html``;
}

function tryMarkup(visitor: Visitor, listed: readonly ListedVersion[], said: Said | null): Markup {
  const tried = said !== null && 'tried' in said ? said.tried : null;
  return html`<section class="card try" aria-labelledby="try-title">
    <h2 id="try-title">Experimente</h2>
    <form class="row" method="post" action="${PATH}/try">
      ${proof(visitor)}
      <label
        >O cliente escreve <input name="text" required maxlength="4000" value="${tried?.text ?? 'Bom dia! Que horas vocês abrem?'}"
      /></label>
      ${
        listed.length === 0
          ? ''
          : html`<label class="small"
              >Com a versão
              <select name="version">
                ${listed.map(({ version, active }) => html`<option value="${version}" ${tried?.version === version ? 'selected' : ''}>${version}${active ? ' (em vigor)' : ''}</option>`)}
              </select>
            </label>`
      }
      <button class="main">Ver a resposta</button>
    </form>
    ${
      tried === null
        ? html`<p class="quiet">Nada é enviado nem guardado. O modelo responde de verdade, e é pago.</p>`
        : html`<div class="reply" role="status">
            <p>${tried.answer ?? `Sem resposta: ${tried.failed ?? 'o modelo não disse nada'}.`}</p>
            <p class="quiet">versão ${tried.version} · ${tried.cost} · nada foi enviado</p>
          </div>`
    }
  </section>`;
}

function wordsMarkup(
  visitor: Visitor,
  version: StoredVersion | null,
  { mayWrite, said }: { mayWrite: boolean; said: Said | null },
): Markup {
  const form = said !== null && 'wrong' in said ? said.form : undefined;
  const value = (name: 'name' | 'company' | 'language' | (typeof PARTS)[number]['name']): string => form?.[name] ?? version?.[name] ?? '';
  const lock = mayWrite ? '' : html`readonly`;
  return html`<form method="post" action="${PATH}/save">
    ${proof(visitor)}<input type="hidden" name="from" value="${version?.version ?? ''}" />
    <div class="row">
      <label>Nome <input name="name" required maxlength="80" value="${value('name')}" ${lock} /></label>
      <label
        >Empresa <input name="company" maxlength="200" value="${value('company')}" placeholder="como NOME_EMPRESA diz" ${lock}
      /></label>
      <label class="small"
        >Língua
        <select name="language">
          ${Object.entries(LANGUAGE_NAMES).map(([code, name]) => html`<option value="${code}" ${value('language') === code ? 'selected' : ''}>${name}</option>`)}
        </select>
      </label>
    </div>
    ${PARTS.map(
      ({ name, label, hint, rows }) =>
        html`<label
          >${label} <span class="quiet">${hint}</span>
          <textarea name="${name}" rows="${rows}" required maxlength="60000" ${lock}>${value(name)}</textarea>
        </label>`,
    )}
    ${
      mayWrite
        ? html`<label
              >O que muda <span class="quiet">para a lista; pode ficar vazio</span>
              <input name="note" maxlength="500" value="${form?.['note'] ?? ''}"
            /></label>
            <label class="check"><input type="checkbox" name="anyway" /> salvar mesmo que seja curto demais para o cache do modelo</label>
            <button class="main">Salvar como rascunho</button>
            <p class="quiet">{agente} e {empresa} no texto viram os nomes. Um rascunho não responde a ninguém até ser publicado.</p>`
        : html`<p class="quiet">Quem administra muda as palavras e publica.</p>`
    }
  </form>`;
}

type Shown = {
  visitor: Visitor;
  mayWrite: boolean;
  format: (at: Date) => string;
  /** The version, and the one before it. */
  pair: [StoredVersion | null, StoredVersion | null];
};

function versionMarkup(
  { version, active, note, replaced, created_by: by, created_at: at, published_at: since }: ListedVersion,
  shown: Shown,
): Markup {
  const { visitor, mayWrite, format, pair } = shown;
  const state = active
    ? html`<span class="tag ok">em vigor</span>`
    : since === null
      ? html`<span class="tag">rascunho</span>`
      : html`<span class="tag off">já valeu</span>`;
  return html`<li class="card">
    <h2>Versão ${version} ${state}</h2>
    <p class="quiet">salva ${format(at)} por ${by}${since === null ? '' : html`<br />publicada ${format(since)}`}</p>
    ${note === null ? '' : html`<p>${note}</p>`}
    ${
      pair[0] === null || pair[1] === null
        ? ''
        : html`<details>
            <summary>O que mudou desde a versão ${pair[1].version}</summary>
            ${diffMarkup(pair[0], pair[1])}
          </details>`
    }
    ${
      !mayWrite
        ? ''
        : active
          ? replaced === null
            ? ''
            : html`<form method="post" action="${PATH}/rollback" data-ask="Voltar à versão que valia antes?">
                ${proof(visitor)}<button class="plain">Voltar à anterior</button>
              </form>`
          : html`<form
              method="post"
              action="${PATH}/publish"
              data-ask="Publicar a versão ${version}? Ela responde a partir da próxima mensagem."
            >
              ${proof(visitor)}<input type="hidden" name="version" value="${version}" /><button class="plain">Publicar</button>
            </form>`
    }
  </li>`;
}

/** Word by word; what did not change is left out. */
function diffMarkup(newer: StoredVersion, older: StoredVersion): Markup {
  const changed = [
    { label: 'Nome', now: newer.name, before: older.name },
    { label: 'Empresa', now: newer.company ?? '', before: older.company ?? '' },
    ...PARTS.map(({ name, label }) => ({ label, now: newer[name], before: older[name] })),
  ].filter(({ now, before }) => now !== before);
  if (changed.length === 0) return html`<p class="quiet">Só o que não é texto: língua, modelo, ferramentas ou frases do sistema.</p>`;
  return html`${changed.map(
    ({ label, now, before }) =>
      html`<h3>${label}</h3>
        <p class="diff">
          ${diffWordsWithSpace(before, now).map(({ value, added, removed }) => (added ? html`<ins>${value}</ins>` : removed ? html`<del>${value}</del>` : html`${value}`))}
        </p>`,
  )}`;
}
