/** POST /webhook/slack: who may post, each event once, and the commands of operators. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import pg from 'pg';
import { apiRoutes } from '../../src/api.ts';
import { createApp } from '../../src/routes/http.ts';
import { slackSignature } from '../../src/routes/slack.ts';
import { SLACK_SECRET, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const ANA = 'U02ANA';
const STRANGER = 'U02NOBODY';
const CHANNEL = 'C0OPS';

type Post = { timestamp?: number; signature?: string; secret?: string; form?: boolean };

async function post(
  system: System,
  body: string,
  { timestamp = Date.now() / 1000, signature, secret = SLACK_SECRET, form = false }: Post = {},
) {
  const at = String(Math.floor(timestamp));
  return fetch(`${system.url}/webhook/slack`, {
    method: 'POST',
    headers: {
      'content-type': form ? 'application/x-www-form-urlencoded' : 'application/json',
      'x-slack-request-timestamp': at,
      'x-slack-signature': signature ?? slackSignature(secret, at, body),
    },
    body,
  });
}

let events = 0;

function mention(
  text: string,
  {
    user = ANA,
    id = `Ev${++events}`,
    channel = CHANNEL,
    fields = {},
  }: { user?: string; id?: string; channel?: string; fields?: object } = {},
): string {
  return JSON.stringify({
    type: 'event_callback',
    event_id: id,
    event: { type: 'app_mention', user, channel, text: `<@U0BOT> ${text}`, ts: '1.2', ...fields },
  });
}

/** Says something to the bot and waits for its answer. */
async function say(system: System, text: string, options: Parameters<typeof mention>[1] = {}): Promise<string> {
  const before = system.simulator.slackTexts().length;
  assert.equal((await post(system, mention(text, options))).status, 200);
  return system.until(() => system.simulator.slackTexts()[before], `an answer to "${text}"`);
}

const open = (t: Parameters<typeof startSystem>[0], allowed = `${ANA},U02BIA`) =>
  startSystem(t, { workers: 0, slack: 'bot', env: { SLACK_ALLOWED_USERS: allowed } });

const pauses = (system: System) => system.query('select status, motivo, alterado_via from julia_status order by id');

test('H14 url_verification is answered; a bad, missing or old signature is 401 and does nothing', async (t) => {
  const system = await open(t);
  const challenge = await post(system, JSON.stringify({ type: 'url_verification', challenge: 'c3VtbWVy', token: 'x' }));
  assert.deepEqual([challenge.status, await challenge.json()], [200, { challenge: 'c3VtbWVy' }]);
  const order = mention('pausar julia');
  const now = Date.now() / 1000;
  const refused: Post[] = [
    { secret: 'another' },
    { signature: 'v0=00' },
    { signature: '' },
    { signature: slackSignature(SLACK_SECRET, String(Math.floor(now)), `${order} `) },
    { timestamp: now - 301 },
    { timestamp: now + 310 },
    { timestamp: Number.NaN },
  ];
  for (const options of refused) assert.equal((await post(system, order, options)).status, 401, JSON.stringify(options));
  assert.equal((await fetch(`${system.url}/webhook/slack`, { method: 'POST', body: order })).status, 401);
  assert.equal((await post(system, order, { timestamp: now - 290 })).status, 200, 'within five minutes');
  await system.until(async () => (await pauses(system)).length === 1, 'the one that was signed');
  assert.equal((await post(system, 'no json')).status, 400);
});

test('H14 without a Slack app nobody may post', async (t) => {
  const system = await startSystem(t, { workers: 0, slack: 'webhook' });
  assert.equal((await post(system, mention('pausar julia'))).status, 401);
});

test('H14 the same event is handled once, also when it comes at the same moment; the answer does not wait for the work', async (t) => {
  const system = await open(t);
  system.simulator.fault({ target: 'slack', kind: 'hang' });
  const again = mention('pausar julia motivo: uma vez', { id: 'EvTwice' });
  const answers = await Promise.all([1, 2, 3].map(() => post(system, again)));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200],
    'although Slack hangs meanwhile',
  );
  assert.equal((await post(system, again)).status, 200);
  await system.until(async () => (await pauses(system)).length > 0, 'the pause');
  system.simulator.clearFaults();
  await say(system, 'status');
  assert.equal((await pauses(system)).length, 1);
});

test('H14 a database that takes the event too late for Slack: what was taken is carried out, once, whatever Slack posts again', async (t) => {
  const system = await open(t);
  const other = new pg.Client({ connectionString: system.databaseUrl });
  await other.connect();
  await other.query(`begin; insert into slack_events (event_id) values ('EvSlow')`);
  const order = mention('pausar julia', { id: 'EvSlow' });
  assert.equal((await post(system, order)).status, 503);
  await other.query('rollback');
  await other.end();
  await system.until(async () => (await pauses(system)).length > 0, 'the pause');
  assert.equal((await post(system, order)).status, 200);
  await say(system, 'status');
  assert.equal((await pauses(system)).length, 1);
});

test('A3 pausar and retomar in Slack are the pause and the resume of SQL, with actor and reason, and are audited', async (t) => {
  const system = await open(t);
  const paused = await say(system, 'pausar julia motivo: emergencia');
  assert.match(paused, /^⏸️ Tudo está em pausa/);
  assert.deepEqual(await pauses(system), [{ status: 'pausado', motivo: 'emergencia', alterado_via: `slack:${ANA}` }]);
  assert.deepEqual(await system.query(`select pause_reason('default', 'julia-dev', null, null) as held`), [{ held: 'all' }]);
  await say(system, 'retomar julia', { user: 'U02BIA' });
  assert.deepEqual((await pauses(system))[1], { status: 'ativo', motivo: null, alterado_via: 'slack:U02BIA' });
  assert.deepEqual(await system.query(`select actor, action, details ->> 'reason' as reason from audit_log order by id`), [
    { actor: `slack:${ANA}`, action: 'pause', reason: 'emergencia' },
    { actor: 'slack:U02BIA', action: 'resume', reason: null },
  ]);
  assert.ok(
    system.simulator.wire().slack.every(({ channel }) => channel === CHANNEL),
    'answered where it was said',
  );
});

test('A3 whoever is not named may nothing, and is told so; with nobody named, nobody may', async (t) => {
  const system = await open(t);
  assert.match(await say(system, 'pausar julia', { user: STRANGER }), /U02NOBODY não está em SLACK_ALLOWED_USERS/);
  assert.match(await say(system, 'confirmar', { user: STRANGER }), /SLACK_ALLOWED_USERS/);
  const closed = await open(t, '');
  assert.match(await say(closed, 'pausar julia'), /SLACK_ALLOWED_USERS está vazia/);
  for (const each of [system, closed]) assert.deepEqual(await pauses(each), []);
  assert.deepEqual(await system.query('select distinct actor, action from audit_log'), [
    { actor: `slack:${STRANGER}`, action: 'slack.refused' },
  ]);
});

test('A3 status, fila, handoffs and help are answered; what is no command is said to be none', async (t) => {
  const system = await open(t);
  assert.match(await say(system, 'status'), /julia-dev/);
  assert.match(await say(system, 'fila'), /julia-dev/);
  assert.match(await say(system, 'handoffs'), /\S/);
  assert.match(await say(system, 'ajuda'), /\*pausar\*/);
  assert.match(await say(system, 'que horas são?'), /^Não entendi/);
  assert.match(
    await say(system, 'status', { channel: 'D1', fields: { type: 'message', channel_type: 'im', text: 'status' } }),
    /julia-dev/,
  );
});

test('A9 what is dangerous needs a confirmation of the same person in the same channel, within two minutes, once, at any api', async (t) => {
  const system = await open(t);
  const other = await system.openContext('api');
  const state = { config: other.config, context: other, stopping: false };
  const otherApi = createApp(state, other.log, (routes) => apiRoutes(routes, state));
  await system.query(`
    select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "notification"}');
    update messages set status = 'failed', reason = 'bad_request'`);
  const dead = async () => (await system.query(`select id from messages where status = 'failed'`)).length;
  const fail = () => system.query(`update messages set status = 'failed', reason = 'bad_request'`);

  assert.match(await say(system, 'fila reenviar'), /Escreva \*confirmar\* em até dois minutos/);
  assert.equal(await dead(), 1, 'not yet');
  assert.match(await say(system, 'confirmar', { user: 'U02BIA' }), /Não há nada para confirmar/);
  assert.match(await say(system, 'confirmar', { channel: 'C0OTHER' }), /Não há nada para confirmar/);
  // Another api takes the yes.
  const yes = mention('confirmar');
  const at = String(Math.floor(Date.now() / 1000));
  const headers = {
    'content-type': 'application/json',
    'x-slack-request-timestamp': at,
    'x-slack-signature': slackSignature(SLACK_SECRET, at, yes),
  };
  assert.equal((await otherApi.request('/webhook/slack', { method: 'POST', headers, body: yes })).status, 200);
  await system.until(async () => (await dead()) === 0, 'the retry');
  assert.deepEqual(await system.query(`select actor, action from audit_log where action like 'dlq%'`), [
    { actor: `slack:${ANA}`, action: 'dlq.retry' },
  ]);
  await other.background.drain(5_000);
  await fail();
  assert.match(await say(system, 'confirmar'), /Não há nada para confirmar/, 'a yes counts once');

  await say(system, 'fila reenviar');
  await system.query(`update operator_asks set expires_at = now() - interval '1 second'`);
  assert.match(await say(system, 'confirmar'), /Não há nada para confirmar/);
  assert.equal(await dead(), 1);
});

test('M1 A9 instrução in Slack is asked back with its words, and holds after the yes', async (t) => {
  const system = await open(t);
  const words = 'Instrução até daqui a 3 dias: Frete grátis, porque é Natal!';
  assert.match(
    await say(system, words),
    /^Vou dizer ao agente, a partir da próxima mensagem: "Frete grátis, porque é Natal!" até daqui a 3 dias\. Escreva \*confirmar\*/,
  );
  assert.deepEqual(await system.query('select id from directives'), []);
  assert.match(await say(system, 'confirmar'), /^📌 Instrução 1 em vigor até /);
  assert.deepEqual(await system.query('select status, text, created_by, ends_at is not null as ends from directives'), [
    { status: 'active', text: 'Frete grátis, porque é Natal!', created_by: `slack:${ANA}`, ends: true },
  ]);
});

test('H14 our own words, other bots and other events mean nothing; a slash command is a command', async (t) => {
  const system = await open(t);
  for (const fields of [
    { bot_id: 'B1' },
    { subtype: 'message_changed' },
    { type: 'message', channel_type: 'channel' },
    { type: 'reaction_added' },
  ])
    assert.equal((await post(system, mention('pausar julia', { fields }))).status, 200);
  assert.equal((await post(system, JSON.stringify({ type: 'event_callback', event_id: 'x', event: null }))).status, 200);
  const form = new URLSearchParams({
    command: '/julia',
    text: 'pausar motivo: barra & cia',
    user_id: ANA,
    channel_id: CHANNEL,
    trigger_id: '1.2.3',
  });
  const answer = await post(system, form.toString(), { form: true });
  assert.deepEqual([answer.status, await answer.json()], [200, { response_type: 'ephemeral', text: 'Recebido.' }]);
  await system.until(async () => (await pauses(system)).length === 1, 'the pause of the slash command');
  assert.deepEqual(await pauses(system), [{ status: 'pausado', motivo: 'barra & cia', alterado_via: `slack:${ANA}` }]);
});
