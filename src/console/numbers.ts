/** Números: how each is, what of its caps is used, what waits there and why, its pairing, its restart. */
import { oneLine } from '../words/foreign-text.ts';
import { html, raw } from 'hono/html';
import type { Outcome } from '../admin/command.ts';
import { listNumberHealth } from '../numbers/calls.ts';
import type { NumberHealth } from '../numbers/calls.ts';
import { rateStatus } from '../outbox/limit-calls.ts';
import type { RateStatus } from '../outbox/limit-calls.ts';
import { listQueue } from '../watch/queue-calls.ts';
import type { Waiting } from '../watch/queue-calls.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { shownName } from '../words/foreign-text.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { clockOf } from './clock.ts';
import type { Clock } from './clock.ts';
import { phoneText } from './conversation-texts.ts';
import type { Page, Site } from './page.ts';
import { proof } from './proof.ts';
import { porque } from './reason-texts.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

const PATH = '/console/numbers';
/** Of the queue, the next to leave first. */
const QUEUE = 50;

export const numbersPage: Page = {
  path: PATH,
  name: 'Números',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'the numbers: state, caps, what waits', access: 'operator' }, async (c) =>
      show(c, await numbersMarkup(site, c.get('visitor'), null)),
    );
    for (const verb of ['qr', 'restart'] as const)
      routes.page.post(`${PATH}/${verb}`, { summary: `instance ${verb}`, access: 'admin', form: { name: 'julia-prod' } }, async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const name = form.get('name') ?? '';
        const outcome = await run(site, visitor, `instance ${verb}`, { name });
        return show(c, await numbersMarkup(site, visitor, await saidOf(verb, name, outcome)), outcome.ok ? 200 : 409);
      });
  },
};

type Said = { name: string; tone: 'good' | 'wrong'; says: string; qr?: Markup };

async function saidOf(verb: 'qr' | 'restart', name: string, outcome: Outcome<unknown>): Promise<Said> {
  if (!outcome.ok) return { name, tone: 'wrong', says: refusalText(outcome) };
  if (verb === 'restart') return { name, tone: 'good', says: 'A conexão deste número foi reiniciada.' };
  const { code, pairing_code: pairing } = outcome.result as { code?: string | null; pairing_code?: string | null };
  if (code === undefined || code === null)
    return { name, tone: 'good', says: 'A Evolution não deu código: o número já está conectado, ou peça de novo.' };
  const { renderSVG } = await import('uqr');
  const says = `No celular: WhatsApp, Aparelhos conectados, Conectar um aparelho.${pairing === undefined || pairing === null ? '' : ` Ou o código ${pairing}.`} Vale por uns 40 segundos.`;
  return { name, tone: 'good', says, qr: html`<div class="qr">${raw(renderSVG(code))}</div>` };
}

async function numbersMarkup(site: Site, visitor: Visitor, said: Said | null): Promise<Markup> {
  const ctx = contextOf(site.process);
  const [numbers, rates, queue] = await Promise.all([
    listNumberHealth(ctx.db, visitor.tenant),
    rateStatus(ctx.db, visitor.tenant, ctx.sendPolicy),
    listQueue(ctx.db, visitor.tenant, QUEUE),
  ]);
  const clock = clockOf(site.config);
  return site.page(
    { title: 'Números', here: PATH, visitor },
    html`<h1>Números</h1>
      ${numbers.length === 0 ? html`<p class="empty">Nenhum número ainda. <code>npm run admin -- instance connect NOME</code></p>` : ''}
      <ul class="cards">
        ${numbers.map((number) => numberMarkup(number, rates[number.instance], visitor, clock, said?.name === number.instance ? said : null))}
      </ul>
      <h2 class="section">O que espera para sair</h2>
      ${queueMarkup(queue, clock)}`,
  );
}

const STATES: Readonly<Record<string, readonly [string, string]>> = {
  open: ['ok', 'conectado'],
  close: ['bad', 'desconectado'],
  connecting: ['warn', 'conectando'],
  refused: ['bad', 'recusado pelo WhatsApp'],
  unknown: ['warn', 'ainda sem notícia'],
};

function numberMarkup(
  number: NumberHealth,
  rate: RateStatus[string] | undefined,
  visitor: Visitor,
  clock: Clock,
  said: Said | null,
): Markup {
  const [tone, state] = STATES[number.status] ?? ['warn', number.status];
  const button = (verb: string, label: string, ask: string): Markup =>
    html`<form method="post" action="${PATH}/${verb}" data-ask="${ask}">
      ${proof(visitor)}<input type="hidden" name="name" value="${number.instance}" /><button class="plain">${label}</button>
    </form>`;
  return html`<li class="card">
    <h2>
      ${number.instance} <small>${number.phone === null ? '' : phoneText(number.phone)}</small> <span class="tag ${tone}">${state}</span>
    </h2>
    <p>
      Desde
      ${clock.time(number.status_at)}${number.status_reason === null ? '' : ` (código ${number.status_reason})`}${number.phase === 'warming' ? '; número novo, aquecendo' : ''}.
    </p>
    ${
      number.health === 'held' || number.health === 'on_trial'
        ? html`<p class="held">
            O que ninguém pediu espera${number.until === null ? '' : ` até ${clock.time(number.until)}`}: ${porque(number.reason)}.
            Respostas saem.
          </p>`
        : ''
    }
    ${
      rate === undefined
        ? ''
        : html`<dl class="meters">
            ${meter('Na última hora', rate.hour.used, rate.hour.limit)} ${meter('Em 24 horas', rate.day.used, rate.day.limit)}
            <div>
              <dt>Próxima vaga</dt>
              <dd>
                ${rate.next_slot_at <= clock.now ? 'agora' : clock.time(rate.next_slot_at)}${rate.inside_hours ? '' : ' (fora do horário)'}
              </dd>
            </div>
            <div>
              <dt>Entregues</dt>
              <dd>${number.judged === 0 ? 'sem envios ainda' : `${number.delivered} de ${number.judged}`}</dd>
            </div>
          </dl>`
    }
    ${said === null ? '' : html`<div class="${said.tone}" role="${said.tone === 'wrong' ? 'alert' : 'status'}">${said.says}${said.qr ?? ''}</div>`}
    ${
      visitor.role === 'admin'
        ? html`<div class="actions">
            ${number.status === 'open' ? '' : button('qr', 'Conectar de novo (QR)', `Pedir um código novo para ${number.instance}?`)}
            ${button('restart', 'Reiniciar a conexão', `Reiniciar a conexão de ${number.instance}?`)}
          </div>`
        : ''
    }
  </li>`;
}

function meter(label: string, used: number, limit: number): Markup {
  return html`<div>
    <dt>${label}</dt>
    <dd>
      <meter min="0" max="${Math.max(1, limit)}" value="${used}" aria-label="${label}"></meter> ${used} de ${limit}; restam
      ${Math.max(0, limit - used)}
    </dd>
  </div>`;
}

function queueMarkup({ total, rows }: Waiting, clock: Clock): Markup {
  if (rows.length === 0) return html`<p class="quiet">Nada espera.</p>`;
  return html`<div class="wide" tabindex="0" role="region" aria-label="Fila">
      <table>
        <thead>
          <tr>
            <th>Para</th>
            <th>Pelo número</th>
            <th>Mensagem</th>
            <th>Por que espera</th>
            <th>Quando</th>
          </tr>
        </thead>
        <tbody>
          ${rows.map(
            (row) =>
              html`<tr>
                <td>
                  <a href="/console/conversations/${row.conversation_id}">${shownName(row.name) ?? `conversa ${row.conversation_id}`}</a>
                </td>
                <td>${row.instance}</td>
                <td class="words">${oneLine(row.text, 150)}</td>
                <td>${row.reason === null ? 'a vez dela' : porque(row.reason)}</td>
                <td>
                  ${row.goes_at === null ? 'quando isso acabar' : row.goes_at <= clock.now ? 'agora' : `não antes de ${clock.time(row.goes_at)}`}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${total > rows.length ? html`<p class="quiet">E mais ${total - rows.length}.</p>` : ''}`;
}
