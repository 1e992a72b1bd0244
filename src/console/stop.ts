/** The stop button, on every page: who stopped the agent, when and why, and the way on. */
import { cut } from '../words/cut.ts';
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import { contextOf } from '../routes/context-of.ts';
import type { Process } from '../routes/ops.ts';
import type { Routes } from '../routes/table.ts';
import type { Visitor } from '../routes/session.ts';
import { listPauses } from '../people/pause-calls.ts';
import type { Pause } from '../people/pause-calls.ts';
import { mayCall } from '../routes/auth.ts';
import type { Markup } from './answer.ts';
import { goTo } from './answer.ts';
import { clockOf } from './clock.ts';
import { personText } from './conversation-texts.ts';
import { proof } from './proof.ts';
import { run } from './run.ts';

export type Stopped = { banner: Markup; button: Markup };

export function stopRoutes(routes: Routes, process: Process): void {
  for (const verb of ['pause', 'resume'] as const)
    routes.page.post(
      `/console/${verb}`,
      {
        summary: `the stop button: ${verb}`,
        access: 'operator',
        form: { scope: 'all', target: '', reason: 'preços errados', back: '/console' },
      },
      async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const target = form.get('target') ?? '';
        const reason = cut((form.get('reason') ?? '').trim(), 500);
        const args = { scope: form.get('scope') ?? 'all', ...(target === '' ? {} : { target }), ...(reason === '' ? {} : { reason }) };
        const outcome = await run({ process }, visitor, verb, args);
        if (!outcome.ok) throw new HTTPException(outcome.kind === 'forbidden' ? 403 : 409);
        const back = form.get('back') ?? '';
        return goTo(c, /^\/console(?:\/[A-Za-z0-9/_-]*)?$/.test(back) ? back : '/console');
      },
    );
}

/** What every page shows of it. */
export async function stopOf(process: Process, visitor: Visitor, back: string): Promise<Stopped> {
  const pauses = mayCall(visitor.role, 'operator') ? await listPauses(contextOf(process).db, visitor.tenant) : [];
  const wide = pauses.filter(({ scope }) => scope !== 'conversation');
  const all = wide.some(({ scope }) => scope === 'all' || scope === 'tenant');
  return {
    banner: html`${wide.map((pause) => bannerMarkup(pause, process, visitor, back))}`,
    button:
      all || !mayCall(visitor.role, 'operator')
        ? html``
        : html`<details class="stopper">
            <summary class="button stop">Parar o agente</summary>
            <form class="menu" method="post" action="/console/pause">
              ${proof(visitor)}<input type="hidden" name="back" value="${back}" />
              <input type="hidden" name="scope" value="${visitor.tenant === 'default' ? 'all' : 'tenant'}" />
              <input type="hidden" name="target" value="${visitor.tenant === 'default' ? '' : visitor.tenant}" />
              <p>O agente não responde e nada sai até alguém retomar. O que os clientes escrevem fica guardado.</p>
              <label>Por quê <input name="reason" required maxlength="500" placeholder="preços errados" /></label>
              <button class="stop-now">Parar agora</button>
            </form>
          </details>`,
  };
}

function bannerMarkup(pause: Pause, process: Process, visitor: Visitor, back: string): Markup {
  const { time } = clockOf(process.config);
  const what = WHAT[pause.scope] ?? pause.scope;
  const target = pause.scope === 'all' || pause.scope === 'tenant' ? '' : ` ${pause.target}`;
  const may = pause.scope !== 'all' || visitor.tenant === 'default';
  return html`<div class="stopped" role="alert">
    <p>
      <b>${what}${target} parado</b> desde ${time(pause.since)} por
      ${personText(pause.alterado_via?.replace(/^cli:/, '') ?? null, visitor.email)}${pause.motivo === null ? '' : html`: ${pause.motivo}`}
    </p>
    ${
      may
        ? html`<form method="post" action="/console/resume">
            ${proof(visitor)}<input type="hidden" name="back" value="${back}" /><input
              type="hidden"
              name="scope"
              value="${pause.scope}"
            /><input type="hidden" name="target" value="${pause.target}" /><button>Retomar</button>
          </form>`
        : ''
    }
  </div>`;
}

const WHAT: Readonly<Record<string, string>> = { all: 'Tudo', tenant: 'O agente', instance: 'Número', campaign: 'Campanha' };
