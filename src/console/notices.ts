/** Avisos: what was told of orders and what became of it, each with what WhatsApp answered. The words of each type: notice-templates.ts. */
import { html } from 'hono/html';
import { listNotices } from '../orders/calls.ts';
import type { NoticeRow } from '../orders/calls.ts';
import { TYPE_NAMES } from '../orders/notice-texts.ts';
import { NOTICE_TYPES } from '../orders/notice-words.ts';
import type { NoticeType } from '../orders/notice-words.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { cut } from '../words/cut.ts';
import { canonicalPhone } from '../words/phone.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { clockOf } from './clock.ts';
import type { Clock } from './clock.ts';
import { templateRoutes, TEMPLATES_PATH } from './notice-templates.ts';
import { statusText } from './notice-status-texts.ts';
import { phoneText } from './conversation-texts.ts';
import type { Page, Site } from './page.ts';
import { proof } from './proof.ts';
import { porque } from './reason-texts.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

const PATH = '/console/notices';
const ROWS = 50;
/** What may be searched for; each is a status or several that read alike. */
const STATES = ['queued', 'sent', 'delivered', 'read', 'failed', 'blocked', 'deduped', 'expired', 'cancelled', 'uncertain', 'unproven'];

export const noticesPage: Page = {
  path: PATH,
  name: 'Avisos',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'what was told of orders', access: 'operator' }, async (c) =>
      show(c, await logMarkup(site, c.get('visitor'), searchOf(c.req.query()), null)),
    );
    routes.page.post(`${PATH}/resend`, { summary: 'notice resend', access: 'operator', form: { id: '42' } }, async (c) => {
      const visitor = c.get('visitor');
      const id = new URLSearchParams(await c.req.text()).get('id') ?? '';
      const outcome = await run(site, visitor, 'notice resend', { id });
      const said: Said = outcome.ok
        ? { tone: 'good', says: 'O aviso sai de novo, com o mesmo texto.' }
        : { tone: 'wrong', says: refusalText(outcome) };
      return show(c, await logMarkup(site, visitor, searchOf({}), said), outcome.ok ? 200 : 422);
    });
    templateRoutes(routes, site, { here: PATH, tabs: noticeTabs(TEMPLATES_PATH) });
  },
};

function noticeTabs(here: string): Markup {
  const tabs = [
    [PATH, 'Registro'],
    [TEMPLATES_PATH, 'Textos'],
  ] as const;
  return html`<nav class="tabs" aria-label="Avisos">
    ${tabs.map(([path, name]) => html`<a href="${path}" ${path === here ? html`aria-current="page"` : ''}>${name}</a>`)}
  </nav>`;
}

type Said = { tone: 'good' | 'wrong'; says: string } | null;
type Search = { q: string; type: NoticeType | null; status: string | null; before: number | null };

function searchOf(query: Record<string, string>): Search {
  const before = /^\d{1,15}$/.exec(query['before'] ?? '')?.[0];
  return {
    q: cut((query['q'] ?? '').trim(), 100),
    type: NOTICE_TYPES.find((each) => each === query['type']) ?? null,
    status: STATES.find((each) => each === query['status']) ?? null,
    before: before === undefined ? null : Number(before),
  };
}

async function logMarkup(site: Site, visitor: Visitor, search: Search, said: Said): Promise<Markup> {
  const { q, type, status, before } = search;
  // A phone is searched for as one, anything else as the number of an order.
  const phone = q.length >= 10 ? canonicalPhone(q) : null;
  const found = await listNotices(
    contextOf(site.process).db,
    visitor.tenant,
    {
      type: type ?? undefined,
      status: status ?? undefined,
      before: before ?? undefined,
      ...(q === '' ? {} : phone === null ? { reference: q } : { phone }),
    },
    ROWS,
  );
  const clock = clockOf(site.config);
  const last = found.at(-1);
  const more = new URLSearchParams({ q, type: type ?? '', status: status ?? '', before: String(last?.id ?? '') });
  return site.page(
    { title: 'Avisos', here: PATH, visitor },
    html`<h1>Avisos</h1>
      ${noticeTabs(PATH)}
      ${said === null ? '' : html`<p class="${said.tone}" role="${said.tone === 'good' ? 'status' : 'alert'}">${said.says}</p>`}
      <form class="row" role="search" method="get" action="${PATH}">
        <label>Pedido ou telefone <input name="q" type="search" value="${q}" maxlength="100" data-key="/" /></label>
        <label
          >Tipo
          <select name="type">
            <option value="">todos</option>
            ${NOTICE_TYPES.map((each) => html`<option value="${each}" ${each === type ? html`selected` : ''}>${TYPE_NAMES[each]}</option>`)}
          </select>
        </label>
        <label
          >Situação
          <select name="status">
            <option value="">todas</option>
            ${STATES.map((each) => html`<option value="${each}" ${each === status ? html`selected` : ''}>${statusText(each)}</option>`)}
          </select>
        </label>
        <button>Procurar</button>
      </form>
      ${
        found.length === 0
          ? html`<p class="empty">
              ${q === '' && type === null && status === null ? 'Nenhum aviso ainda. O programa da loja os pede em POST /api/notices.' : 'Nenhum aviso assim.'}
            </p>`
          : html`<ul class="cards">
              ${found.map((notice) => noticeMarkup(notice, visitor, clock))}
            </ul>`
      }
      ${found.length < ROWS ? '' : html`<p class="more"><a href="${PATH}?${more.toString()}">Mais antigos</a></p>`}`,
  );
}

const TONES: Readonly<Record<string, string>> = {
  sent: 'ok',
  delivered: 'ok',
  read: 'ok',
  failed: 'bad',
  unproven: 'warn',
  uncertain: 'warn',
  blocked: 'off',
  deduped: 'off',
  expired: 'off',
  cancelled: 'off',
};

function noticeMarkup(notice: NoticeRow, visitor: Visitor, clock: Clock): Markup {
  const { id, type, reference, to, text, status, reason, provider_message_id: provider, error_class: fault } = notice;
  const at = (moment: string | null): string => (moment === null ? '' : clock.time(new Date(moment)));
  const steps = [
    ...(notice.sent_at === null ? [] : [`saiu ${at(notice.sent_at)}`]),
    ...(notice.delivered_at === null ? [] : [`chegou ${at(notice.delivered_at)}`]),
    ...(notice.read_at === null ? [] : [`lido ${at(notice.read_at)}`]),
    ...(notice.goes_at !== null && status === 'queued' ? [`sai a partir de ${at(notice.goes_at)}`] : []),
  ];
  const underWay = ['queued', 'sending', 'uncertain'].includes(status);
  return html`<li class="card">
    <h2>${TYPE_NAMES[type]} <small>${reference}</small> <span class="tag ${TONES[status] ?? ''}">${statusText(status)}</span></h2>
    <p class="quiet">
      ${at(notice.created_at)} ·
      ${phoneText(to)}${notice.test ? ' · teste' : ''}${notice.resend_of === null ? '' : ` · de novo, do aviso ${notice.resend_of}`}${notice.duplicate_of === null ? '' : ` · repete o aviso ${notice.duplicate_of}`}
    </p>
    <pre>${text}</pre>
    ${reason === null ? '' : html`<p>${statusText(status)} porque ${porque(reason)}.</p>`}
    ${steps.length === 0 ? '' : html`<p class="quiet">${steps.join(' · ')}</p>`}
    <details>
      <summary>O que o WhatsApp respondeu</summary>
      <ul class="quiet">
        <li>aviso ${id}${notice.message_id === null ? '' : `, mensagem ${notice.message_id}`}, pedido por ${notice.asked_by}</li>
        <li>
          ${provider === null ? 'sem id no WhatsApp' : `id no WhatsApp: ${provider}`}${notice.instance === null ? '' : `, pelo número ${notice.instance}`}
        </li>
        ${fault === null ? '' : html`<li>erro: ${fault}</li>`}
        ${notice.attempts === null || notice.attempts < 2 ? '' : html`<li>${notice.attempts} tentativas</li>`}
      </ul>
    </details>
    ${
      underWay || status === 'deduped'
        ? ''
        : html`<div class="actions">
            <form method="post" action="${PATH}/resend" data-ask="Enviar de novo para ${phoneText(to)}?">
              ${proof(visitor)}<input type="hidden" name="id" value="${id}" /><button class="plain">Enviar de novo</button>
            </form>
          </div>`
    }
  </li>`;
}
