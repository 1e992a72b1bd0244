// The simulator from outside: the control API, the event stream, the command line, and an end without leftovers.

import { request } from 'node:http';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { startSimulator } from '../../simulator/index.ts';
import type { SimulatorEvent } from '../../simulator/types.ts';
import { MARIA, useSimulator, type Json } from '../support/simulator-setting.ts';

const setting = useSimulator();

test('a conversation by hand: contact, inbound, answer, read, reaction, edit, deletion', async () => {
  const { contact } = (await sim('POST', '/sim/contacts', { name: 'João', phone: '5511977776666', addressing: 'lid' })) as {
    contact: { id: string };
  };
  const { message } = (await sim('POST', '/sim/inbound', { contactId: contact.id, text: 'Oi' })) as { message: { id: string } };
  await setting.post('/message/sendText/wa1', { number: '5511977776666', text: 'Olá' });
  assert.deepEqual(await sim('POST', '/sim/read', { contactId: contact.id }), { read: 1 });
  await sim('POST', `/sim/inbound/${message.id}/react`, { emoji: '👍' });
  await sim('POST', `/sim/inbound/${message.id}/edit`, { text: 'Oi!' });
  await sim('POST', '/sim/owner', { contactId: contact.id, text: 'assumo daqui' });
  await sim('POST', `/sim/inbound/${message.id}/delete`, {});
  const state = (await sim('GET', '/sim/state')) as { messages: Json[]; instances: Json[]; claude: Json };
  assert.deepEqual(
    state.messages.map(({ author, text, status, edited, deleted }) => ({ author, text, status, edited, deleted })),
    [
      { author: 'contact', text: 'Oi!', status: 'DELIVERY_ACK', edited: true, deleted: true },
      { author: 'api', text: 'Olá', status: 'READ', edited: undefined, deleted: undefined },
      { author: 'owner', text: 'assumo daqui', status: 'SERVER_ACK', edited: undefined, deleted: undefined },
    ],
  );
  assert.deepEqual(state.instances[0], { name: 'wa1', number: '5511900000001', state: 'open' });
  assert.deepEqual(state.claude, { mode: 'persona' });
});

test('a contact can change from pn to lid to hidden', async () => {
  const keys: unknown[] = [];
  for (const addressing of ['pn', 'lid', 'lid-hidden']) {
    await sim('PATCH', `/sim/contacts/${setting.maria}`, { addressing });
    const { id } = setting.simulator.inbound({ contactId: setting.maria, text: addressing });
    const { body } = await setting.post('/chat/findMessages/wa1', { where: { key: { id } } });
    const { id: _id, ...key } = (body as { messages: { records: { key: Json }[] } }).messages.records[0]?.key ?? {};
    keys.push(key);
  }
  const lid = '123456789012345@lid';
  assert.deepEqual(keys, [
    { remoteJid: `${MARIA}@s.whatsapp.net`, fromMe: false, addressingMode: 'pn' },
    { remoteJid: lid, fromMe: false, addressingMode: 'lid', remoteJidAlt: `${MARIA}@s.whatsapp.net` },
    { remoteJid: lid, fromMe: false, addressingMode: 'lid' },
  ]);
});

test('faults are added, listed and removed', async () => {
  const { fault } = (await sim('POST', '/sim/faults', { target: 'send', kind: 'refuse-before', times: null })) as { fault: { id: string } };
  for (let round = 0; round < 2; round += 1) {
    assert.equal((await setting.post('/message/sendText/wa1', { number: MARIA, text: 'a' })).status, 400);
  }
  await sim('DELETE', `/sim/faults/${fault.id}`);
  assert.equal((await setting.post('/message/sendText/wa1', { number: MARIA, text: 'a' })).status, 201);
  assert.equal((await setting.api('DELETE', `/sim/faults/${fault.id}`)).status, 404);
  assert.equal((await setting.post('/sim/faults', { target: 'nothing', kind: 'x' })).status, 400);
});

test('the event stream tells what happens', async () => {
  const leaving = new AbortController();
  const response = await fetch(`${setting.simulator.url}/sim/events`, { signal: leaving.signal });
  const stream = response.body;
  assert.ok(stream);
  setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
  let text = '';
  const events: SimulatorEvent[] = [];
  for await (const chunk of stream) {
    text += Buffer.from(chunk).toString();
    const lines = text.split('\n\n');
    text = lines.pop() ?? '';
    events.push(...lines.filter((line) => line.startsWith('data: ')).map((line) => JSON.parse(line.slice(6)) as SimulatorEvent));
    if (events.some((event) => event.type === 'webhook' && event.event === 'messages.upsert')) break;
  }
  leaving.abort();
  assert.equal(events[0]?.type, 'message');
  const delivered = events.find((event) => event.type === 'webhook' && event.event === 'messages.upsert');
  assert.ok(delivered?.type === 'webhook' && delivered.status === 200 && delivered.attempt === 1);
});

test('files of messages are served to the page, and nothing outside its folder', async () => {
  const media = { kind: 'document' as const, base64: Buffer.from('um boleto').toString('base64'), fileName: 'boleto.pdf' };
  const message = setting.simulator.inbound({ contactId: setting.maria, media });
  const file = await fetch(setting.simulator.url + message.media?.url);
  assert.deepEqual([file.headers.get('content-type'), await file.text()], ['application/pdf', 'um boleto']);
  const root = await fetch(setting.simulator.url, { headers: { accept: 'text/html' }, redirect: 'manual' });
  assert.equal(root.headers.get('location'), '/chat');
  const outside = await fetch(`${setting.simulator.url}/chat/..%2fmain.ts`);
  assert.equal(outside.status, 404);
});

test('close ends hung requests, event streams, planned retries and waits', { timeout: 10_000 }, async () => {
  const simulator = await startSimulator({ webhook: { url: 'http://127.0.0.1:1/nobody' } });
  const contact = simulator.addContact({ name: 'Ana' });
  simulator.inbound({ contactId: contact.id, text: 'Oi' });
  await simulator.waitFor((wire) => wire.webhooks.length > 0);
  simulator.fault({ target: 'send', kind: 'hang' });
  const headers = { apikey: simulator.apiKey };
  const hung = fetch(`${simulator.url}/message/sendText/julia-dev`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ number: MARIA, text: 'a' }),
  });
  const delayed = fetch(`${simulator.url}/message/sendText/julia-dev`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ number: MARIA, text: 'b', delay: 600_000 }),
  });
  const stream = await fetch(`${simulator.url}/sim/events`);
  const waiting = simulator.waitFor(() => false, 600_000);
  await simulator.waitFor((wire) => wire.sends.some(({ outcome }) => outcome === 'unconfirmed'));
  const ends = Promise.allSettled([hung, delayed, stream.text(), waiting]);
  await simulator.close();
  assert.deepEqual(
    (await ends).map(({ status }) => status),
    Array(4).fill('rejected'),
  );
});

test('waitFor says what it saw when nothing fits', async () => {
  await assert.rejects(
    setting.simulator.waitFor(() => false, 1),
    /nothing fitted within 1 ms; on the wire: 0 sends/,
  );
});

test('the command line prints its address and ends on SIGTERM', async () => {
  const main = new URL('../../simulator/main.ts', import.meta.url).pathname;
  const args = [main, '--port', '0', '--webhook', setting.receiver.url, '--secret', 's', '--instance', 'um', '--instance', 'dois'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const url = /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0];
  assert.ok(url, line);
  const state = (await (await fetch(`${url}/sim/state`)).json()) as { instances: { name: string }[] };
  assert.deepEqual(
    state.instances.map(({ name }) => name),
    ['um', 'dois'],
  );
  child.kill('SIGTERM');
  assert.deepEqual(await once(child, 'exit'), [0, null]);
});

async function sim(method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await setting.api(method, path, { body });
  assert.ok(answer.status < 300, `${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** `fetch` lets nobody choose Host. */
async function asked(method: string, headers: Record<string, string>): Promise<number> {
  const { hostname, port } = new URL(setting.simulator.url);
  return new Promise((resolve, reject) => {
    const path = method === 'GET' ? '/sim/state' : '/sim/trouble';
    const body = method === 'GET' ? undefined : '{}';
    const sent = request({ hostname, port, method, path, headers: { 'content-type': 'application/json', ...headers } }, (answer) => {
      answer.resume();
      answer.once('end', () => resolve(answer.statusCode ?? 0));
    });
    sent.once('error', reject);
    sent.end(body);
  });
}

test('a page of somebody else does not drive the simulator, and a name that leads here neither', async () => {
  const { host } = new URL(setting.simulator.url);
  const { port } = new URL(setting.simulator.url);
  for (const [name, headers] of Object.entries({
    'another page': { origin: 'https://mal.example' },
    'another program of this machine, in a browser': { origin: 'http://127.0.0.1:1' },
    'a file': { origin: 'null' },
    'a name that leads here': { host: `mal.example:${port}` },
    'its own name': { host: `mal.example:${port}`, origin: `http://mal.example:${port}` },
    'a form of another page': { 'sec-fetch-site': 'cross-site' },
  }))
    assert.equal(await asked('POST', headers), 403, name);
  assert.equal(await asked('GET', { host: 'mal.example' }), 403, 'what it tells is not for them either');
  for (const headers of [
    {},
    { origin: `http://${host}`, 'sec-fetch-site': 'same-origin' },
    { host: `localhost:${port}`, origin: `http://localhost:${port}` },
  ])
    assert.notEqual(await asked('POST', headers), 403, JSON.stringify(headers));
});
