/** Avisos at the console: the log, sending again, the words of each type, a test to a phone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atConsole, DESKTOP, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { loggedIn } from '../support/console.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const HOSTILE = '<script>alert(1)</script>';

async function notice(system: System, more: object = {}): Promise<number> {
  const request = {
    tenant: 'default',
    instance: INSTANCE,
    type: 'order_shipped',
    reference: 'pedido-1',
    phone: '5511912345678',
    data: { nome: 'Maria' },
    text: `A caminho! ${HOSTILE}`,
    actor: 'api:loja',
    ...more,
  };
  const [row] = await system.query<{ r: { notice: { id: number } } }>('select order_notice($1) as r', [JSON.stringify(request)]);
  return row?.r.notice.id ?? 0;
}

test('H9 T10 Avisos: searched, sent again, other words, a switch, a test to a phone; hostile words stay words', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { NOME_EMPRESA: 'Loja Pitanga' } });
  const ana = await loggedIn(system, 'ana@example.com', { role: 'operator' });
  assert.match((await ana.get('/console/notices')).text, /Nenhum aviso ainda/);
  const id = await notice(system);
  await notice(system);
  await notice(system, { reference: 'pedido-2', phone: '5511912345679' });
  const log = await ana.get('/console/notices');
  assert.ok(!log.text.includes(HOSTILE));
  assert.match(log.text, /A caminho! &lt;script&gt;/);
  assert.match(log.text, /repete o aviso 1/);
  assert.equal((await ana.get('/console/notices?q=pedido-2')).text.match(/class="card"/g)?.length, 1);
  assert.equal((await ana.get('/console/notices?q=11+91234-5678&status=queued')).text.match(/class="card"/g)?.length, 1);
  assert.match((await ana.get('/console/notices?type=expired')).text, /Nenhum aviso assim/);

  assert.equal((await ana.post('/console/notices/resend', { id: String(id) })).status, 422, 'it is on its way');
  await system.query(`update messages set status = 'failed', reason = 'provider_refused', error_class = 'provider_refused'`);
  assert.match((await ana.get('/console/notices?status=failed')).text, /erro: provider_refused/);
  const again = await ana.post('/console/notices/resend', { id: String(id) });
  assert.equal(again.status, 200);
  assert.match(again.text, /de novo, do aviso 1/);

  const path = '/console/notices/texts';
  assert.match((await ana.get(path)).text, /Loja Pitanga recebeu o seu pedido 1001/);
  const wrong = await ana.post(`${path}/set`, { type: 'picked_up', text: `Oi {cliente} ${HOSTILE}` });
  assert.equal(wrong.status, 422);
  assert.match(wrong.text, /no placeholder \{cliente\}/);
  assert.match(wrong.text, /Oi \{cliente\} &lt;script&gt;/, 'what was written is still in the form');
  const seen = await ana.post(`${path}/preview`, { type: 'picked_up', text: 'Obrigado, {nome}!\r\nAté já.' });
  assert.match(seen.text, /Ainda não salvo[^]*Obrigado, Maria!\nAté já\./);
  assert.deepEqual(await system.query('select from notice_templates'), []);
  assert.equal((await ana.post(`${path}/set`, { type: 'picked_up', text: 'Obrigado, {nome}!\r\nAté já.' })).status, 200);
  assert.match((await ana.post(`${path}/switch`, { type: 'picked_up', on: 'false' })).text, /Ligar Retirado/);
  assert.deepEqual(await system.query('select type, text, enabled, updated_by from notice_templates'), [
    { type: 'picked_up', text: 'Obrigado, {nome}!\nAté já.', enabled: false, updated_by: 'console:ana@example.com' },
  ]);
  assert.equal((await ana.post(`${path}/test`, { type: 'picked_up', phone: '' })).status, 422, 'there is no manager');
  assert.equal((await ana.post(`${path}/test`, { type: 'picked_up', phone: '11 91234-5670' })).status, 200);
  assert.match((await ana.get('/console/notices?q=teste')).text, /· teste[^]*Obrigado, Maria!/);
  assert.equal((await ana.post(`${path}/set`, { type: 'picked_up', text: 'x', standard: '1' })).status, 200);
  assert.equal((await ana.post(`${path}/set`, { type: 'nenhum', text: 'x' })).status, 422);
  const sender = await loggedIn(system, 'loja@example.com', { role: 'sender' });
  assert.equal((await sender.get('/console/notices')).status, 403);
});

test('H9 Avisos in a browser, on a desktop and on a phone, without a violation that axe knows', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  await notice(system);
  await notice(system);
  const browser = await startBrowser(t);
  for (const [index, viewport] of [DESKTOP, PHONE].entries()) {
    const { page, errors } = await atConsole(system, browser, { email: `ana${index}@example.com`, viewport });
    await page.getByRole('link', { name: 'Avisos' }).click();
    await page.getByText('A caminho!').first().waitFor();
    await page.getByText('O que o WhatsApp respondeu').first().click();
    await isAccessible(page, 'notices');
    await page.getByRole('link', { name: 'Textos' }).click();
    const card = page.getByRole('listitem').filter({ hasText: 'Pronto para retirada' });
    await card.getByText('Mudar o texto de').click();
    await card.getByRole('textbox', { name: 'Texto' }).fill(`Pode vir, {nome}! ${index}`);
    await card.getByRole('button', { name: 'Ver sem salvar' }).click();
    await page
      .getByRole('status')
      .filter({ hasText: `Pode vir, Maria! ${index}` })
      .waitFor();
    await isAccessible(page, 'texts of notices');
    await card.getByRole('button', { name: 'Salvar', exact: true }).click();
    await page.getByRole('status').filter({ hasText: 'Salvo' }).waitFor();
    assert.deepEqual(errors, []);
  }
});
