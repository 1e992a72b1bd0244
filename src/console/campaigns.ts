/** Campanhas: offers to many, from a draft with its preview to what came of it. */
import { html } from 'hono/html';
import { listCampaigns, previewCampaign, reportCampaign } from '../campaigns/calls.ts';
import type { CampaignPreview, CampaignReport, CampaignRow, ListedCampaign } from '../campaigns/calls.ts';
import { CAMPAIGN_PLACEHOLDERS, MOST_CAMPAIGN_TEXT } from '../campaigns/campaign-words.ts';
import { campaignSetting } from '../campaigns/campaigns.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { goTo, show } from './answer.ts';
import type { Markup } from './answer.ts';
import { audienceText, importTexts, stateText } from './campaign-texts.ts';
import { clockOf } from './clock.ts';
import type { Clock } from './clock.ts';
import { phoneText } from './conversation-texts.ts';
import { statusText } from './notice-status-texts.ts';
import type { Page, Site } from './page.ts';
import { proof } from './proof.ts';
import { porque } from './reason-texts.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

const PATH = '/console/campaigns';
const MOST = 100;
const ONE = `${PATH}/:campaign{[a-z0-9][a-z0-9-]*}` as const;
const VERBS = { start: 'Começar', pause: 'Pausar', resume: 'Retomar', stop: 'Encerrar' } as const;
type Verb = keyof typeof VERBS;

type Said = { tone: 'good' | 'wrong'; says: string[] } | null;

export const campaignsPage: Page = {
  path: PATH,
  name: 'Campanhas',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'campaigns', access: 'operator' }, async (c) =>
      show(c, await listMarkup(site, c.get('visitor'), null, null)),
    );
    routes.page.post(
      `${PATH}/create`,
      { summary: 'campaign create', access: 'operator', form: { name: 'inverno', tag: 'vip', text: 'Oi {primeiro_nome}!' } },
      async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const field = (name: string): string => (form.get(name) ?? '').trim();
        const filled = ['tag', 'not_tag', 'wrote_days', 'silent_days', 'instance'].filter((name) => field(name) !== '');
        const outcome = await run(site, visitor, 'campaign create', {
          name: field('name'),
          text: (form.get('text') ?? '').replaceAll('\r\n', '\n'),
          ...Object.fromEntries(filled.map((name) => [name, field(name)])),
          ...(field('base64') === '' ? {} : { file: { name: field('file'), base64: field('base64') } }),
        });
        if (!outcome.ok) return show(c, await listMarkup(site, visitor, { tone: 'wrong', says: [refusalText(outcome)] }, form), 422);
        const { list } = outcome.result as { list: Parameters<typeof importTexts>[0] | null };
        return list === null
          ? goTo(c, `${PATH}/${field('name')}`)
          : show(c, (await oneMarkup(site, visitor, field('name'), { tone: 'good', says: importTexts(list) })) ?? html``);
      },
    );
    routes.page.get(ONE, { summary: 'a campaign', access: 'operator' }, async (c) => {
      const page = await oneMarkup(site, c.get('visitor'), c.req.param('campaign'), null);
      return page === null ? c.notFound() : show(c, page);
    });
    routes.page.post(
      `${ONE}/:verb{start|pause|resume|stop}`,
      { summary: 'campaign start, pause, resume or stop', access: 'operator', form: { at: '' } },
      async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const name = c.req.param('campaign');
        const verb = c.req.param('verb') as Verb;
        const at = (form.get('at') ?? '').trim();
        const args = verb === 'start' && at !== '' ? { name, at: momentOf(at, site) } : { name };
        const outcome = await run(site, visitor, `campaign ${verb}`, args);
        const said: Said = outcome.ok ? { tone: 'good', says: ['Feito.'] } : { tone: 'wrong', says: [refusalText(outcome)] };
        const page = await oneMarkup(site, visitor, name, said);
        return page === null ? c.notFound() : show(c, page, outcome.ok ? 200 : 422);
      },
    );
  },
};

/** What a browser's field of date and hour says, as a moment in the zone of the installation; else as it came. */
function momentOf(local: string, { config }: Site): string {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}$/.test(local)) return local;
  const guess = new Date(`${local}:00Z`);
  const wall = new Intl.DateTimeFormat('sv-SE', { timeZone: config.app.timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(guess);
  const offset = new Date(`${wall.replace(' ', 'T')}Z`).getTime() - guess.getTime();
  return new Date(guess.getTime() - offset).toISOString();
}

function saidMarkup(said: Said): Markup {
  if (said === null) return html``;
  return html`<div class="${said.tone}" role="${said.tone === 'good' ? 'status' : 'alert'}">
    ${said.says.map((each) => html`<p>${each}</p>`)}
  </div>`;
}

async function listMarkup(site: Site, visitor: Visitor, said: Said, form: URLSearchParams | null): Promise<Markup> {
  const campaigns = await listCampaigns(contextOf(site.process).db, visitor.tenant, MOST);
  const clock = clockOf(site.config);
  return site.page(
    { title: 'Campanhas', here: PATH, visitor },
    html`<h1>Campanhas</h1>
      ${saidMarkup(said)}
      <div class="split">
        <section aria-labelledby="campaigns-title">
          <h2 id="campaigns-title">Todas</h2>
          ${campaigns.length === 0 ? html`<p class="card">Nenhuma ainda. Escreva a primeira ao lado: nada sai antes de você começar.</p>` : ''}
          <ul class="cards">
            ${campaigns.map((each) => cardMarkup(each, clock))}
          </ul>
        </section>
        <div>${createMarkup(visitor, form)}</div>
      </div>`,
  );
}

function cardMarkup(campaign: ListedCampaign, clock: Clock): Markup {
  return html`<li class="card">
    <h2><a href="${PATH}/${campaign.name}">${campaign.name}</a> ${tagMarkup(campaign)}</h2>
    <p>${stateText(campaign, clock)}</p>
    <p class="quiet">${outcomesText(campaign.outcomes)}</p>
  </li>`;
}

const TONES: Readonly<Record<CampaignRow['status'], string>> = {
  draft: '',
  scheduled: '',
  running: 'ok',
  paused: 'warn',
  done: 'off',
  cancelled: 'off',
};
const NAMES: Readonly<Record<CampaignRow['status'], string>> = {
  draft: 'rascunho',
  scheduled: 'marcada',
  running: 'em andamento',
  paused: 'pausada',
  done: 'terminada',
  cancelled: 'encerrada',
};

function tagMarkup({ status }: CampaignRow): Markup {
  return html`<span class="tag ${TONES[status]}">${NAMES[status]}</span>`;
}

function outcomesText(outcomes: Readonly<Record<string, number>>): string {
  const all = Object.entries(outcomes);
  return all.length === 0 ? 'Ninguém escolhido ainda.' : all.map(([state, n]) => `${n} ${outcomeText(state)}`).join(' · ');
}

function outcomeText(state: string): string {
  return { waiting: 'esperando a vez', skipped: 'de fora', gone: 'sem registro' }[state] ?? statusText(state);
}

function createMarkup(visitor: Visitor, form: URLSearchParams | null): Markup {
  const was = (name: string): string => form?.get(name) ?? '';
  return html`<section class="card" aria-labelledby="create-title">
    <h2 id="create-title">Nova campanha</h2>
    <form method="post" action="${PATH}/create">
      ${proof(visitor)}<input type="hidden" name="base64" /><input type="hidden" name="file" />
      <label
        >Nome <span class="quiet">letras pequenas, números e hífens</span>
        <input name="name" required maxlength="50" value="${was('name')}" placeholder="inverno-2026"
      /></label>
      <label
        >Texto <span class="quiet">${CAMPAIGN_PLACEHOLDERS.map((name) => `{${name}}`).join(' ')}</span>
        <textarea name="text" rows="5" required maxlength="${MOST_CAMPAIGN_TEXT}">${was('text')}</textarea>
      </label>
      <fieldset>
        <legend>Para quem</legend>
        <label>Etiqueta <input name="tag" maxlength="60" value="${was('tag')}" placeholder="vip" /></label>
        <label>Mas não quem tem a etiqueta <input name="not_tag" maxlength="60" value="${was('not_tag')}" /></label>
        <label>Lista em CSV <span class="quiet">colunas telefone e nome</span> <input type="file" data-file accept=".csv" /></label>
        <label
          >Quem escreveu nos últimos dias <input name="wrote_days" type="number" min="1" max="3650" value="${was('wrote_days')}"
        /></label>
        <label>Quem está calado há dias <input name="silent_days" type="number" min="1" max="3650" value="${was('silent_days')}" /></label>
      </fieldset>
      <button class="main">Salvar como rascunho</button>
      <p class="quiet">O que é preenchido vale junto. Nada sai agora: a página seguinte mostra quem recebe.</p>
    </form>
  </section>`;
}

async function oneMarkup(site: Site, visitor: Visitor, name: string, said: Said): Promise<Markup | null> {
  const ctx = contextOf(site.process);
  const report = await reportCampaign(ctx.db, visitor.tenant, name);
  if (report === null) return null;
  const open = report.status === 'draft' || report.status === 'scheduled';
  const preview = open ? await previewCampaign(ctx.db, visitor.tenant, name, await campaignSetting(ctx, visitor.tenant)) : null;
  const clock = clockOf(site.config);
  return site.page(
    { title: name, here: PATH, visitor },
    html`<p><a href="${PATH}">Campanhas</a></p>
      <h1>${report.name} ${tagMarkup(report)}</h1>
      ${saidMarkup(said)}
      <p>${stateText(report, clock)}</p>
      <section class="card">
        <pre>${report.text}</pre>
        <p class="quiet">
          Para ${audienceText(report.audience)}. Feita ${clock.time(new Date(report.created_at))} por ${report.created_by}.
        </p>
      </section>
      ${preview === null ? reportMarkup(report, clock) : previewMarkup(preview, clock)}
      <div class="actions">${verbsOf(report).map((verb) => verbMarkup(report, verb, visitor))}</div>`,
  );
}

function previewMarkup({ goes, skipped, later, samples, numbers, last_at: last }: CampaignPreview, clock: Clock): Markup {
  return html`<section class="card" aria-labelledby="preview-title">
    <h2 id="preview-title">Se começasse agora</h2>
    <p>
      <strong>${goes}</strong>
      ${goes === 1 ? 'pessoa recebe' : 'pessoas recebem'}${numbers.length === 0 ? ', e não há número para enviar' : ` por ${numbers.join(', ')}`}${last === null ? '' : `; a última até ${clock.time(new Date(last))}, se nada mais sair`}.
    </p>
    <ul class="quiet">
      ${Object.entries(skipped).map(([reason, n]) => html`<li>${n} de fora porque ${porque(reason)}</li>`)}
      ${Object.entries(later).map(([reason, n]) => html`<li>${n} mais tarde porque ${porque(reason)}</li>`)}
    </ul>
    ${samples.map(
      ({ phone, text }) =>
        html`<p class="quiet">${phoneText(phone)}</p>
          <pre>${text}</pre>`,
    )}
  </section>`;
}

function reportMarkup(report: CampaignReport, clock: Clock): Markup {
  const figure = (label: string, value: string): Markup =>
    html`<div>
      <dt>${label}</dt>
      <dd>${value}</dd>
    </div>`;
  return html`<section aria-labelledby="report-title">
    <h2 class="section" id="report-title">O que aconteceu</h2>
    <p class="quiet">${outcomesText(report.outcomes)}</p>
    <dl class="figures">
      ${figure('Responderam em 7 dias', String(report.replies))} ${figure('Pediram para sair', String(report.opt_outs))}
      ${figure('Precisaram de uma pessoa', String(report.handoffs))}
      ${figure('Custo do modelo', `US$ ${report.cost_usd.toFixed(2).replace('.', ',')}`)}
    </dl>
    <ul class="quiet">
      ${Object.entries(report.reasons).flatMap(([state, reasons]) => Object.entries(reasons).map(([reason, n]) => html`<li>${n} ${outcomeText(state)} porque ${porque(reason)}</li>`))}
    </ul>
    ${report.first_at === null || report.last_at === null ? '' : html`<p class="quiet">Da primeira às ${clock.time(new Date(report.first_at))} à última às ${clock.time(new Date(report.last_at))}.</p>`}
  </section>`;
}

function verbsOf({ status, held }: CampaignRow): Verb[] {
  switch (status) {
    case 'draft':
      return ['start', 'stop'];
    case 'scheduled':
      return ['start', 'pause', 'stop'];
    case 'running':
      return held === 'paused_campaign' ? ['resume', 'stop'] : ['pause', 'stop'];
    case 'paused':
      return ['resume', 'stop'];
    case 'done':
    case 'cancelled':
      return [];
  }
}

const ASKS: Readonly<Partial<Record<Verb, string>>> = {
  start: 'Começar agora? Os destinatários e os textos ficam decididos.',
  stop: 'Encerrar de vez? Quem ainda não recebeu não recebe.',
};

function verbMarkup({ name }: CampaignRow, verb: Verb, visitor: Visitor): Markup {
  const ask = ASKS[verb];
  return html`<form
    ${verb === 'start' ? html`class="row"` : ''}
    method="post"
    action="${PATH}/${name}/${verb}"
    ${ask === undefined ? '' : html`data-ask="${ask}"`}
  >
    ${proof(visitor)}${verb === 'start' ? html`<label class="small">Em <span class="quiet">vazio: agora</span> <input name="at" type="datetime-local" /></label>` : ''}
    <button class="${verb === 'start' || verb === 'resume' ? 'main' : verb === 'stop' ? 'plain stop' : 'plain'}">${VERBS[verb]}</button>
  </form>`;
}
