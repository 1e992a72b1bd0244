/** The agent's page: its words by version, tried before they are published, and what it knows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loggedIn } from '../support/console.ts';
import { atConsole, DESKTOP, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { startSystem } from '../support/system.ts';

const WORDS = {
  name: 'Ana',
  company: 'Loja Pitanga',
  language: 'pt-BR',
  tone: 'Cordial.',
  instructions: 'Atenda {empresa}.',
  promises: 'Nada.',
  anyway: 'on',
};

test('H9 L5 the page of the agent: a draft is saved, tried, published and taken back, and each step is in the audit', async (t) => {
  const system = await startSystem(t, { workers: 1 });
  const boss = await loggedIn(system, 'chefe@example.com', { role: 'admin' });
  const first = await boss.get('/console/agent');
  assert.equal(first.status, 200);
  assert.match(first.text, /instruções que vêm com o produto/);
  assert.match(first.text, /não sabe nenhum preço/);

  const saved = await boss.post('/console/agent/save', { ...WORDS, note: 'nova voz' });
  assert.equal(saved.status, 200, saved.text);
  assert.match(saved.text, /A versão 2 é um rascunho/);
  const wrong = await boss.post('/console/agent/save', { ...WORDS, tone: 'Oi {cliente}' });
  assert.equal(wrong.status, 422);
  assert.match(wrong.text, /\{cliente\}/);
  assert.match(wrong.text, /Oi \{cliente\}/, 'what was written is still in the form');

  system.simulator.script([{ match: 'abrem', text: 'Abrimos às nove.' }]);
  const tried = await boss.post('/console/agent/try', { text: 'que horas abrem?', version: '2' });
  assert.match(tried.text, /Abrimos às nove\./);
  assert.match(tried.text, /versão 2 · claude-\S+, US\$ /);
  assert.deepEqual(system.simulator.sends(), []);

  const published = await boss.post('/console/agent/publish', { version: '2' });
  assert.match(published.text, /A versão 2 vale a partir da próxima mensagem/);
  assert.match(published.text, /O que mudou desde a versão 1/);
  const [row] = await system.query<{ name: string }>('select name from agents where active');
  assert.equal(row?.name, 'Ana');
  assert.match((await boss.post('/console/agent/rollback')).text, /A versão 1 vale/);
  assert.equal((await boss.post('/console/agent/publish', { version: '77' })).status, 422);
  const audit = (
    await system.query<{ action: string }>(
      `select action from audit_log where actor = 'console:chefe@example.com' and action like 'agent%' order by id`,
    )
  ).map(({ action }) => action);
  assert.deepEqual(audit, ['agent.saved', 'agent.tried', 'agent.published', 'agent.rolled_back']);

  const operator = await loggedIn(system, 'ana@example.com', { role: 'operator' });
  assert.equal((await operator.get('/console/agent')).status, 200);
  for (const path of ['save', 'publish', 'rollback'])
    assert.equal((await operator.post(`/console/agent/${path}`, WORDS)).status, 403, path);
});

test('H9 L7 what the company knows: written, sent as a file, looked at, asked, removed; hostile words stay words', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const ana = await loggedIn(system, 'ana@example.com', { role: 'operator' });
  const path = '/console/agent/knowledge';
  assert.match((await ana.get(path)).text, /Nenhum ainda/);
  const hostile = '<script>alert(1)</script>';
  const added = await ana.post(`${path}/add`, {
    name: 'frete',
    text: `# Frete\r\n\r\nPara Minas, R$ 22,00. ${hostile}`,
    base64: '',
    file: '',
  });
  assert.equal(added.status, 200, added.text);
  assert.match(added.text, /frete\.md está com o agente/);
  const csv = await ana.post(`${path}/add`, {
    name: '',
    text: '',
    file: 'p.csv',
    base64: Buffer.from('produto;preço\nCamiseta;R$ 59,90\n').toString('base64'),
  });
  assert.match(csv.text, /p\.csv está com o agente/);
  const scan = await ana.post(`${path}/add`, { name: '', text: '', file: 'p.pdf', base64: Buffer.from('oi').toString('base64') });
  assert.equal(scan.status, 422);
  assert.match(scan.text, /p\.pdf is no PDF/);
  const seen = await ana.get(`${path}?document=frete.md`);
  assert.match(seen.text, /Para Minas, R\$ 22,00\. &lt;script&gt;/);
  const asked = await ana.post(`${path}/ask`, { question: 'quanto é a camizeta?' });
  assert.match(asked.text, /produto: Camiseta; preço: R\$ 59,90/);
  assert.match((await ana.post(`${path}/remove`, { name: 'p.csv' })).text, /p\.csv saiu/);
  assert.equal((await ana.post(`${path}/remove`, { name: 'p.csv' })).status, 422);
  for (const text of [added.text, seen.text, asked.text]) assert.ok(!text.includes(hostile));
});

test('H9 the page of the agent in a browser: tried, a file given, on a desktop and on a phone, without a violation that axe knows', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  system.simulator.script([{ match: 'abrem', text: 'Abrimos às nove.', repeat: true }]);
  for (const [index, viewport] of [DESKTOP, PHONE].entries()) {
    const { page, errors } = await atConsole(system, browser, { email: `chefe${index}@example.com`, role: 'admin', viewport });
    await page.goto(`${system.url}/console/agent`);
    await page.getByRole('textbox', { name: 'Nome', exact: true }).fill(`Ana ${index}`);
    await page.getByLabel('salvar mesmo que seja curto').check();
    await page.getByRole('button', { name: 'Salvar como rascunho' }).click();
    await page.getByRole('status').filter({ hasText: 'é um rascunho' }).waitFor();
    await page.getByLabel('O cliente escreve').fill('que horas abrem?');
    await page.getByRole('button', { name: 'Ver a resposta' }).click();
    await page.getByRole('status').filter({ hasText: 'Abrimos às nove.' }).waitFor();
    await isAccessible(page, 'agent');
    await page.getByRole('link', { name: 'O que a empresa sabe' }).click();
    await page
      .locator('input[type=file]')
      .setInputFiles({ name: `p${index}.csv`, mimeType: 'text/csv', buffer: Buffer.from('produto;preço\nCamiseta;R$ 59,90\n') });
    // its bytes are in the form when its name is
    await page.waitForFunction(`document.querySelector('input[name=base64]').value !== ''`);
    await page.getByRole('button', { name: 'Dar ao agente' }).click();
    await page
      .getByRole('status')
      .filter({ hasText: `p${index}.csv está com o agente` })
      .waitFor();
    await page.getByLabel('Nas palavras de um cliente').fill('quanto custa a camiseta');
    await page.keyboard.press('Enter');
    await page.getByText('produto: Camiseta').first().waitFor();
    await isAccessible(page, 'knowledge');
    assert.deepEqual(errors, []);
  }
});
