/** What three real processes write while people write: JSON to the last line, one id that joins a conversation's steps, and nobody's words or numbers. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SignJWT } from 'jose';
import { JWT_SECRET, WEBHOOK_SECRET } from '../support/system.ts';
import type { LogLine } from '../support/system.ts';
import { startSite } from '../support/site.ts';
import type { ModeProcess, Site } from '../support/site.ts';

const MARIA = { name: 'Maria Sobrenome', phone: '5511912345678', lid: '123456789012345' };
/** Numbers that end so are not on WhatsApp. */
const NOBODY = '5511987650404';
const QUESTION = 'Oi, meu segredo é jabuticaba e meu telefone é (21) 98765-4321';
const ANSWER = 'Entendi, guardei a jabuticaba.';
/** A word of a text, in any case: if it is in the log, the text is. */
const WORDS = ['jabuticaba', 'graviola', 'pitanga', 'cupuaçu', 'sobrenome'];

let site: Site;
let api: ModeProcess;
let worker: ModeProcess;
let scheduler: ModeProcess;
const hooks: (() => Promise<void>)[] = [];

/** One conversation of all that happens on a day, at LOG_LEVEL=INFO; the tests read what is left of it. */
before(async () => {
  site = await startSite({ after: (hook) => void hooks.push(hook) }, { env: { LOG_LEVEL: 'INFO' } });
  [api, worker, scheduler] = await Promise.all([site.startReady('api'), site.startReady('worker'), site.startReady('scheduler')]);
  const { simulator } = site;
  const maria = simulator.addContact({ ...MARIA, addressing: 'lid' });
  simulator.script([
    { match: 'segredo', text: ANSWER },
    { match: 'graviola', tools: [{ name: 'remember', input: { fact: 'gosta de graviola' } }] },
    { match: 'graviola', text: 'Guardei a graviola.', afterTools: true },
    { text: 'Certo, pitanga.', repeat: true },
  ]);
  const delivered = (count: number) =>
    site.until(
      async () => (await site.query(`select 1 from messages where direction = 'out' and status in ('delivered', 'read')`)).length >= count,
      `${count} delivered`,
    );
  simulator.inbound({ contactId: maria.id, text: QUESTION });
  await delivered(1);
  simulator.inbound({ contactId: maria.id, text: 'Gosto de graviola' });
  await delivered(2);
  simulator.read({ contactId: maria.id });

  // Evolution fails with words of the message in its answer, then the model fails.
  simulator.fault({
    target: 'send',
    kind: 'status',
    status: 500,
    body: { error: `could not send "pitanga" to ${MARIA.phone}@s.whatsapp.net` },
  });
  simulator.inbound({ contactId: maria.id, text: 'E pitanga?' });
  await site.until(
    async () => (await site.query(`select 1 from messages where attempts > 0 and status in ('uncertain', 'queued')`)).length > 0,
    'the failed send',
  );
  // Both models: the turn is put off, and answered when they are back.
  simulator.fault({ target: 'claude', kind: 'status', status: 500, times: 2 });
  const joao = simulator.addContact({ name: 'João Sobrenome', phone: '5521998765432' });
  simulator.inbound({ contactId: joao.id, text: 'Quero cupuaçu' });
  await worker.line(({ message, context }) => message === 'Turn ended' && context['outcome'] === 'deferred');

  // A person on the phone, an edit, a reaction, a deletion.
  simulator.owner({ contactId: maria.id, text: 'Aqui é a Ana, e a jabuticaba?' });
  const last = simulator.inbound({ contactId: maria.id, text: 'pitanga ou graviola' });
  simulator.edit(last.id, 'só graviola');
  simulator.react(last.id, '👍');
  simulator.remove(last.id);
  await api.line('A person answers on the phone');

  // Requests that people get wrong, with a number in each place where one can be.
  const token = await new SignJWT({ sub: 'ana', role: 'admin', tenant: 'default' })
    .setProtectedHeader({ alg: 'HS256' })
    .setExpirationTime('1h')
    .sign(new TextEncoder().encode(JWT_SECRET));
  const authorization = `Bearer ${token}`;
  const post = (path: string, body: unknown, headers: Record<string, string>) =>
    fetch(api.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  assert.equal((await post('/api/messages', { to: `+${NOBODY}`, text: 'Oi, cupuaçu!' }, { authorization })).status, 202);
  assert.equal((await post('/api/messages', { to: 'jabuticaba', text: '' }, { authorization })).status, 400);
  assert.equal((await fetch(`${api.url}/api/messages/${MARIA.phone}?phone=${MARIA.phone}`, { headers: { authorization } })).status, 404);
  assert.equal((await fetch(`${api.url}/contatos/${MARIA.phone}`)).status, 404);
  assert.equal((await post('/webhook/evolution', { phone: MARIA.phone }, { authorization: 'Bearer jabuticaba' })).status, 401);
  assert.equal((await post('/webhook/evolution', `{"phone": "${MARIA.phone}`, { authorization: `Bearer ${WEBHOOK_SECRET}` })).status, 400);
  await site.until(
    async () => (await site.query(`select 1 from messages where text like 'Oi, cupua%' and status = 'failed'`)).length > 0,
    'the number without WhatsApp',
  );

  // The database goes and comes.
  await site.databaseDoor(false);
  await post(
    '/webhook/evolution',
    {
      event: 'messages.upsert',
      instance: 'julia-dev',
      data: { key: { id: 'X', remoteJid: `${MARIA.phone}@s.whatsapp.net` }, message: { conversation: 'pitanga' } },
    },
    { authorization: `Bearer ${WEBHOOK_SECRET}` },
  );
  await site.databaseDoor(true);
  for (const each of [api, worker, scheduler]) each.signal('SIGTERM');
  assert.deepEqual(await Promise.all([api.ended, worker.ended, scheduler.ended]), [0, 0, 0]);
});
after(async () => {
  for (const hook of hooks) await hook();
});

const all = (): LogLine[] => site.processes.flatMap((each) => each.lines());

test('E4 every line of every mode is JSON with exactly timestamp, level, service, message, context; nothing goes to standard error', () => {
  for (const { mode, stdout, stderr } of site.processes) {
    assert.ok(stdout.length > 2, mode);
    assert.deepEqual(stderr, [], mode);
    for (const text of stdout) {
      const line = JSON.parse(text) as LogLine;
      assert.deepEqual(Object.keys(line).toSorted(), ['context', 'level', 'message', 'service', 'timestamp'], text);
      assert.equal(new Date(line.timestamp).toISOString(), line.timestamp);
      assert.match(line.level, /^(INFO|WARNING|ERROR|CRITICAL)$/);
      assert.equal(line.service, `agente-julia-${mode}`);
      assert.ok(typeof line.message === 'string' && line.message !== '' && typeof line.context === 'object');
    }
  }
});

test('P6 each claimed item says Processing message... with its ids', () => {
  const claimed = worker.lines().filter(({ message }) => message === 'Processing message...');
  for (const queue of ['turn', 'send'])
    assert.ok(
      claimed.some(({ context }) => context['queue'] === queue),
      queue,
    );
  for (const { context } of claimed) {
    for (const id of ['correlation_id', 'conversa_id', 'medico_id']) assert.ok(context[id] !== undefined && context[id] !== null, id);
  }
});

test('E4 the line of a sent answer has medico_id, conversa_id and latencia_ms, under neutral names too', () => {
  const sent = worker.lines().find(({ message }) => message === 'Message sent');
  assert.ok(sent);
  assert.equal(typeof sent.context['latencia_ms'], 'number');
  assert.equal(sent.context['latency_ms'], sent.context['latencia_ms']);
  assert.equal(sent.context['medico_id'], sent.context['contact_id']);
  assert.equal(typeof sent.context['conversa_id'], 'number');
});

test('E5 one id joins webhook, turn, model call, send and ack, in lines and in rows', async () => {
  const [row] = await site.query<{ id: string; answer: string }>(
    `select i.correlation_id as id, o.id as answer from messages i join messages o on o.turn_id = i.turn_id and o.direction = 'out' where i.direction = 'in' and i.text = $1`,
    [QUESTION],
  );
  assert.ok(row);
  const steps = all()
    .filter(({ context }) => context['correlation_id'] === row.id)
    .toSorted((a, b) => a.timestamp.localeCompare(b.timestamp))
    .map(({ service, message, context }) =>
      `${service.split('-').at(-1)} ${message} ${word(context['queue'] ?? context['outcome'])}`.trim(),
    );
  for (const step of [
    'api Webhook recorded stored',
    'worker Processing message... turn',
    'worker Model called end_turn',
    'worker Turn ended answer',
    'worker Processing message... send',
    'worker Message sent',
    'api Webhook recorded ack',
  ]) {
    assert.ok(steps.includes(step), `${step} in:\n${steps.join('\n')}`);
  }
  // The webhook of the ack is a request of its own, and says so.
  const ack = api.lines().find(({ context }) => context['outcome'] === 'ack' && context['correlation_id'] === row.id);
  assert.notEqual(ack?.context['request_id'], row.id);
  const first = api.lines().find(({ context }) => context['outcome'] === 'stored');
  assert.deepEqual([first?.context['request_id'], first?.context['correlation_id']], [row.id, row.id]);
  assert.deepEqual(
    await site.query(
      `select (select count(*)::int from webhook_events where request_id = $1) as webhooks, (select count(*)::int from turns where correlation_id = $1) as turns,
         (select count(*)::int from model_calls m join turns t on t.id = m.turn_id where t.correlation_id = $1) as model_calls,
         (select array_agg(direction order by id) from messages where correlation_id = $1) as messages`,
      [row.id],
    ),
    [{ webhooks: 1, turns: 1, model_calls: 1, messages: ['in', 'out'] }],
  );
});

test('E6 no line holds a phone number, a lid, a text or a secret; the last 4 digits may stay', () => {
  const text = site.processes.flatMap((each) => each.stdout).join('\n');
  const digits = text.replaceAll(/"timestamp":"[^"]*"/g, '');
  for (const phone of [MARIA.phone, MARIA.lid, NOBODY, '5521998765432', '21987654321']) {
    // Without country code, area code or ninth digit it is a number still.
    assert.ok(!digits.includes(phone.slice(-8)), `${phone}: ${excerpt(digits, phone.slice(-8))}`);
  }
  for (const word of WORDS) assert.ok(!text.toLowerCase().includes(word), excerpt(text.toLowerCase(), word));
  const password = new URL(site.env['DATABASE_URL'] ?? '').password;
  for (const secret of [
    password,
    site.env['EVOLUTION_API_KEY'] ?? '',
    site.env['ANTHROPIC_API_KEY'] ?? '',
    WEBHOOK_SECRET,
    JWT_SECRET,
    'eyJhbGciOi',
  ]) {
    assert.ok(secret.length > 5 && !text.includes(secret), excerpt(text, secret));
  }
});

test('E6 H7 no label of a metric holds a phone number, a text or an id', async (t) => {
  // The processes have ended; a new one and one conversation are enough, with numbers in addresses and headers.
  const fresh = await startSite(t);
  const server = await fresh.startReady('api');
  const maria = fresh.simulator.addContact(MARIA);
  fresh.simulator.inbound({ contactId: maria.id, text: QUESTION });
  await fresh.until(async () => (await fresh.query(`select 1 from messages`)).length > 0, 'stored');
  for (const path of [`/${MARIA.phone}`, `/api/messages/${MARIA.phone}`, `/webhook/evolution/${MARIA.phone}`])
    await fetch(server.url + path, { headers: { 'x-request-id': MARIA.phone } });
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /julia_mensagens_recebidas_total/);
  const labels = [...metrics.matchAll(/(\w+)="([^"]*)"/g)];
  for (const [label, , value = ''] of labels) assert.ok(!/\d{8}/.test(value) && !WORDS.some((word) => value.includes(word)), label);
});

function excerpt(text: string, found: string): string {
  const at = text.indexOf(found);
  return at === -1 ? '' : text.slice(text.lastIndexOf('\n', at) + 1, text.indexOf('\n', at)).slice(0, 700);
}

function word(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
