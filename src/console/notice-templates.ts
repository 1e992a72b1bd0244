/** Textos dos avisos: the words of each type and its switch, seen with an order that does not exist, and tried on a phone of the shop. Part of Avisos. */
import { html } from 'hono/html';
import { SAMPLE, SAMPLE_SHOP, TYPE_NAMES } from '../orders/notice-texts.ts';
import { MOST_TEXT, NOTICE_TYPES, PLACEHOLDERS, renderNotice } from '../orders/notice-words.ts';
import type { NoticeType } from '../orders/notice-words.ts';
import { templatesOf } from '../orders/order-notices.ts';
import type { Template } from '../orders/order-notices.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import type { Routes } from '../routes/table.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { clockOf } from './clock.ts';
import type { Clock } from './clock.ts';
import type { Site } from './page.ts';
import { proof } from './proof.ts';
import { refusalText } from './refusal-texts.ts';
import { run } from './run.ts';

export const TEMPLATES_PATH = '/console/notices/texts';

type Around = { here: string; tabs: Markup };
/** What was pressed, at which type; `draft`: words that are not saved. */
type Said = { type: NoticeType | null; tone: 'good' | 'wrong'; says: string; draft: string | null };

export function templateRoutes(routes: Routes, site: Site, around: Around): void {
  routes.page.get(TEMPLATES_PATH, { summary: 'the words of notices', access: 'operator' }, async (c) =>
    show(c, await templatesMarkup(site, around, c.get('visitor'), null)),
  );
  for (const verb of ['set', 'preview', 'switch', 'test'] as const)
    routes.page.post(
      `${TEMPLATES_PATH}/${verb}`,
      { summary: COMMANDS[verb], access: 'operator', form: { type: 'picked_up', ...EXAMPLES[verb] } },
      async (c) => {
        const visitor = c.get('visitor');
        const form = new URLSearchParams(await c.req.text());
        const said = await pressed(site, visitor, verb, form);
        return show(c, await templatesMarkup(site, around, visitor, said), said.tone === 'good' ? 200 : 422);
      },
    );
}

const COMMANDS = { set: 'template set', preview: 'template preview', switch: 'template on or off', test: 'notice test' } as const;
const EXAMPLES = {
  set: { text: '{nome}, obrigado pela visita!' },
  preview: { text: '{nome}, obrigado pela visita!' },
  switch: { on: 'false' },
  test: { phone: '+55 11 91234-5678' },
} as const;

async function pressed(site: Site, visitor: Visitor, verb: keyof typeof COMMANDS, form: URLSearchParams): Promise<Said> {
  const type = NOTICE_TYPES.find((each) => each === form.get('type')) ?? null;
  const text = (form.get('text') ?? '').replaceAll('\r\n', '\n');
  const phone = (form.get('phone') ?? '').trim();
  const on = form.get('on') === 'true';
  const [name, args] = {
    set: ['template set', form.has('standard') ? { type, standard: true } : { type, text }],
    preview: ['template preview', { type, text }],
    switch: [on ? 'template on' : 'template off', { type }],
    test: ['notice test', phone === '' ? { type } : { type, phone }],
  }[verb] as [string, object];
  const outcome = await run(site, visitor, name, args);
  const draft = verb === 'preview' || (verb === 'set' && !outcome.ok) ? text : null;
  if (!outcome.ok) return { type, tone: 'wrong', says: refusalText(outcome), draft };
  const says = {
    set: 'Salvo. Vale a partir do próximo aviso.',
    preview: (outcome.result as { text?: string }).text ?? '',
    switch: on ? 'Ligado.' : 'Desligado: o que for pedido fica no registro e não sai.',
    test: 'O teste está a caminho; o registro mostra o que aconteceu com ele.',
  }[verb];
  return { type, tone: 'good', says, draft };
}

async function templatesMarkup(site: Site, { here, tabs }: Around, visitor: Visitor, said: Said | null): Promise<Markup> {
  const { shop, all } = await templatesOf(contextOf(site.process), visitor.tenant);
  const clock = clockOf(site.config);
  return site.page(
    { title: 'Textos dos avisos', here, visitor },
    html`<h1>Avisos</h1>
      ${tabs} ${said !== null && said.type === null ? saidMarkup(said) : ''}
      <p class="quiet">
        Marcadores: ${PLACEHOLDERS.map((name) => html`<code>{${name}}</code> `)}. O nome da loja em <code>{loja}</code> é
        ${shop === null ? html`o que o pedido disser (NOME_EMPRESA não está definido)` : html`<strong>${shop}</strong>`}. Um aviso sem o
        valor de um marcador é recusado, com o nome dele.
      </p>
      <ul class="cards">
        ${all.map((template) => templateMarkup(template, { visitor, clock, shop: shop ?? SAMPLE_SHOP, said: said?.type === template.type ? said : null }))}
      </ul>`,
  );
}

function saidMarkup({ tone, says, draft }: Said): Markup {
  return html`<div class="${tone}" role="${tone === 'good' ? 'status' : 'alert'}">
    ${
      draft !== null && tone === 'good'
        ? html`<p>Ainda não salvo. Diria:</p>
            <pre>${says}</pre>`
        : html`<p>${says}</p>`
    }
  </div>`;
}

type Shown = { visitor: Visitor; clock: Clock; shop: string; said: Said | null };

function templateMarkup(
  { type, text, enabled, standard, updated_by: by, updated_at: at }: Template,
  { visitor, clock, shop, said }: Shown,
): Markup {
  const name = TYPE_NAMES[type];
  const rendered = renderNotice(text, { loja: shop, ...SAMPLE });
  return html`<li class="card" id="${type}">
    <h2>${name} <small>${type}</small> ${enabled ? '' : html`<span class="tag off">desligado</span>`}</h2>
    ${said === null ? '' : saidMarkup(said)}
    <pre>${rendered.ok ? rendered.text : text}</pre>
    <p class="quiet">
      ${standard ? 'Texto do produto.' : 'Texto da loja.'}${by === null || at === null ? '' : ` Mudado ${clock.time(at)} por ${by}.`}
    </p>
    <details ${said?.draft == null ? '' : html`open`}>
      <summary>Mudar o texto de ${name}</summary>
      <form method="post" action="${TEMPLATES_PATH}/set">
        ${proof(visitor)}<input type="hidden" name="type" value="${type}" />
        <label>Texto <textarea name="text" rows="4" maxlength="${MOST_TEXT}" required>${said?.draft ?? text}</textarea></label>
        <div class="actions">
          <button class="main">Salvar</button>
          <button class="plain" formaction="${TEMPLATES_PATH}/preview">Ver sem salvar</button>
          ${standard ? '' : html`<button class="plain" name="standard" value="1" formnovalidate>Voltar ao texto do produto</button>`}
        </div>
      </form>
    </details>
    <div class="actions">
      <form method="post" action="${TEMPLATES_PATH}/switch">
        ${proof(visitor)}<input type="hidden" name="type" value="${type}" /><input
          type="hidden"
          name="on"
          value="${enabled ? 'false' : 'true'}"
        />
        <button class="plain">${enabled ? `Desligar ${name}` : `Ligar ${name}`}</button>
      </form>
      <form class="row" method="post" action="${TEMPLATES_PATH}/test">
        ${proof(visitor)}<input type="hidden" name="type" value="${type}" />
        <label class="small">Telefone <input name="phone" type="tel" maxlength="30" placeholder="o do gestor" /></label>
        <button class="plain">Testar ${name}</button>
      </form>
    </div>
  </li>`;
}
