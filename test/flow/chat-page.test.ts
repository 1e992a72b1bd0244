import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { chromium } from 'playwright-core';
import { pdf, picture } from '../../simulator/pictures.ts';
import { ensureChromium } from '../../scripts/lib/chromium.ts';
import { JWT_SECRET, startSystem } from '../support/system.ts';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

test('L1 in the chat page a person writes a burst as a contact and reads one answer, on a desktop and on a phone', async (t) => {
  const executablePath = await ensureChromium();
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '1500', DEBOUNCE_MAX_MS: '15000', HUMAN_DELAY: 'true' } });
  await system.query(
    `insert into agents (name, tone, instructions, promises) values ('Ana', '', 'Atendemos de segunda a sexta, das 9h às 19h.', '')`,
  );
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
  t.after(() => browser.close());

  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${system.simulator.url}/chat`);
  await page.getByTestId('contact-add').click();
  await page.getByTestId('contact-name').fill('João Lima');
  await page.getByTestId('contact-phone').fill('11 91234-5678');
  await page.getByTestId('contact-save').click();
  for (const text of ['Oi!', 'Tudo bem?', 'Qual o horário de vocês?']) {
    await page.getByTestId('composer').fill(text);
    await page.getByTestId('send').click();
    await page.getByTestId('bubble-out').filter({ hasText: text }).waitFor();
  }
  await page.getByTestId('typing').first().waitFor();
  await page.getByTestId('bubble-in').first().waitFor();
  // Blue: the runtime marked what it answers as read.
  await page.locator('[data-testid="bubble-out"][data-ticks="read"]').nth(2).waitFor();
  assert.equal(await page.getByTestId('bubble-in').count(), 1);
  assert.match((await page.getByTestId('bubble-in').textContent()) ?? '', /segunda a sexta/i);

  const phone = await browser.newPage({ viewport: { width: 390, height: 844 } });
  phone.on('pageerror', (error) => errors.push(error.message));
  await phone.goto(`${system.simulator.url}/chat`);
  await phone.getByTestId('contact-item').filter({ hasText: 'João Lima' }).click();
  await phone.getByTestId('bubble-in').first().waitFor();
  assert.equal(await phone.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), true, 'no sideways scrolling');
  assert.deepEqual(errors, []);
});

test('I10 in the chat page a contact sends a picture and a PDF, and reads what was seen in them', async (t) => {
  const executablePath = await ensureChromium();
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '200', DEBOUNCE_MAX_MS: '2000' } });
  system.simulator.addContact({ name: 'Maria Souza', phone: '5511988887777' });
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  await page.goto(`${system.simulator.url}/chat`);
  await page.getByTestId('contact-item').click();
  const attach = (name: string, mimeType: string, buffer: Buffer): Promise<void> =>
    page.getByTestId('file-input').setInputFiles({ name, mimeType, buffer });
  await attach('bolo.png', 'image/png', picture('um bolo de cenoura', { width: 640, height: 480 }));
  await page.getByTestId('picture').waitFor();
  await page.getByTestId('bubble-in').filter({ hasText: 'um bolo de cenoura' }).waitFor();
  await attach('pedido.pdf', 'application/pdf', pdf('um pedido de três camisetas', { pages: 2 }));
  await page.getByTestId('document').filter({ hasText: 'pedido.pdf' }).waitFor();
  await page.getByTestId('bubble-in').filter({ hasText: 'um pedido de três camisetas' }).waitFor();
  await attach('senha.pdf', 'application/pdf', pdf('segredo', { locked: true }));
  await page.getByTestId('bubble-in').filter({ hasText: 'o arquivo tem senha' }).waitFor();
  assert.deepEqual(errors, []);
});

test('A7 the chat page says who is who and what to try; after a handoff it says that a person has the conversation, and gives it back; a second visit too', async (t) => {
  const executablePath = await ensureChromium();
  const system = await startSystem(t, { env: { DEBOUNCE_MS: '200', DEBOUNCE_MAX_MS: '2000' } });
  const token = new SignJWT({ role: 'operator', tenant: 'default' }).setProtectedHeader({ alg: 'HS256' }).setSubject('chat-page');
  const signed = await token.setExpirationTime('1h').sign(Buffer.from(JWT_SECRET));
  system.simulator.setProduct({ url: system.url, token: signed, agent: 'Julia', company: 'Loja Exemplo' });
  system.simulator.addContact({ name: 'Maria Souza', phone: '5511988887777' });
  const browser = await chromium.launch({ executablePath, args: ARGUMENTS });
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));

  await page.goto(`${system.simulator.url}/chat`);
  await page.getByTestId('hints').filter({ hasText: 'Do outro lado responde Julia, o agente de Loja Exemplo' }).waitFor();
  await page.getByTestId('contact-item').click();
  await page.getByTestId('hints').filter({ hasText: 'Este é o celular de Maria Souza' }).waitFor();
  await page.getByTestId('hint').filter({ hasText: 'Quero falar com uma pessoa' }).click();
  const holder = page.getByTestId('holder');
  await holder.filter({ hasText: 'Uma pessoa da equipe foi chamada' }).waitFor();
  assert.match((await holder.textContent()) ?? '', /npm run admin -- why conversation:\d+/);
  assert.equal(await page.getByTestId('hints').filter({ visible: true }).count(), 0);

  // As after a restart of ./scripts/dev: the simulator forgets, the product does not.
  system.simulator.reset({ keep: ['contacts'] });
  await page.getByTestId('hint').filter({ hasText: 'Quanto custa a camiseta básica?' }).click();
  await holder.filter({ hasText: 'Uma pessoa da equipe foi chamada' }).waitFor();
  await page.getByTestId('give-back').click();
  await holder.waitFor({ state: 'hidden' });
  await page.getByTestId('composer').fill('Oi! Qual o horário de vocês?');
  await page.getByTestId('send').click();
  await page.getByTestId('bubble-in').first().waitFor();
  assert.deepEqual(errors, []);
});
