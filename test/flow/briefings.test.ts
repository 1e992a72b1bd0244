/** Briefings and texts of notices from Google: what is new is proposed, what is the same costs nothing, what is gone is withdrawn, what cannot be read says what to do. */
import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { lookLive } from '../../src/admin/doctor-live.ts';
import { commandNamed, runCommand } from '../../src/admin/all.ts';
import { JOBS } from '../../src/crons/all.ts';
import { saveDocument } from '../../src/directives/calls.ts';
import { createDrive } from '../../src/google/client.ts';
import { aRun } from '../support/jobs.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';
import { startSimulator } from '../../simulator/index.ts';
import type { Simulator } from '../../simulator/index.ts';
import type { FaultInput } from '../../simulator/types.ts';

const ANA = { id: 'cli:ana', tenant: 'default' };
type Hooks = Parameters<typeof startSystem>[0];

type Google = System & { google: Simulator['google']; calls: { path: string; status: number }[]; fail: (input: FaultInput) => void };

/** A system with the two folders of a Google that is in the simulator. */
async function open(t: Hooks): Promise<Google> {
  const google = await startSimulator({});
  t.after(() => google.close());
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'google-')), 'sa.json');
  await writeFile(file, google.google.key());
  const system = await startSystem(t, {
    workers: 0,
    slack: 'webhook',
    env: {
      GOOGLE_APPLICATION_CREDENTIALS: file,
      GOOGLE_BASE_URL: google.googleUrl,
      GOOGLE_BRIEFINGS_FOLDER_ID: 'briefings',
      GOOGLE_TEMPLATES_FOLDER_ID: 'avisos',
    },
  });
  google.google.folder('briefings');
  google.google.folder('avisos');
  return Object.assign(system, { google: google.google, calls: google.wire().google, fail: (input: FaultInput) => google.fault(input) });
}

const run = (system: System, name: string) => JOBS.find((job) => job.name === name)?.run(system.ctx, aRun());
const asked = (system: System, name: string, args: object) => runCommand(commandNamed(name), system.ctx, args, ANA);
const rows = async (system: System) =>
  (
    await system.query<{ line: string }>(
      `select d.id || ' ' || d.status || coalesce(' for ' || d.replaces, '') || case when d.ends_at is null then '' else ', ends' end || ': ' || d.text as line from directives d order by d.id`,
    )
  ).map(({ line }) => line);

const exportsOf = ({ calls }: Google) => calls.filter(({ path }) => path.endsWith('/export')).length;

test('M1: a briefing proposes its sentences; after a yes they hold; a change proposes what is new in the place of the old, which holds until then; what is the same is not read', async (t) => {
  const system = await open(t);
  const { google } = system;
  google.put('d1', {
    folder: 'briefings',
    name: 'Semana',
    text: '# Semana\n* O frete para Minas custa R$ 10.\n* Há brinde até 31/12.\n',
    modifiedTime: '2026-11-20T10:00:00.000Z',
  });
  assert.equal(await run(system, 'sync_briefings'), 1);
  assert.deepEqual(await rows(system), ['1 proposed: O frete para Minas custa R$ 10.', '2 proposed, ends: Há brinde até 31/12.']);
  await system.ctx.background.drain(5_000);
  assert.match(system.simulator.slackTexts().join('\n'), /Briefing "Semana": 2 instruções propostas/);
  assert.ok((await asked(system, 'directive approve', { id: 1 })).ok);
  assert.ok((await asked(system, 'directive reject', { id: 2 })).ok);

  // nothing has changed: no export; touched and the same: an export and no proposal, and none for what was refused
  assert.equal(exportsOf(system), 1);
  assert.equal(await run(system, 'sync_briefings'), 0);
  assert.equal(exportsOf(system), 1);
  google.put('d1', {
    folder: 'briefings',
    name: 'Semana',
    text: '# Semana\n* O frete para Minas custa R$ 10.\n* Há brinde até 31/12.\n',
    modifiedTime: '2026-11-21T10:00:00.000Z',
  });
  await run(system, 'sync_briefings');
  await run(system, 'sync_briefings');
  assert.equal(exportsOf(system), 2);
  assert.equal((await rows(system)).length, 2);

  google.put('d1', {
    folder: 'briefings',
    name: 'Semana',
    text: 'O frete para Minas custa R$ 12.\nHá brinde até 31/12.',
    modifiedTime: '2026-11-22T10:00:00.000Z',
  });
  await Promise.all([run(system, 'sync_briefings'), run(system, 'sync_briefings')]);
  assert.deepEqual((await rows(system)).slice(0, 3), [
    '1 active: O frete para Minas custa R$ 10.',
    '2 rejected, ends: Há brinde até 31/12.',
    '3 proposed for 1: O frete para Minas custa R$ 12.',
  ]);
  assert.equal((await rows(system)).length, 3, 'two schedulers propose once');
  const list = await asked(system, 'directive list', {});
  assert.ok(list.ok);
  assert.match(
    commandNamed('directive list').text(list.result, String),
    /^3 {2}proposed: .*\n {5}from "Semana": O frete para Minas custa R\$ 12\.\n {5}- O frete para Minas custa R\$ 10\.\n {5}\+ O frete para Minas custa R\$ 12\.\n1 {2}active/,
  );
  assert.ok((await asked(system, 'directive approve', { id: 3 })).ok);
  assert.deepEqual(
    (await rows(system)).map((line) => line.split(':')[0]),
    ['1 ended', '2 rejected, ends', '3 active for 1'],
  );

  // the document goes, and with it what it said
  google.remove('d1');
  assert.equal(await run(system, 'sync_briefings'), 1);
  assert.deepEqual(
    (await rows(system)).map((line) => line.split(':')[0]),
    ['1 ended', '2 rejected, ends', '3 withdrawn for 1'],
  );
  assert.deepEqual(await system.query(`select status from documents`), [{ status: 'deleted' }]);
});

test('M1: what is not shared names the address to share with; what was read before stays; the others are read', async (t) => {
  const system = await open(t);
  const { google } = system;
  google.put('d1', { folder: 'briefings', name: 'Um', text: 'Há café na loja hoje.' });
  await run(system, 'sync_briefings');
  google.put('d1', {
    folder: 'briefings',
    name: 'Um',
    text: 'Há chá na loja hoje.',
    shared: false,
    modifiedTime: '2026-11-28T10:00:00.000Z',
  });
  google.put('d2', { folder: 'briefings', name: 'Dois', text: 'Há água na loja hoje.' });
  await assert.rejects(
    async () => run(system, 'sync_briefings'),
    /"Um" is not there, or is not shared: share it with agente@simulador\.iam\.gserviceaccount\.com/,
  );
  assert.deepEqual(await rows(system), ['1 proposed: Há café na loja hoje.', '2 proposed: Há água na loja hoje.']);
  google.folder('briefings', { shared: false });
  await assert.rejects(
    async () => run(system, 'sync_briefings'),
    /the folder briefings is not there, or is not shared: share it with agente@/,
  );
  assert.equal((await rows(system)).filter((line) => line.includes('proposed')).length, 2, 'a folder that is not seen withdraws nothing');
});

test('M1: a slower pace is kept and tried again; a Google that is away, a wrong key and a file that is too large fail by name', async (t) => {
  const system = await open(t);
  system.google.put('d1', { folder: 'briefings', name: 'Um', text: 'Há café na loja hoje.' });
  system.fail({ target: 'google', kind: 'status', status: 429, reason: 'rateLimitExceeded' });
  system.fail({ target: 'google', kind: 'status', status: 403, reason: 'userRateLimitExceeded', match: { text: '/export' } });
  assert.equal(await run(system, 'sync_briefings'), 1);
  assert.deepEqual(
    system.calls.map(({ status }) => status),
    [200, 429, 200, 200, 403, 200],
  );
  system.google.put('d2', { folder: 'briefings', name: 'Longo', text: 'a'.repeat(10 * 1024 * 1024 + 1) });
  await assert.rejects(async () => run(system, 'sync_briefings'), /too large to be exported/);
  system.fail({ target: 'google', kind: 'drop' });
  await assert.rejects(async () => run(system, 'sync_briefings'), /Google did not answer/);
  const drive = createDrive({ credentials: { json: '{}' }, baseUrl: null });
  assert.match(JSON.stringify(await drive.list('f', AbortSignal.timeout(1_000))), /GOOGLE_CREDENTIALS_JSON is no JSON key/);
});

test('M1: the look-alike checks what was signed: whose, for whom, for how long, for what', async (t) => {
  const system = await open(t);
  const { importPKCS8, SignJWT, generateKeyPair } = await import('jose');
  const { client_email: email, private_key: pem } = JSON.parse(system.google.key()) as { client_email: string; private_key: string };
  const url = `${system.config.google?.baseUrl ?? ''}/token`;
  const own = await importPKCS8(pem, 'RS256');
  const other = (await generateKeyPair('RS256')).privateKey;
  const now = Math.floor(Date.now() / 1_000);
  const cases = [
    { name: 'right', key: own, iss: email, aud: url, life: 3_600, status: 200 },
    { name: 'another key', key: other, iss: email, aud: url, life: 3_600, status: 400 },
    { name: 'another account', key: own, iss: 'b@b.example', aud: url, life: 3_600, status: 400 },
    { name: 'for another', key: own, iss: email, aud: 'https://oauth2.example/token', life: 3_600, status: 400 },
    { name: 'for too long', key: own, iss: email, aud: url, life: 3_700, status: 400 },
  ];
  for (const { name, key, iss, aud, life, status } of cases) {
    const assertion = await new SignJWT({ scope: 'https://www.googleapis.com/auth/drive.readonly' })
      .setProtectedHeader({ alg: 'RS256' })
      .setIssuer(iss)
      .setAudience(aud)
      .setIssuedAt(now)
      .setExpirationTime(now + life)
      .sign(key);
    const answer = await fetch(url, {
      method: 'POST',
      body: new URLSearchParams({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion }),
    });
    assert.equal(answer.status, status, name);
  }
  assert.equal(
    (await fetch(`${system.config.google?.baseUrl ?? ''}/drive/v3/files/briefings`, { headers: { authorization: 'Bearer x' } })).status,
    401,
  );
});

test('M2: texts of notices by the name of their type; a wrong placeholder is told at the reading, and the old words stay; a document that is gone gives the product’s again', async (t) => {
  const system = await open(t);
  const { google } = system;
  const textOf = async (type: string) =>
    (await system.query<{ text: string | null }>('select text from notice_templates where type = $1', [type]))[0]?.text;
  google.put('t1', { folder: 'avisos', name: 'Pedido enviado', text: '{nome}, seu pedido {codigo} saiu!\n' });
  google.put('t2', { folder: 'avisos', name: 'picked_up.txt', mimeType: 'text/plain', text: 'Obrigado pela visita, {nome}!' });
  assert.equal(await run(system, 'sync_templates'), 2);
  assert.equal(await textOf('order_shipped'), '{nome}, seu pedido {codigo} saiu!');
  assert.equal(await textOf('picked_up'), 'Obrigado pela visita, {nome}!');
  google.put('t1', { folder: 'avisos', name: 'Pedido enviado', text: 'Olá {cliente}', modifiedTime: '2026-11-28T10:00:00.000Z' });
  google.put('t3', { folder: 'avisos', name: 'Rascunho', text: 'x' });
  await assert.rejects(async () => run(system, 'sync_templates'), /"Pedido enviado": .*\{cliente\}.*"Rascunho" is the name of no notice/s);
  assert.equal(await textOf('order_shipped'), '{nome}, seu pedido {codigo} saiu!');
  google.remove('t2');
  google.remove('t3');
  google.put('t1', { folder: 'avisos', name: 'Pedido enviado', text: 'Oi {nome}', modifiedTime: '2026-11-29T10:00:00.000Z' });
  assert.equal(await run(system, 'sync_templates'), 2);
  assert.equal(await textOf('order_shipped'), 'Oi {nome}');
  assert.equal(await textOf('picked_up'), null);
});

test('P15 M1: doctor --live looks into both folders and says with whom to share', async (t) => {
  const system = await open(t);
  const found = async () =>
    (await lookLive({ ...system.config, claude: null, slack: null }, null)).map(({ status, says }) => `${status}: ${says}`);
  assert.match((await found()).join('\n'), /^ok: Google answered in \d+ ms\nok: Google answered/);
  system.google.folder('avisos', { shared: false });
  assert.match(
    (await found()).join('\n'),
    /Google does not answer: the folder avisos is not there, or is not shared: share it with agente@/,
  );
});

test('M1: two readers of the same words at once: the second changes nothing', async (t) => {
  const system = await open(t);
  const { ctx } = system;
  const reading = {
    tenant: 'default',
    folder: 'briefings',
    document: { external_id: 'd', name: 'Um', modified_at: '2026-11-28T10:00:00.000Z', hash: 'h' },
    added: [{ text: 'Há café.', sentence: 'Há café.', ends_at: null, replaces: null }],
    gone: [],
  } as const;
  const both = await Promise.all([saveDocument(ctx.db, reading), saveDocument(ctx.db, reading)]);
  assert.deepEqual(
    both.map(({ proposed }) => proposed).toSorted((a, b) => a - b),
    [0, 1],
  );
  assert.deepEqual(await system.query('select count(*)::int as n from directives'), [{ n: 1 }]);
});
