/** How conversations look: a list, and one of them. */
import { randomUUID } from 'node:crypto';
import { oneLine } from '../words/foreign-text.ts';
import { html } from 'hono/html';
import type { ConversationRow, ReadMessage, Tab, Thread } from '../watch/conversation-calls.ts';
import type { Visitor } from '../routes/session.ts';
import { shownName } from '../words/foreign-text.ts';
import type { Markup } from './answer.ts';
import {
  costText,
  holderText,
  initialsOf,
  personText,
  phoneText,
  routeText,
  sinceText,
  stateText,
  tickOf,
  typeText,
  whyText,
} from './conversation-texts.ts';
import type { Clock } from './clock.ts';
import { proof } from './proof.ts';
import { precisa } from './reason-texts.ts';

export const PATH = '/console/conversations';

export const TAB_NAMES: Readonly<Record<Tab, string>> = { needs: 'Precisa de você', agent: 'Agente', paused: 'Pausadas', all: 'Todas' };

export type ListShown = { tab: Tab; query: string; rows: ConversationRow[]; next: number | null; needs: number; open: number | null };

export function listMarkup({ tab, query, rows, next, needs, open }: ListShown, visitor: Visitor, clock: Clock): Markup {
  const address = `${PATH}?tab=${tab}${query === '' ? '' : `&q=${encodeURIComponent(query)}`}`;
  return html`<form class="search" role="search" method="get" action="${PATH}">
      <input type="hidden" name="tab" value="${tab}" />
      <input
        name="q"
        type="search"
        value="${query}"
        placeholder="Nome, número ou palavra"
        aria-label="Procurar por nome, número ou palavra recente"
        maxlength="100"
        data-key="/"
      />
    </form>
    <nav class="tabs" aria-label="Listas">
      ${(Object.keys(TAB_NAMES) as Tab[]).map(
        (each) =>
          html`<a href="${PATH}?tab=${each}" ${each === tab && query === '' ? html`aria-current="true"` : ''}
            >${TAB_NAMES[each]}${each === 'needs' && needs > 0 ? html` <b class="count">${needs}</b>` : ''}</a
          >`,
      )}
    </nav>
    ${
      rows.length === 0
        ? html`<p class="empty">${query === '' ? EMPTY[tab] : `Ninguém com “${query}”.`}</p>`
        : html`<ol class="rows">
            ${rows.map((row) => rowMarkup(row, row.id === open, tab, visitor, clock))}
          </ol>`
    }
    ${next === null ? '' : html`<p class="more"><a href="${address}&before=${next}">Mais antigas</a></p>`}`;
}

const EMPTY: Readonly<Record<Tab, string>> = {
  needs: 'Ninguém espera por uma pessoa agora. O agente cuida do resto.',
  agent: 'Nenhuma conversa ainda.',
  paused: 'Nada está pausado.',
  all: 'Nenhuma conversa ainda. Quando um cliente escrever, ela aparece aqui.',
};

function rowMarkup(row: ConversationRow, isOpen: boolean, tab: Tab, visitor: Visitor, { now }: Clock): Markup {
  const name = shownName(row.name) ?? phoneText(row.phone);
  const { last } = row;
  const said =
    last === null ? '' : `${last.direction === 'out' ? (last.author === 'human' ? 'Equipe: ' : 'Agente: ') : ''}${oneLine(last.text, 160)}`;
  const waits = row.waits_since;
  return html`<li>
    <a class="talk" href="${PATH}/${row.id}?tab=${tab}" ${isOpen ? html`aria-current="true"` : ''} data-row>
      <span class="face" aria-hidden="true">${initialsOf(shownName(row.name))}</span>
      <span class="body">
        <span class="top"><b class="name">${name}</b><time>${last === null ? '' : sinceText(last.at, now)}</time></span>
        <span class="said">${said}</span>
        <span class="foot">
          ${
            waits === null
              ? html`<span class="tag ${row.holder === 'agent' && !row.paused ? 'ok' : ''}">${holderText(row, visitor.email)}</span>`
              : html`<span class="tag warn">${sinceText(waits, now) === 'agora' ? 'esperando' : `espera ${sinceText(waits, now)}`}</span>
                  <span class="why">${row.drafts > 0 ? 'rascunho para aprovar' : precisa(row.reason)}</span>`
          }
          ${waits !== null && row.taken_by !== null ? html`<span class="tag">${holderText(row, visitor.email)}</span>` : ''}
        </span>
      </span>
    </a>
  </li>`;
}

export type Notice = { tone: 'good' | 'wrong'; says: string; force?: { text: string } } | null;

export function threadMarkup({ conversation, messages, more }: Thread, visitor: Visitor, clock: Clock, notice: Notice): Markup {
  const name = shownName(conversation.name) ?? phoneText(conversation.phone);
  const state = stateText(conversation, visitor.email, clock.time);
  const at = `${PATH}/${conversation.id}`;
  const first = messages[0];
  return html`<header class="who">
      <a class="back" href="${PATH}" aria-label="Voltar para a lista">‹</a>
      <span class="face" aria-hidden="true">${initialsOf(shownName(conversation.name))}</span>
      <div>
        <h1>${name}</h1>
        <p class="quiet">
          ${phoneText(conversation.phone)} · pelo número ${conversation.instance} · ${costText(conversation.cost_usd)} em 30
          dias${conversation.opted_out ? html` · <span class="tag off">não quer mensagens</span>` : ''}
        </p>
      </div>
    </header>
    <div class="state ${state.tone}" role="status">
      <p>${state.says}</p>
      <div class="actions">${conversation.erased ? '' : actionsMarkup(conversation, visitor)}</div>
    </div>
    ${
      notice === null
        ? ''
        : html`<div class="${notice.tone}" role="alert">
            ${notice.says}
            ${
              notice.force === undefined
                ? ''
                : html`<form ${live(at, 'messages')}>
                    ${proof(visitor)}${sendKey()}<input type="hidden" name="force" value="1" /><input
                      type="hidden"
                      name="text"
                      value="${notice.force.text}"
                    /><button class="plain">${notice.force.text === '' ? 'Assumir mesmo assim' : 'Assumir e enviar'}</button>
                  </form>`
            }
          </div>`
    }
    ${
      conversation.summary === null || conversation.observed_at === null
        ? ''
        : html`<p class="summary">
            <b>O agente observou (${clock.time(conversation.observed_at)}):</b> ${conversation.summary}
            ${conversation.labels.map((label) => html`<span class="tag">${label}</span> `)}
          </p>`
    }
    ${conversation.handoffs.map((each) => (each.summary === null ? '' : html`<p class="summary"><b>Resumo do agente:</b> ${each.summary}</p>`))}
    ${
      conversation.facts.length === 0
        ? ''
        : html`<details class="facts">
            <summary>O que o agente lembra (${conversation.facts.length})</summary>
            <ul>
              ${conversation.facts.map((fact) => html`<li>${fact}</li>`)}
            </ul>
          </details>`
    }
    <ol class="messages" aria-label="Mensagens" data-bottom tabindex="0">
      ${more && first !== undefined ? html`<li class="older"><a href="${at}?before=${first.seq}">Mensagens mais antigas</a></li>` : ''}
      ${messages.map((message) => messageMarkup(message, visitor, clock, at))}
    </ol>
    ${conversation.drafts.map((draft) => draftMarkup(draft, at, visitor))}
    ${conversation.erased ? '' : composerMarkup(conversation, at, visitor)}`;
}

/** A form that htmx posts, and a browser without it as well; what comes back is the conversation. */
function live(at: string, act: string): Markup {
  return html`method="post" action="${at}/${act}" hx-post="${at}/${act}" hx-target="#thread" hx-swap="innerMorph"`;
}

/** Each send has a name, so that posting twice is one message, without the console's script as well. */
function sendKey(): Markup {
  return html`<input type="hidden" name="key" value="${randomUUID()}" />`;
}

function actionsMarkup(conversation: Thread['conversation'], visitor: Visitor): Markup {
  const at = `${PATH}/${conversation.id}`;
  const act = (
    name: string,
    label: string,
    more: { key?: string; main?: boolean; ask?: string; fields?: Record<string, string> } = {},
  ): Markup =>
    html`<form ${live(at, `act/${name}`)} ${more.ask === undefined ? '' : html`data-ask="${more.ask}"`}>
      ${proof(visitor)}${Object.entries(more.fields ?? {}).map(([key, value]) => html`<input type="hidden" name="${key}" value="${value}" />`)}
      <button class="${more.main === true ? 'main' : ''}" ${more.key === undefined ? '' : html`data-key="${more.key}"`}>${label}</button>
    </form>`;
  const mine = conversation.taken_by === `console:${visitor.email}`;
  const withPeople = conversation.holder === 'human' || conversation.holder === 'takeover' || conversation.quiet_until !== null;
  const listed = conversation.handoffs.length > 0;
  return html`${mine ? '' : act('take', 'Assumir', { key: 't', main: conversation.holder === 'human' })}
    ${withPeople || listed ? act('return', withPeople ? 'Devolver ao agente' : 'Tirar da lista', { key: 'v', main: mine }) : ''}
    ${conversation.paused === 'conversation' ? act('resume', 'Retomar', { key: 'p' }) : act('pause', 'Pausar', { key: 'p' })}
    <details class="menu-of">
      <summary class="button">Mais</summary>
      <div class="menu">
        <p><small>Quem escreve aqui</small></p>
        ${MODES.filter(([mode]) => mode !== conversation.mode).map(([mode, label]) => act('mode', label, { fields: { mode } }))}
        <p><small>Contato</small></p>
        ${
          conversation.phone === null
            ? ''
            : conversation.opted_out
              ? act('optin', 'Pediu para voltar a receber', { ask: 'O contato pediu mesmo para voltar a receber mensagens?' })
              : act('optout', 'Não quer mais mensagens', { ask: 'Registrar que este contato não quer mais mensagens?' })
        }
        ${
          visitor.role === 'admin'
            ? html`<form method="post" action="${at}/export">${proof(visitor)}<button>Exportar tudo (JSON)</button></form>
                ${act('erase', 'Apagar tudo', { ask: 'Apagar para sempre tudo o que há deste contato? Não dá para desfazer.' })}`
            : ''
        }
        <a href="${at}/why">O que aconteceu, passo a passo</a>
      </div>
    </details>`;
}

const MODES: readonly (readonly [string, string])[] = [
  ['auto', 'O agente responde sozinho'],
  ['assist', 'O agente escreve rascunhos'],
  ['manual', 'Só pessoas respondem'],
  ['observe', 'O agente só observa'],
];

function messageMarkup(message: ReadMessage, visitor: Visitor, { time }: Clock, at: string): Markup {
  const { tick, says } = tickOf(message);
  const why = whyText(message, time);
  const kind = typeText(message.type);
  const who =
    message.direction === 'in'
      ? null
      : message.author === 'human'
        ? message.by === null
          ? 'Equipe, no celular'
          : personText(message.by, visitor.email)
        : message.author === 'automatic'
          ? 'Automática'
          : message.author === 'agent'
            ? 'Agente'
            : 'Pela API';
  return html`<li id="m${message.id}" class="message ${message.direction} ${message.author}${message.deleted_at === null ? '' : ' gone'}">
    ${message.quoted_text === null ? '' : html`<blockquote>${message.quoted_text}</blockquote>`}
    ${kind === null ? '' : html`<span class="kind">${kind}${message.file === null ? '' : `: ${message.file}`}</span>`}
    <p class="text">${message.text}</p>
    <p class="under">
      ${who === null ? '' : html`<span>${who}</span> · `}<time datetime="${message.at.toISOString()}">${time(message.at)}</time
      >${message.edited_at === null ? '' : ' · editada'}${message.deleted_at === null ? '' : ' · apagada'}${tick === 'none' ? '' : html` · <span class="tick ${tick}" title="${says}"><span class="away">${says}</span></span>`}${message.cost_usd === null ? '' : html` · <span title="${message.model ?? 'sem modelo'}">${costText(message.cost_usd)}</span>`}${routeText(message.route) === null ? '' : html` · ${routeText(message.route)}`}
      · <a href="${at}/why?message=${message.id}">por quê?</a>
    </p>
    ${why === null ? '' : html`<p class="held ${tick === 'wrong' ? 'bad' : ''}">${why}</p>`}
  </li>`;
}

function draftMarkup(draft: { id: number; text: string }, at: string, visitor: Visitor): Markup {
  return html`<form id="draft${draft.id}" class="draft card" ${live(at, 'draft')}>
    ${proof(visitor)}<input type="hidden" name="draft" value="${draft.id}" /><input type="hidden" name="was" value="${draft.text}" />
    <label
      >Rascunho do agente, para aprovar ou mudar <textarea name="text" rows="4" data-key="e" maxlength="4000">${draft.text}</textarea>
    </label>
    <div class="actions">
      <button class="main" name="verb" value="approve" data-key="a">Enviar <kbd>a</kbd></button>
      <button class="stop" name="verb" value="discard" data-key="d">Descartar <kbd>d</kbd></button>
      <span class="quiet"><kbd>e</kbd> edita</span>
    </div>
  </form>`;
}

function composerMarkup(conversation: Thread['conversation'], at: string, visitor: Visitor): Markup {
  const suggestion = conversation.handoffs.find((each) => each.suggestion !== null)?.suggestion ?? null;
  const note =
    conversation.holder === 'agent' || conversation.taken_by !== `console:${visitor.email}`
      ? 'Enviar assume a conversa; o agente fica quieto até você devolver.'
      : 'O agente fica quieto até você devolver.';
  return html`<form id="composer" class="composer" ${live(at, 'messages')} data-once>
    ${proof(visitor)}${sendKey()}
    <label class="away" for="words">Sua mensagem</label>
    <textarea
      id="words"
      name="text"
      rows="2"
      maxlength="4000"
      required
      placeholder="Escreva como pessoa da equipe"
      data-key="r"
      data-send
    ></textarea>
    <button class="main">Enviar</button>
    <p class="quiet">
      ${note}
      ${suggestion === null ? '' : html`<button type="button" class="plain" data-fill="${suggestion}">Usar a sugestão do agente</button>`}
    </p>
  </form>`;
}
