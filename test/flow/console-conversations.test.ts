/** What people do in conversations: by the API, and in a real browser at the console. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { adminDone } from '../support/admin.ts';
import { atConsole, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { loggedIn } from '../support/console.ts';
import { INSTANCE, JWT_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

async function tokenOf(sub: string, role = 'operator'): Promise<string> {
  const jwt = new SignJWT({ role }).setProtectedHeader({ alg: 'HS256' }).setSubject(sub).setExpirationTime('5 minutes');
  return jwt.sign(new TextEncoder().encode(JWT_SECRET));
}

async function api(system: System, sub: string, path: string, body: object, headers: Record<string, string> = {}) {
  const answer = await fetch(`${system.url}/api/conversations/${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${await tokenOf(sub)}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: answer.status, body: (await answer.json()) as { id?: number; error?: { message: string } } };
}

/** Maria asks for a person, and waits. */
async function handoff(system: System, name = 'Maria Souza', phone = '5511988887777'): Promise<{ contact: string; conversation: number }> {
  const { id } = system.simulator.addContact({ name, phone });
  system.simulator.inbound({ contactId: id, text: 'Quero falar com uma pessoa' });
  const row = await system.until(
    async () =>
      (
        await system.query<{ id: string }>(
          `select c.id from conversations c join contact_addresses a on a.contact_id = c.contact_id
           join messages m on m.conversation_id = c.id and m.author = 'agent' and m.status in ('delivered', 'read')
           where a.address = $1 and c.controlled_by = 'human'`,
          [phone],
        )
      )[0],
    'a handoff',
  );
  return { contact: id, conversation: Number(row.id) };
}

test("A7 a person's words by API belong to a conversation: from its number, once, the agent keeps quiet, and the model knows whose they are", async (t) => {
  const system = await startSystem(t, { simulator: { instances: [INSTANCE, 'julia-dois'] } });
  const { contact, conversation } = await handoff(system);
  const ana = await api(system, 'ana', `${conversation}/messages`, { text: 'Oi Maria, é a Ana.' }, { 'idempotency-key': 'k1' });
  assert.equal(ana.status, 202);
  const again = await api(system, 'ana', `${conversation}/messages`, { text: 'Oi Maria, é a Ana.' }, { 'idempotency-key': 'k1' });
  assert.equal(again.body.id, ana.body.id);
  await system.until(async () => (await system.dump()).includes('out system delivered: Oi Maria, é a Ana.'), 'her words');
  const [bia, bob] = await Promise.all([
    api(system, 'bia', `${conversation}/take`, {}),
    api(system, 'bob', `${conversation}/messages`, { text: 'eu' }),
  ]);
  assert.deepEqual([bia.status, bob.status], [409, 409]);
  assert.match(bob.body.error?.message ?? '', /^api:ana has this conversation/);
  system.simulator.inbound({ contactId: contact, text: 'Obrigada, Ana' });
  await system.until(async () => (await system.dump()).includes('in contact handed_over(human): Obrigada, Ana'), 'left to Ana');

  assert.equal((await api(system, 'ana', `${conversation}/return`, {})).status, 200);
  assert.equal((await api(system, 'ana', `${conversation}/return`, {})).status, 409);
  system.simulator.script([{ text: 'De nada!' }]);
  system.simulator.inbound({ contactId: contact, text: 'E qual o horário?' });
  await system.until(async () => (await system.dump()).includes('out agent delivered: De nada!'), 'the agent again');
  const read = JSON.stringify(system.simulator.wire().claude.at(-1)?.request);
  assert.match(read, /\[pessoa da equipe\][^"]*Oi Maria, é a Ana/);
  assert.deepEqual(
    (
      await system.query<{ line: string }>(`select actor || ' ' || action as line from audit_log where subject = $1 order by id`, [
        String(conversation),
      ])
    ).map(({ line }) => line),
    ['api:ana conversation.take', 'api:ana conversation.write', 'api:ana handoff.return'],
  );
});

test('A7 two who take one conversation at once: one has it, the other hears who', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511988887777' });
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  const row = await system.until(async () => (await system.query<{ id: string }>('select id from conversations'))[0]);
  const both = await Promise.all(['ana', 'bia'].map((sub) => api(system, sub, `${row.id}/take`, {})));
  assert.deepEqual(both.map(({ status }) => String(status)).toSorted(), ['200', '409']);
  const loser = both[0]?.status === 409 ? 'ana' : 'bia';
  assert.equal((await api(system, loser, `${row.id}/take`, { force: true })).status, 200);
  assert.deepEqual(await system.query('select taken_by, controlled_by from conversations'), [
    { taken_by: `api:${loser}`, controlled_by: 'human' },
  ]);
  assert.equal((await system.query('select from handoffs where notified_at is null')).length, 0, 'nobody is called because of it');
});

test('A7 each form that sends names its send: posted twice without the script it is one message, forced as well', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511988887777' });
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.query('select id from conversations'))[0], 'a conversation');
  const ana = await loggedIn(system, 'ana@example.com');
  const bia = await loggedIn(system, 'bia@example.com');
  const keysOf = ({ text }: { text: string }) => [...text.matchAll(/name="key" value="([^"]*)"/g)].map(([, key = '']) => key);
  const page = await ana.get('/console/conversations/1');
  assert.match(keysOf(page)[0] ?? '', /^[0-9a-f-]{36}$/);
  await ana.post('/console/conversations/1/act/take');
  const refused = await bia.post('/console/conversations/1/messages', { text: 'Eu', key: 'k' });
  const keys = keysOf(refused);
  assert.equal(keys.length, 2, 'of the forced send and of the composer');
  assert.equal(new Set(keys).size, 2);
  const form = { text: 'Eu', force: '1', key: keys[0] ?? '' };
  for (let time = 0; time < 2; time++) assert.equal((await bia.post('/console/conversations/1/messages', form)).status, 303);
  assert.equal((await system.query(`select from messages where direction = 'out'`)).length, 1);
});

test('H9 A7 X11 in a browser: who waits is first, is taken, answered and given back, live on two screens, with keys alone', async (t) => {
  const system = await startSystem(t);
  const browser = await startBrowser(t);
  const { contact, conversation } = await handoff(system);
  const ana = await atConsole(system, browser, { email: 'ana@example.com' });
  const bia = await atConsole(system, browser, { email: 'bia@example.com', viewport: PHONE });
  await isAccessible(ana.page, 'the list');
  await ana.page.getByText('o contato pediu para falar com uma pessoa').first().waitFor();
  await ana.page.keyboard.press('j');
  await ana.page.keyboard.press('Enter');
  await ana.page.getByRole('status').filter({ hasText: 'Precisa de uma pessoa' }).waitFor();
  await bia.page.goto(`${system.url}/console/conversations/${conversation}`);
  await ana.page.keyboard.press('t');
  await ana.page.getByRole('status').filter({ hasText: 'Você está com a conversa' }).waitFor();
  await bia.page.getByRole('status').filter({ hasText: 'ana@example.com está com a conversa' }).waitFor();
  await bia.page.getByLabel('Sua mensagem').fill('Eu também quero');
  await bia.page.getByRole('button', { name: 'Enviar' }).click();
  await bia.page.getByRole('alert').filter({ hasText: 'Nada foi enviado' }).waitFor();

  await ana.page.keyboard.press('r');
  await ana.page.keyboard.type('Oi Maria, é a Ana.');
  await ana.page.keyboard.press('Enter');
  for (const { page } of [ana, bia]) await page.locator('.message.human .tick.delivered, .message.human .tick.read').waitFor();
  assert.equal(await ana.page.locator('#words').inputValue(), '', 'what was sent is gone from the field');
  system.simulator.inbound({ contactId: contact, text: 'Que bom, obrigada' });
  for (const { page } of [ana, bia]) await page.locator('.message.in').filter({ hasText: 'Que bom, obrigada' }).waitFor();
  for (const { page } of [ana, bia]) await isAccessible(page, 'a conversation');
  await ana.page.locator('main').click({ position: { x: 600, y: 400 } });
  await ana.page.keyboard.press('v');
  await ana.page.getByRole('alert').filter({ hasText: 'O agente responde de novo' }).waitFor();
  await bia.page.getByRole('status').filter({ hasText: 'O agente responde.' }).waitFor();
  await ana.page.getByRole('link', { name: 'por quê?' }).last().click();
  await ana.page.getByText('O contato escreveu: “Que bom, obrigada”').waitFor();
  await isAccessible(ana.page, 'step by step');
  assert.deepEqual([...ana.errors, ...bia.errors], []);
  assert.equal((await system.dump()).filter((line) => line.startsWith('out system')).length, 1);
});

test('H9 A10 drafts by keyboard: approved, changed, thrown away', async (t) => {
  const system = await startSystem(t);
  const browser = await startBrowser(t);
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511988887777' });
  system.simulator.script([{ text: 'Olá!' }]);
  system.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await system.until(async () => (await system.dump()).some((line) => line.startsWith('out agent delivered')), 'an answer');
  await adminDone(system.ctx, 'conversation mode', { id: 1, mode: 'assist' });
  const { page, errors } = await atConsole(system, browser, { email: 'ana@example.com' });
  await page.goto(`${system.url}/console/conversations/1`);
  const draft = async (words: string, keys: () => Promise<void>, said: string): Promise<void> => {
    system.simulator.script([{ text: words }]);
    system.simulator.inbound({ contactId: maria.id, text: `Sobre: ${words}` });
    await page.locator('.draft textarea').waitFor();
    await page.locator('body').click({ position: { x: 5, y: 300 } });
    await keys();
    await page.getByRole('alert').filter({ hasText: said }).waitFor();
    await page.locator('.draft').waitFor({ state: 'detached' });
  };
  await draft('Primeiro', () => page.keyboard.press('a'), 'foi enviado');
  await draft(
    'Segundo',
    async () => {
      await page.keyboard.press('e');
      await page.keyboard.press('ControlOrMeta+A');
      await page.keyboard.type('Segundo, mudado');
      await page.keyboard.press('Escape');
      await page.keyboard.press('a');
    },
    'foi enviado',
  );
  await draft('Terceiro', () => page.keyboard.press('d'), 'descartado');
  await system.until(async () => (await system.dump()).includes('out agent delivered: Segundo, mudado'));
  const lines = (await system.dump()).filter((line) => line.startsWith('out agent') && !line.includes('Olá'));
  assert.deepEqual(
    lines.map((line) => line.replace('read', 'delivered')),
    [
      'out agent delivered: Primeiro',
      'out agent cancelled(draft_edited): Segundo',
      'out agent delivered: Segundo, mudado',
      'out agent cancelled(draft_refused): Terceiro',
    ],
  );
  assert.deepEqual(errors, []);
});

test('H9 a conversation is found by a part of a name, by the last digits of its number, and by words', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const people = [
    { name: 'Conceição da Luz', phone: '5511988881234', text: 'Quanto custa a camiseta 100% algodão?' },
    { name: 'João Lima', phone: '5511977775678', text: 'Bom dia' },
  ];
  for (const { name, phone, text } of people)
    system.simulator.inbound({ contactId: system.simulator.addContact({ name, phone }).id, text });
  await system.until(async () => (await system.dump()).length === 2, 'both');
  const token = await tokenOf('ana');
  const search = async (q: string): Promise<(string | null)[]> => {
    const answer = await fetch(`${system.url}/api/conversations?q=${encodeURIComponent(q)}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    const body = (await answer.json()) as { conversations: { name: string | null }[] };
    return body.conversations.map(({ name }) => name);
  };
  for (const q of ['conceicao', 'LUZ', 'conc', '8888-1234', '+55 11 98888-1234', 'camiseta', '100%'])
    assert.deepEqual(await search(q), ['Conceição da Luz'], q);
  for (const q of ["'); drop table", '100_', 'a\\b', '<b>', '9999-0000', ':*&|!']) assert.deepEqual(await search(q), [], q);
});
