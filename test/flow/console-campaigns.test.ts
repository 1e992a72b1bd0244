/** Campanhas at the console: a draft from a list, its preview, a start, a pause, what came of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { campaignsJob } from '../../src/crons/campaigns.ts';
import { atConsole, DESKTOP, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { loggedIn } from '../support/console.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';

const HOSTILE = '<script>alert(1)</script>';
const FREE = { MAX_MSGS_POR_HORA: '100000', MAX_MSGS_POR_DIA: '100000' };

test('H9 M3 Campanhas: a list with each row told, a preview, a start, a pause, a report; hostile words stay words', async (t) => {
  const system = await startSystem(t, { workers: 0, env: FREE });
  const ana = await loggedIn(system, 'ana@example.com', { role: 'operator' });
  const path = '/console/campaigns';
  assert.match((await ana.get(path)).text, /Nenhuma ainda/);
  const wrong = await ana.post(`${path}/create`, { name: 'natal', text: `Oi {cliente} ${HOSTILE}`, tag: 'vip' });
  assert.equal(wrong.status, 422);
  assert.match(wrong.text, /no placeholder \{cliente\}/);
  assert.match(wrong.text, /Oi \{cliente\} &lt;script&gt;/, 'what was written is still in the form');
  const made = await ana.post(`${path}/create`, {
    name: 'natal',
    text: `Oi {nome}! ${HOSTILE}`,
    tag: '',
    wrote_days: '',
    file: 'lista.csv',
    base64: Buffer.from(`telefone;nome\n11912345678;${HOSTILE}\n912345679;Zé\n11912345677;Bia`).toString('base64'),
  });
  assert.equal(made.status, 200, made.text);
  assert.match(made.text, /3 linhas: 2 contatos novos/);
  assert.match(made.text, /Linha 3 está sem DDD: 912345679/);
  assert.match(made.text, /<strong>2<\/strong>\s+pessoas recebem/);
  assert.ok(!made.text.includes(HOSTILE));
  const plain = await ana.post(`${path}/create`, { name: 'vazia', text: 'Oi', tag: 'ninguem' });
  assert.deepEqual([plain.status, plain.to], [303, `${path}/vazia`]);
  assert.equal((await ana.get(`${path}/nenhuma`)).status, 404);

  const marked = await ana.post(`${path}/vazia/start`, { at: '2099-01-01T09:00' });
  assert.match(marked.text, /Começa 01\/01/);
  assert.deepEqual(await system.query(`select starts_at from campaigns where name = 'vazia'`), [
    { starts_at: new Date('2099-01-01T12:00:00Z') },
  ]);
  assert.match((await ana.post(`${path}/natal/start`, { at: '' })).text, /em andamento/);
  assert.equal((await ana.post(`${path}/natal/start`, { at: '' })).status, 422);
  assert.equal(await campaignsJob.run(system.ctx, aRun()), 2);
  assert.match((await ana.get(`${path}/natal`)).text, /2 na fila/);
  assert.match((await ana.post(`${path}/natal/pause`)).text, /Pausada por uma pessoa/);
  assert.match((await ana.post(`${path}/natal/resume`)).text, /em andamento/);
  assert.match((await ana.post(`${path}/natal/stop`)).text, /2 cancelado[^]*porque a campanha foi encerrada/);
  assert.match((await ana.get(path)).text, /encerrada/);
  const audit = await system.query<{ action: string }>(
    `select action from audit_log where actor = 'console:ana@example.com' and action like 'campaign%' order by id`,
  );
  assert.deepEqual(
    audit.map(({ action }) => action),
    ['create', 'create', 'start', 'start', 'pause', 'resume', 'stop'].map((verb) => `campaign.${verb}`),
  );
});

test('H9 Campanhas in a browser, on a desktop and on a phone, without a violation that axe knows', async (t) => {
  const system = await startSystem(t, { workers: 0, env: FREE });
  const browser = await startBrowser(t);
  for (const [index, viewport] of [DESKTOP, PHONE].entries()) {
    const { page, errors } = await atConsole(system, browser, { email: `ana${index}@example.com`, viewport });
    await page.getByRole('link', { name: 'Campanhas' }).click();
    await isAccessible(page, 'campaigns');
    await page.getByLabel('Nome').first().fill(`natal-${index}`);
    await page.getByLabel('Texto').fill('Oi {nome}, tudo bem?');
    await page.locator('input[type=file]').setInputFiles({
      name: 'l.csv',
      mimeType: 'text/csv',
      buffer: Buffer.from(`telefone;nome\n1191234567${index};Maria\n912345678;Zé\n`),
    });
    // its bytes are in the form when its name is
    await page.waitForFunction(`document.querySelector('input[name=base64]').value !== ''`);
    await page.getByRole('button', { name: 'Salvar como rascunho' }).click();
    await page.getByText('Oi Maria, tudo bem?').waitFor();
    await isAccessible(page, 'a draft');
    page.once('dialog', (dialog) => void dialog.accept());
    await page.getByRole('button', { name: 'Começar' }).click();
    await page.getByText('O que aconteceu').waitFor();
    await isAccessible(page, 'a report');
    assert.deepEqual(errors, []);
  }
});
