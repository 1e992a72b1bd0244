/** Conversas: who waits for a person, and each conversation with what a person does there. */
import { cut } from '../words/cut.ts';
import { randomUUID } from 'node:crypto';
import type { Context as Request } from 'hono';
import { html } from 'hono/html';
import { HTTPException } from 'hono/http-exception';
import { storable } from '../words/json.ts';
import { takeConversation, writeByHand } from '../people/hand-calls.ts';
import type { PageEnv } from '../routes/table.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { listConversations, readConversation, searchConversations, TABS } from '../watch/conversation-calls.ts';
import type { Tab, Thread } from '../watch/conversation-calls.ts';
import { show } from './answer.ts';
import type { Markup } from './answer.ts';
import { listMarkup, PATH, threadMarkup } from './conversation-markup.ts';
import type { Notice } from './conversation-markup.ts';
import { clockOf } from './clock.ts';
import { personText } from './conversation-texts.ts';
import type { Page, Site } from './page.ts';
import { refusalText } from './refusal-texts.ts';
import { actorOf, run } from './run.ts';
import { whyRoutes } from './why.ts';

/** Rows and messages of a page: some 20 kB packed, more than a screen. */
const ROWS = 40;
const MESSAGES = 40;

export const conversationsPage: Page = {
  path: PATH,
  name: 'Conversas',
  access: 'operator',
  mount(routes, site) {
    const { process } = site;
    const one = `${PATH}/:id{[0-9]{1,15}}` as const;

    routes.page.get(PATH, { summary: 'conversations: who needs a person first', access: 'operator' }, async (c) =>
      show(c, bothPanes(site, c.get('visitor'), await listOf(site, c, null), null)),
    );
    routes.page.get(`${PATH}/list`, { summary: 'the list alone', access: 'operator' }, async (c) => {
      const open = /^\d{1,15}$/.exec(c.req.query('open') ?? '')?.[0];
      return show(c, await listOf(site, c, open === undefined ? null : Number(open)));
    });
    routes.page.get(one, { summary: 'a conversation', access: 'operator' }, async (c) => {
      const id = Number(c.req.param('id'));
      const visitor = c.get('visitor');
      const thread = await threadOf(site, visitor, id, seqOf(c.req.query('before')));
      if ('merged_into' in thread) return c.redirect(`${PATH}/${thread.merged_into}`, 303);
      return show(
        c,
        bothPanes(site, visitor, await listOf(site, c, id), { id, markup: threadMarkup(thread, visitor, clockOf(site.config), null) }),
      );
    });
    routes.page.get(`${one}/thread`, { summary: 'the conversation alone', access: 'operator' }, async (c) =>
      answer(site, c, Number(c.req.param('id')), null, true),
    );

    routes.page.post(`${one}/messages`, { summary: 'a person writes', access: 'operator', form: { text: 'Oi!', key: 'x' } }, async (c) => {
      const ctx = contextOf(process);
      const visitor = c.get('visitor');
      const id = Number(c.req.param('id'));
      const form = new URLSearchParams(await c.req.text());
      const text = storable(form.get('text') ?? '').trim();
      const force = form.get('force') === '1';
      const act = { tenant: visitor.tenant, conversation: id, actor: actorOf(visitor), force };
      if (text === '' && !force) return answer(site, c, id, { tone: 'wrong', says: 'Não há nada para enviar.' });
      if (text.length > 4_000)
        return answer(site, c, id, { tone: 'wrong', says: 'A mensagem tem mais de 4.000 caracteres. Envie em partes.' });
      const key = cut(storable(form.get('key') ?? ''), 60) || randomUUID();
      const done = text === '' ? await takeConversation(ctx.db, act) : await writeByHand(ctx.db, { ...act, text, key });
      if (done.outcome === 'unknown') throw new HTTPException(404);
      if (done.outcome === 'has') return answer(site, c, id, hasNotice(site, visitor, done, text));
      if (done.outcome === 'written') ctx.background.run('wake send', () => ctx.queues.wakeSend(done.conversation_id));
      return answer(site, c, done.conversation_id, null);
    });

    routes.page.post(
      `${one}/act/:act{take|return|pause|resume|mode|optout|optin|erase}`,
      { summary: 'takes it, gives it back, pauses it, and the like', access: 'operator', form: {} },
      async (c) => {
        const visitor = c.get('visitor');
        const id = Number(c.req.param('id'));
        const form = new URLSearchParams(await c.req.text());
        const named = c.req.param('act');
        if (named === 'take') {
          const done = await takeConversation(contextOf(process).db, {
            tenant: visitor.tenant,
            conversation: id,
            actor: actorOf(visitor),
            force: form.get('force') === '1',
          });
          if (done.outcome === 'unknown') throw new HTTPException(404);
          return answer(site, c, id, done.outcome === 'has' ? hasNotice(site, visitor, done, '') : null);
        }
        const thread = await threadOf(site, visitor, id, null);
        if ('merged_into' in thread)
          return answer(site, c, thread.merged_into, {
            tone: 'wrong',
            says: 'Esta conversa agora é outra: dois contatos eram a mesma pessoa.',
          });
        const asked = commandOf(named, thread.conversation, form);
        if (asked === null) throw new HTTPException(400);
        const outcome = await run(site, visitor, asked.name, asked.args);
        return answer(site, c, id, outcome.ok ? { tone: 'good', says: asked.done } : { tone: 'wrong', says: refusalText(outcome) });
      },
    );

    routes.page.post(
      `${one}/draft`,
      { summary: 'a draft is sent or thrown away', access: 'operator', form: { draft: '12', verb: 'approve', text: 'Oi!', was: 'Oi!' } },
      async (c) => {
        const id = Number(c.req.param('id'));
        const form = new URLSearchParams(await c.req.text());
        const text = storable(form.get('text') ?? '').trim();
        const discard = form.get('verb') === 'discard';
        const edited = text !== (form.get('was') ?? '').replaceAll('\r\n', '\n').trim() && text !== '';
        const args = { id: form.get('draft') ?? '', ...(edited && !discard ? { text: text.replaceAll('\r\n', '\n') } : {}) };
        const outcome = await run(site, c.get('visitor'), discard ? 'draft discard' : 'draft approve', args);
        const says = discard ? 'O rascunho foi descartado; a conversa fica com você.' : 'O rascunho foi enviado.';
        return answer(site, c, id, outcome.ok ? { tone: 'good', says } : { tone: 'wrong', says: refusalText(outcome) });
      },
    );

    routes.page.post(`${one}/export`, { summary: 'everything that is stored about the contact', access: 'admin', form: {} }, async (c) => {
      const visitor = c.get('visitor');
      const thread = await threadOf(site, visitor, Number(c.req.param('id')), null);
      if ('merged_into' in thread) throw new HTTPException(404);
      const outcome = await run(site, visitor, 'export-contact', { contact: `contact:${thread.conversation.contact_id}` });
      if (!outcome.ok) throw new HTTPException(404);
      c.header('Content-Disposition', `attachment; filename="contato-${thread.conversation.contact_id}.json"`);
      return c.json(outcome.result as object);
    });
    whyRoutes(routes, site);
  },
};

type Ask = Request<PageEnv>;

function commandOf(
  act: string,
  { id, phone, contact_id }: Thread['conversation'],
  form: URLSearchParams,
): { name: string; args: object; done: string } | null {
  const reason = 'pelo console';
  switch (act) {
    case 'return':
      return { name: 'handoff return', args: { id }, done: 'O agente responde de novo ao que vier agora.' };
    case 'pause':
      return { name: 'pause', args: { scope: 'conversation', target: String(id), reason }, done: 'Esta conversa está pausada.' };
    case 'resume':
      return { name: 'resume', args: { scope: 'conversation', target: String(id), reason }, done: 'Esta conversa segue.' };
    case 'mode':
      return { name: 'conversation mode', args: { id, mode: form.get('mode') ?? '', reason }, done: 'O modo da conversa mudou.' };
    case 'optout':
      return { name: 'optout add', args: { phone: phone ?? '', reason }, done: 'Anotado: este contato não recebe o que não pediu.' };
    case 'optin':
      return { name: 'optout remove', args: { phone: phone ?? '', reason }, done: 'Este contato volta a receber mensagens.' };
    case 'erase':
      return { name: 'erase-contact', args: { contact: `contact:${contact_id}`, reason }, done: 'Tudo sobre este contato foi apagado.' };
    default:
      return null;
  }
}

function hasNotice(site: Site, visitor: Visitor, { by, since }: { by: string; since: Date }, text: string): Notice {
  const who = personText(by, visitor.email);
  return {
    tone: 'wrong',
    says: `${who} está com esta conversa desde ${clockOf(site.config).time(since)}. Nada foi enviado.`,
    force: { text },
  };
}

/** The conversation as it is now: to htmx alone, to a browser by the way to its page, or as a page when there is something to say. */
async function answer(site: Site, c: Ask, id: number, notice: Notice, alone = false): Promise<Response> {
  const visitor = c.get('visitor');
  const isHtmx = alone || c.req.header('hx-request') === 'true';
  if (!isHtmx && notice === null) return c.redirect(`${PATH}/${id}`, 303);
  const thread = await threadOf(site, visitor, id, null);
  if ('merged_into' in thread) {
    if (isHtmx) return c.body(null, 204, { 'hx-redirect': `${PATH}/${thread.merged_into}` });
    return c.redirect(`${PATH}/${thread.merged_into}`, 303);
  }
  const markup = threadMarkup(thread, visitor, clockOf(site.config), notice);
  if (isHtmx) return show(c, markup);
  return show(c, bothPanes(site, visitor, await listOf(site, c, id), { id, markup }), notice?.tone === 'wrong' ? 409 : 200);
}

async function threadOf(site: Site, visitor: Visitor, id: number, before: number | null): Promise<Thread | { merged_into: number }> {
  const thread = await readConversation(contextOf(site.process).db, visitor.tenant, id, before, MESSAGES);
  if (thread === null) throw new HTTPException(404);
  return thread;
}

async function listOf(site: Site, c: Ask, open: number | null): Promise<Markup> {
  const { db } = contextOf(site.process);
  const visitor = c.get('visitor');
  const asked = c.req.query('tab');
  const tab: Tab = TABS.find((each) => each === asked) ?? 'needs';
  const query = cut(storable(c.req.query('q') ?? '').trim(), 100);
  const list = await listConversations(db, {
    tenant: visitor.tenant,
    tab,
    before: seqOf(c.req.query('before')),
    limit: query === '' ? ROWS : 1,
  });
  const rows = query === '' ? list.rows : await searchConversations(db, visitor.tenant, query, ROWS);
  return listMarkup({ tab, query, rows, next: query === '' ? list.next : null, needs: list.needs, open }, visitor, clockOf(site.config));
}

function bothPanes(site: Site, visitor: Visitor, list: Markup, thread: { id: number; markup: Markup } | null): Markup {
  return site.page(
    { title: 'Conversas', here: PATH, visitor },
    html`<div
      class="panes ${thread === null ? 'only-list' : 'open'}"
      data-live
      ${thread === null ? '' : html`data-conversation="${thread.id}"`}
    >
      ${thread === null ? html`<h1 class="away">Conversas</h1>` : ''}
      <section id="list" class="list" aria-label="Conversas">${list}</section>
      <section id="thread" class="thread" aria-label="Conversa">
        ${thread === null ? html`<p class="empty">Escolha uma conversa. Com o teclado: <kbd>j</kbd> e <kbd>k</kbd> andam na lista, <kbd>Enter</kbd> abre.</p>` : thread.markup}
      </section>
    </div>`,
  );
}

function seqOf(given: string | undefined): number | null {
  const found = /^\d{1,15}$/.exec(given ?? '')?.[0];
  return found === undefined ? null : Number(found);
}
