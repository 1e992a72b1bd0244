/** P19: waits come from the database as durations. Nothing sweeps here: what a wrong clock holds up would never be answered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startProgram } from '../support/process.ts';
import { INSTANCE, startSystem, testEnvironment, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

const TEN_MINUTES = 600_000;

type TestHooks = { after(hook: () => Promise<void>): void };

/** A mode as a process of its own, whose clock is off. */
async function startMode(t: TestHooks, system: System, mode: 'api' | 'worker', shiftMs: number, port: number): Promise<void> {
  const env = testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: system.redis?.url ?? null, simulator: system.simulator });
  const program = startProgram(t, 'src/main.ts', {
    env: {
      ...env,
      RUN_MODE: mode,
      PORT: String(port),
      LOG_LEVEL: 'INFO',
      HUMAN_DELAY: 'true',
      DEBOUNCE_MS: '3000',
      DEBOUNCE_MAX_MS: '9000',
      NODE_OPTIONS: `--import=${new URL('../fixtures/shifted-clock.js', import.meta.url).href}`,
      CLOCK_SHIFT_MS: String(shiftMs),
    },
  });
  await program.line((line) => line.message === (mode === 'api' ? 'api ready' : 'Worker started'));
}

for (const [queue, port] of [
  ['redis', 8841],
  ['postgres', 8851],
] as const) {
  for (const [api, workers] of [
    [TEN_MINUTES, [-TEN_MINUTES]],
    [-TEN_MINUTES, [TEN_MINUTES, -TEN_MINUTES]],
  ] as const) {
    const name = `${api / 60_000} min at the api, ${workers.map((shift) => shift / 60_000).join(' and ')} at workers`;
    test(`P19 clocks on ${queue}: ${name}: a burst is waited for, typing is shown, and each is answered without a sweep`, async (t) => {
      const system = await startSystem(t, { queue, workers: 0 });
      system.simulator.script([
        { text: `${'Certo, anotei aqui. '.repeat(18)}\n\n${'Posso ajudar em mais alguma coisa? '.repeat(6)}`, repeat: true },
      ]);
      await startMode(t, system, 'api', api, port);
      for (const [index, shift] of workers.entries()) await startMode(t, system, 'worker', shift, port + 1 + index);
      const people = Array.from({ length: 6 }, (_, index) => `55119123450${10 + index}@s.whatsapp.net`);
      for (const text of ['um', 'dois']) await Promise.all(people.map((jid, index) => post(port, upsert(`${text}-${index}`, text, jid))));
      const answered = await system.until(async () => {
        const rows = await system.query(
          `select conversation_id from messages where direction = 'out' and status in ('sent', 'delivered', 'read')`,
        );
        return rows.length >= 12 ? rows : null;
      }, 'all parts of all answers');
      assert.equal(answered.length, 12);
      assert.deepEqual(await system.query(`select status, count(*)::int as n from turns group by 1`), [{ status: 'committed', n: 6 }]);
    });
  }
}

async function post(port: number, body: unknown): Promise<void> {
  const answer = await fetch(`http://127.0.0.1:${port}/webhook/evolution`, {
    method: 'POST',
    headers: { authorization: `Bearer ${WEBHOOK_SECRET}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  assert.equal(answer.status, 200);
}

function upsert(id: string, text: string, remoteJid: string): Record<string, unknown> {
  return {
    event: 'messages.upsert',
    instance: INSTANCE,
    data: {
      key: { remoteJid, fromMe: false, id },
      message: { conversation: text },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}
