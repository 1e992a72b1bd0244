/**
 * Every recorded webhook, posted in order to the running product with the right times in it. The table says what each line becomes; what
 * the payloads mean field by field is in test/fixtures/payload-expectations.ts.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { newerLate, newerOutcomes, newerPeople, newerPeopleLater } from '../fixtures/replay-outcomes-newer.ts';
import { replayOutcomes, seenWithoutTakeover } from '../fixtures/replay-outcomes.ts';
import { startSystem } from '../support/system.ts';
import { promptIn } from '../support/turns.ts';
import type { System } from '../support/system.ts';

type Recorded = { path?: string; body: { event: string; data: unknown } };
type File = { name: 'payloads' | 'payloads-newer'; instances: readonly string[] };

/** Evolution 2.3.6, three channels; and 2.3.7 with 2.4.0-rc2, one number. */
const OLDER: File = { name: 'payloads', instances: ['wa1', 'evo1', 'meta1'] };
const NEWER: File = { name: 'payloads-newer', instances: ['julia'] };

test('I9 kinds: each recorded line becomes what the table says, on three channels, through the whole product', async (t) => {
  const { system, outcomes } = await replay(t, OLDER, 0);
  assert.deepEqual(outcomes, tabled(replayOutcomes));
  assert.deepEqual(
    await system.query(`select name, provider_id is not null as known from instances where name <> 'julia-dev' order by name`),
    ['evo1', 'meta1', 'wa1'].map((name) => ({ name, known: true })),
  );
  assert.deepEqual(
    await system.query('select kind, address from contact_addresses order by kind, address'),
    [
      { kind: 'lid', address: '123456789012345' },
      { kind: 'pn', address: '5511900009999' },
      { kind: 'pn', address: '5511977776666' },
      { kind: 'pn', address: '5511988887777' },
    ],
    'who wrote by number and by lid is one person',
  );
  assert.deepEqual(await system.query('select count(*)::int as n from contacts where merged_into is null'), [{ n: 3 }]);
});

test('I6 takeover: replayed an hour late, what people typed then pauses nothing, and the model sees every line of the contacts', async (t) => {
  const { outcomes } = await replay(t, OLDER, 60);
  const late = replayOutcomes.map(([line, outcome]): [number, string] => {
    if (outcome === 'takeover') return [line, 'context'];
    return [line, outcome === 'handed_over: takeover' ? `answered: ${JSON.stringify(seenWithoutTakeover.get(line))}` : outcome];
  });
  assert.deepEqual(outcomes, tabled(late));
});

test('W5 I9 kinds: each recorded line of 2.3.7 and 2.4 becomes what the table says, through the whole product', async (t) => {
  // The recording took three quarters of an hour, and what its first half did is to hold in the second.
  const { system, outcomes } = await replay(t, NEWER, 0, { TAKEOVER_MINUTES: '120' });
  assert.deepEqual(outcomes, tabled(newerOutcomes));
  assert.deepEqual(await people(system), newerPeople);
  // What was recorded without the message that it is about, when that message comes after all; and who was known by one address at a time.
  const later: string[] = [];
  await system.webhook(readRecorded(NEWER, 0)[55]?.body); // the number is back
  for (const message of newerLate) later.push(await outcomeOf(system, { body: upsert(message) }));
  assert.deepEqual(
    later,
    newerLate.map(({ outcome }) => outcome),
  );
  assert.deepEqual(
    (await people(system)).filter((person) => /5511977776666|5511955550001/.test(person)),
    newerPeopleLater,
  );
});

test('H12 secrets: of the recorded lines no key, token, qr code or base64 is stored', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const recorded = readRecorded(OLDER, 0);
  const kept = async () => (await system.query<{ n: number }>('select count(*)::int as n from webhook_events'))[0]?.n ?? 0;
  for (const { body } of recorded) assert.equal((await system.webhook(body)).status, 200);
  const singly = await kept();
  assert.equal((await system.webhook(recorded.map(({ body }) => body))).status, 200);
  assert.equal(await kept(), 2 * singly, 'each of a batch is kept by itself, so that it can be replayed');
  const stored = (await system.query<{ body: string }>('select body::text as body from webhook_events')).map((row) => row.body).join('\n');
  const secrets = new Set(recorded.flatMap(({ body }) => secretsOf(body)));
  assert.ok(secrets.size >= 5, `${secrets.size} different secrets are in the recording`);
  for (const secret of secrets) assert.ok(!stored.includes(secret), `stored: ${secret.slice(0, 30)}`);
  assert.ok(stored.includes('"apikey": "[removed]"'));
});

/** Posts all lines, each when the one before has come to rest. */
async function replay(t: TestContext, file: File, minutesAgo: number, env = {}): Promise<{ system: System; outcomes: string[] }> {
  const system = await startSystem(t, {
    env: { DEBOUNCE_MS: '0', MAX_MESSAGE_AGE_MINUTES: '180', ...env },
    simulator: { instances: [...file.instances], ackMs: null },
  });
  await system.query('insert into instances (name) select unnest($1::text[])', [file.instances]);
  // What the product sends is told by nobody: each webhook of this test is a recorded one.
  system.simulator.setWebhook(null);
  system.simulator.script([{ text: 'Certo!', repeat: true }]);
  const outcomes: string[] = [];
  for (const [index, line] of readRecorded(file, minutesAgo).entries()) outcomes.push(`${index + 1} ${await outcomeOf(system, line)}`);
  return { system, outcomes };
}

/** A line for each conversation of each contact: the contact's addresses, and what was said there. */
async function people(system: System): Promise<string[]> {
  const rows = await system.query<{ line: string }>(
    `select (select string_agg(kind || ' ' || address, ', ' order by kind desc) from contact_addresses a where a.contact_id = p.id) || ': '
        || (select string_agg(direction || ' ' || author || ' ' || type, ', ' order by seq) from messages m where m.conversation_id = c.id) as line
      from contacts p left join conversations c on c.contact_id = p.id and c.merged_into is null where p.merged_into is null order by p.id, c.id`,
  );
  return rows.map(({ line }) => line);
}

function tabled(table: readonly (readonly [line: number, outcome: string])[]): string[] {
  return table.map(([line, outcome]) => `${line} ${outcome}`);
}

/** Posts a line and waits until it has come to rest. */
async function outcomeOf(system: System, { path = '/webhook/evolution', body }: Recorded): Promise<string> {
  const [, second] = path.split('/').slice(1);
  const suffix = second?.includes('-') === true ? second : undefined;
  const calls = system.simulator.wire().claude.length;
  const sends = system.simulator.sends({ sent: true }).length;
  const before = system.lines.length;
  const response = await system.webhook(body, suffix === undefined ? {} : { suffix });
  assert.equal(response.status, 200, path);

  // Told of what leaves an entry and of noise.
  const ignored = system.lines.slice(before).find((line) => line.message === 'Webhook ignored');
  if (ignored) return `ignored: ${String(ignored.context['reasons'])}`;
  const [stored] = await system.query<{ results: { outcome: string; message_id: number | null; changed?: boolean }[] }>(
    'select results from webhook_events order by id desc limit 1',
  );
  const result = stored?.results[0];
  assert.ok(result, 'stored with its outcome');
  if (result.outcome !== 'stored') return result.outcome;
  const message = await system.until(
    async () => {
      const [row] = await system.query<{ status: string; reason: string | null }>('select status, reason from messages where id = $1', [
        result.message_id,
      ]);
      return row?.status === 'received' ? null : row;
    },
    `an outcome of ${JSON.stringify(body)}`,
  );
  if (message.status !== 'answered') return `${message.status}: ${message.reason}`;
  assert.equal(system.simulator.wire().claude.length, calls + 1, 'one call of the model');
  // Before the next line: it may be the one that closes the number.
  await system.until(
    async () => {
      const [lane] = await system.query<{ left: number }>(
        `select count(*)::int as left from messages where author = 'agent' and status <> 'sent'`,
      );
      return lane?.left === 0;
    },
    `the answer to ${JSON.stringify(body)} on the wire`,
  );
  assert.equal(system.simulator.sends({ sent: true }).length, sends + 1, 'one message on the wire');
  // The files of the recorded messages are not there to be read.
  const told = String(newestText(system)).replace(/, ainda não (?:vista|lido)\]/, ']');
  return `answered: ${JSON.stringify(told)}`;
}

/** The last text of the last request that is no note of the runtime (a deletion is as late as the replay): what the model saw of this line. */
function newestText(system: System): unknown {
  const call = system.simulator.wire().claude.at(-1);
  return (
    call &&
    promptIn(call.model, call.request)
      .texts.findLast((text) => !text.startsWith('user: [sistema: o cliente '))
      ?.slice('user: '.length)
  );
}

/** A text of a contact, as 2.3.7 and 2.4 post it. */
function upsert({ id, pn, lid, text }: { id: string; pn: string; lid: string; text: string }): Recorded['body'] {
  const key = { remoteJid: `${pn}@s.whatsapp.net`, remoteJidAlt: `${lid}@lid`, fromMe: false, id, participant: '', addressingMode: 'pn' };
  const messageTimestamp = Math.floor(Date.now() / 1000);
  const data = {
    key,
    pushName: 'Bia',
    status: 'DELIVERY_ACK',
    message: { conversation: text },
    messageType: 'conversation',
    messageTimestamp,
  };
  return { event: 'messages.upsert', instance: 'julia', sender: '5511900000002@s.whatsapp.net', data } as Recorded['body'];
}

/** The recording, moved in time so that its last message is of `minutesAgo`: an older one would not be answered. */
function readRecorded({ name }: File, minutesAgo: number): Recorded[] {
  const text = readFileSync(new URL(`../fixtures/evolution-${name}.jsonl`, import.meta.url), 'utf8');
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Recorded); // the fixture is ours
  const stamps = [...text.matchAll(/"messageTimestamp":(\d+)/g)].map((match) => Number(match[1]));
  const shift = Math.floor(Date.now() / 1000) - minutesAgo * 60 - Math.max(...stamps);
  return lines.map(
    (line) =>
      JSON.parse(JSON.stringify(line, (key, value: unknown) => (key === 'messageTimestamp' ? Number(value) + shift : value))) as Recorded,
  );
}

function secretsOf(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, child]) =>
    typeof child === 'string' && (key === 'apikey' || key === 'base64' || (key === 'code' && child.startsWith('2@')))
      ? [child]
      : secretsOf(child),
  );
}
