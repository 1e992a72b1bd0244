/** Variables of the environment whose effect is seen from outside, in the running product. Their reading and validation is test/unit/config*.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDue, parseCron } from '../../src/schedule/cron.ts';
import { zoneOf } from '../../src/words/zone.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { startProgram } from '../support/process.ts';
import { startSite } from '../support/site.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import { openStage, turn } from '../support/turns.ts';

test('S2 APP_NAME, ENVIRONMENT: in /health and in the title of /docs', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { APP_NAME: 'Agente Ana' } });
  const health = (await (await fetch(`${system.url}/health`)).json()) as Record<string, unknown>;
  assert.deepEqual([health['service'], health['environment']], ['Agente Ana', 'test']);
  assert.match(await (await fetch(`${system.url}/docs`)).text(), /<title>[^<]*Agente Ana/);
});

test('S2 NOME_EMPRESA: changing it changes what the next message is written with', async (t) => {
  const stage = await openStage(t, { env: { NOME_EMPRESA: 'Clínica Aurora' } });
  stage.system.simulator.script([{ text: 'Olá!' }]);
  await turn(stage.ctx, await stage.hear('oi'));
  assert.match(stage.prompts()[0]?.system ?? '', /assistente virtual da Clínica Aurora/);
});

test('S2 PILOT_MODE: nobody is written to first; who wrote is answered, and may be written to', async (t) => {
  const system = await startSystem(t, { workers: 0, env: { PILOT_MODE: 'true' } });
  const ctx = await system.openContext('worker');
  const queue = async (phone: string): Promise<number> => {
    const request = { instance: INSTANCE, phone, text: 'Temos novidades', kind: 'campaign' };
    const [row] = await system.query<{ result: { conversation_id: number } }>('select enqueue_message($1) as result', [
      JSON.stringify(request),
    ]);
    return row?.result.conversation_id ?? 0;
  };
  await sendNext(ctx, await queue('5511912340001'));
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912340002' });
  system.simulator.inbound({ contactId: maria.id, text: 'oi' });
  await system.until(async () => (await system.dump()).includes('in contact received: oi'), 'stored');
  await sendNext(ctx, await queue('5511912340002'));
  assert.deepEqual(
    system.simulator.sends().map((send) => send.number),
    ['5511912340002@s.whatsapp.net'],
  );
  assert.ok((await system.dump()).includes('out system blocked(pilot_mode): Temos novidades'));
});

test('S2 TZ: a job of eight in the morning runs at eleven in UTC, whatever the zone of the process', () => {
  const due = (minute: string): boolean => isDue(parseCron('0 8 * * *'), zoneOf('America/Sao_Paulo'), new Date(minute));
  assert.deepEqual([due('2026-11-27T11:00:00Z'), due('2026-11-27T08:00:00Z')], [true, false]);
});

test('S2 LOG_LEVEL: at WARNING a process says that it started, and nothing else that is well', async (t) => {
  const site = await startSite(t, { env: { LOG_LEVEL: 'WARNING' } });
  const worker = startProgram(t, 'src/main.ts', { env: { ...site.env, RUN_MODE: 'worker' } });
  await worker.line('Worker started');
  worker.signal('SIGTERM');
  assert.equal(await worker.ended, 0);
  assert.deepEqual(
    worker
      .lines()
      .filter((line) => line.level === 'INFO')
      .map((line) => line.message),
    ['Worker started'],
  );
});
