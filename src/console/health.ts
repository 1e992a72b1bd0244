/** Saúde: what is wrong in words, alerts, breakers, jobs, and what did not leave. */
import { html } from 'hono/html';
import { JOBS } from '../crons/all.ts';
import { listDeadLetters } from '../outbox/dead-letter-calls.ts';
import type { DeadLetter } from '../outbox/dead-letter-calls.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { jobLines } from '../schedule/run-job.ts';
import type { JobLine } from '../schedule/run-job.ts';
import { listAlerts } from '../watch/alert-calls.ts';
import type { Alert } from '../watch/alert-calls.ts';
import { circuits } from '../watch/circuits.ts';
import type { Circuit } from '../watch/circuits.ts';
import { adminStatus } from '../watch/status-calls.ts';
import type { AdminStatus } from '../watch/status-calls.ts';
import { isThere, missingModes } from '../process/liveness.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { figure } from './markup.ts';
import { clockOf } from './clock.ts';
import type { Clock } from './clock.ts';
import { sinceText } from './conversation-texts.ts';
import type { Page, Site } from './page.ts';
import { proof } from './proof.ts';
import { porque } from './reason-texts.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

const PATH = '/console/health';
const DEAD = 50;
/** What was told within so many hours. */
const HOURS = 24;

export const healthPage: Page = {
  path: PATH,
  name: 'Saúde',
  access: 'operator',
  mount(routes, site) {
    routes.page.get(PATH, { summary: 'what is wrong: alerts, breakers, jobs, dead letters', access: 'operator' }, async (c) =>
      show(c, await healthMarkup(site, c.get('visitor'), null)),
    );
    for (const verb of ['retry', 'discard'] as const)
      routes.page.post(
        `${PATH}/${verb}`,
        { summary: `dlq ${verb}`, access: 'operator', form: { id: '42', reason: 'não está no chat do celular' } },
        async (c) => {
          const visitor = c.get('visitor');
          const form = new URLSearchParams(await c.req.text());
          const reason = (form.get('reason') ?? '').trim() || 'pelo console';
          const outcome = await run(site, visitor, `dlq ${verb}`, { id: form.get('id') ?? '', reason });
          const says = verb === 'retry' ? 'A mensagem voltou para a fila.' : 'A mensagem foi tirada da lista.';
          return show(
            c,
            await healthMarkup(site, visitor, outcome.ok ? { tone: 'good', says } : { tone: 'wrong', says: refusalText(outcome) }),
          );
        },
      );
  },
};

type Said = { tone: 'good' | 'wrong'; says: string } | null;

async function healthMarkup(site: Site, visitor: Visitor, said: Said): Promise<Markup> {
  const ctx = contextOf(site.process);
  const everything = visitor.tenant === 'default';
  const [status, alerts, breakers, jobs, dead] = await Promise.all([
    adminStatus(ctx.db, visitor.tenant),
    everything ? listAlerts(ctx.db, HOURS) : [],
    circuits(ctx.db, visitor.tenant),
    everything ? jobLines(ctx.db, JOBS, new Date()) : [],
    listDeadLetters(ctx.db, visitor.tenant, DEAD),
  ]);
  const clock = clockOf(site.config);
  const firing = alerts.filter((each) => each.status === 'firing');
  const open = breakers.filter(({ state }) => state !== 'closed');
  const stale = jobs.filter((each) => each.stale);
  const missing = status === null ? [] : missingModes(status.processes);
  const fine = firing.length === 0 && open.length === 0 && stale.length === 0 && missing.length === 0 && dead.length === 0;
  return site.page(
    { title: 'Saúde', here: PATH, visitor },
    html`<h1>Saúde</h1>
      ${said === null ? '' : html`<p class="${said.tone}" role="alert">${said.says}</p>`}
      <p class="verdict ${fine ? 'good' : 'wrong'}">${fine ? 'Tudo em ordem.' : sentence({ firing, open, stale, missing, dead })}</p>
      ${status === null ? '' : figuresMarkup(status)} ${everything ? alertsMarkup(alerts, clock) : ''}
      <h2 class="section">O que não saiu</h2>
      ${
        dead.length === 0
          ? html`<p class="quiet">Nada ficou para trás.</p>`
          : html`<ul class="cards">
              ${dead.map((each) => deadMarkup(each, visitor, clock))}
            </ul>`
      }
      <h2 class="section">Disjuntores</h2>
      ${
        open.length === 0
          ? html`<p class="quiet">Todos fechados: ${breakers.length} olhados.</p>`
          : html`<ul class="plain-list">
              ${open.map((each) => breakerMarkup(each, clock))}
            </ul>`
      }
      ${everything ? jobsMarkup(jobs, clock) : ''}`,
  );
}

function sentence(all: { firing: Alert[]; open: Circuit[]; stale: JobLine[]; missing: string[]; dead: DeadLetter[] }): string {
  const parts = [
    ...(all.missing.length > 0 ? [`falta o processo ${all.missing.join(', ')}`] : []),
    ...(all.firing.length > 0 ? [`${all.firing.length} ${all.firing.length === 1 ? 'alerta vale' : 'alertas valem'} agora`] : []),
    ...(all.open.length > 0 ? [`${all.open.length} ${all.open.length === 1 ? 'disjuntor está aberto' : 'disjuntores estão abertos'}`] : []),
    ...(all.dead.length > 0 ? [`${all.dead.length} ${all.dead.length === 1 ? 'mensagem não saiu' : 'mensagens não saíram'}`] : []),
    ...(all.stale.length > 0 ? [`${all.stale.length} ${all.stale.length === 1 ? 'tarefa está parada' : 'tarefas estão paradas'}`] : []),
  ];
  const said = parts.join('; ');
  return `${said.slice(0, 1).toUpperCase()}${said.slice(1)}.`;
}

function figuresMarkup(status: AdminStatus): Markup {
  const alive = status.processes.filter((each) => isThere(each.seen_seconds));
  const oldest = status.unanswered.oldest_seconds;
  return html`<dl class="figures">
    ${figure('Sem resposta', `${status.unanswered.count}${oldest === null ? '' : `, a mais antiga há ${Math.round(oldest)} s`}`)}
    ${figure('Com pessoas', String(status.with_people))}
    ${figure('Para sair', `${status.outbound.due} agora, ${status.outbound.later} depois`)}
    ${figure(
      'Processos',
      alive
        .map(({ mode }) => mode)
        .toSorted()
        .join(', ') || 'nenhum',
    )}
  </dl>`;
}

function alertsMarkup(alerts: Alert[], clock: Clock): Markup {
  const order = { firing: 0, pending: 1, ok: 2 } as const;
  const sorted = alerts.toSorted((a, b) => order[a.status] - order[b.status] || b.since.getTime() - a.since.getTime());
  return html`<h2 class="section">Alertas</h2>
    ${
      sorted.length === 0
        ? html`<p class="quiet">Nenhum nas últimas ${HOURS} horas.</p>`
        : html`<ul class="plain-list">
            ${sorted.map(
              (each) =>
                html`<li>
                  <span class="tag ${each.status === 'firing' ? (each.urgent ? 'bad' : 'warn') : 'ok'}"
                    >${each.status === 'firing' ? 'agora' : each.status === 'pending' ? 'começando' : 'passou'}</span
                  >
                  ${each.text} <small>${sinceText(each.since, clock.now)}</small>
                </li>`,
            )}
          </ul>`
    }`;
}

function deadMarkup(each: DeadLetter, visitor: Visitor, clock: Clock): Markup {
  const unsure = each.status === 'unproven';
  const form = (verb: string, label: string, ask: string): Markup =>
    html`<form method="post" action="${PATH}/${verb}" data-ask="${ask}">
      ${proof(visitor)}<input type="hidden" name="id" value="${each.id}" /><button class="plain">${label}</button>
    </form>`;
  return html`<li class="card">
    <p class="words">“${each.text}”</p>
    <p>
      ${unsure ? 'Não se sabe se saiu' : 'Não saiu'}, porque ${porque(each.reason)}.
      <small
        >${clock.time(each.created_at)}, pelo número ${each.instance}, ${each.attempts} ${each.attempts === 1 ? 'tentativa' : 'tentativas'}
        · <a href="/console/conversations/${each.conversation_id}">abrir a conversa</a></small
      >
    </p>
    <div class="actions">
      ${form('retry', 'Enviar de novo', unsure ? 'Você olhou no celular, e ela não está na conversa? Se estiver, o cliente recebe duas vezes.' : 'Enviar esta mensagem de novo?')}
      ${form('discard', 'Tirar da lista', 'Tirar esta mensagem da lista? Ela não é enviada.')}
    </div>
  </li>`;
}

function breakerMarkup(each: Circuit, clock: Clock): Markup {
  const who = each.instance === null ? each.name : `${each.name} do número ${each.instance}`;
  const probe = each.next_probe_at === null ? '' : `; próxima tentativa ${clock.time(new Date(each.next_probe_at))}`;
  return html`<li>
    <span class="tag bad">${each.state === 'open' ? 'aberto' : 'testando'}</span> ${who}, porque ${porque(each.reason)}${probe}
    <small>${each.process}</small>
  </li>`;
}

function jobsMarkup(jobs: JobLine[], clock: Clock): Markup {
  return html`<h2 class="section">Tarefas</h2>
    <div class="wide" tabindex="0" role="region" aria-label="Tarefas">
      <table>
        <thead>
          <tr>
            <th>Tarefa</th>
            <th>Último fim</th>
            <th>Estado</th>
          </tr>
        </thead>
        <tbody>
          ${jobs.map(
            (each) =>
              html`<tr>
                <td><code>${each.job}</code></td>
                <td>${each.started_at === null ? 'ainda não rodou' : clock.time(each.started_at)}</td>
                <td>
                  ${each.stale ? html`<span class="tag bad">parada</span>` : each.status === 'failed' ? html`<span class="tag warn">falhou</span> ${each.error ?? ''}` : each.started_at === null ? html`<span class="tag">à espera</span>` : html`<span class="tag ok">em dia</span>`}
                </td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>`;
}
