/** RUN_MODE=all: api, worker and scheduler in one real process, which starts, answers, dies and ends as the three together do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MODES } from '../../src/process/liveness.ts';
import { startProgram } from '../support/process.ts';
import { startSite } from '../support/site.ts';
import type { Site } from '../support/site.ts';

const MARIA = { name: 'Maria', phone: '5511912345678' };

/** What left for WhatsApp, as text. */
function left(site: Site): string[] {
  return site.simulator.sends({ kind: 'text', sent: true }).map((send) => send.text);
}

async function json(url: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(url);
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

for (const queue of ['redis', 'postgres'] as const) {
  test(`P16 all in one answers with its queue on ${queue}, and nobody misses a mode`, async (t) => {
    const site = await startSite(t, { queue, env: { LOG_LEVEL: 'INFO', HEALTH_DETAILS: 'public' } });
    const all = await site.startReady('all');
    const maria = site.simulator.addContact(MARIA);
    site.simulator.script([{ text: 'A resposta.', repeat: true }]);
    site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
    await site.until(() => left(site).length === 1, 'the answer');
    const lines = all.lines();
    for (const says of ['Listening', 'Worker started', 'Scheduler started', 'all ready'])
      assert.equal(lines.filter(({ message }) => message === says).length, 1, says);
    for (const { service } of lines) assert.match(service, /-all$/);

    assert.deepEqual(await site.query('select mode from process_status'), [{ mode: 'all' }]);
    const deep = await json(`${all.url}/health/deep`);
    assert.deepEqual(
      (deep.body['reasons'] as string[]).filter((reason) => reason.includes('is running')),
      [],
    );
    const metrics = await (await fetch(`${all.url}/metrics`)).text();
    for (const mode of MODES) assert.match(metrics, new RegExp(`^julia_processo_visto_segundos\\{process="${mode}",mode="all"\\}`, 'm'));
    assert.match(metrics, /^julia_mensagens_recebidas_total\{tenant="default",mode="all"\} 1$/m);
    const [{ heard } = { heard: null }] = await site.query<{ heard: number | null }>(
      `select (note_figures((select id from process_status), '{}') ->> 'scheduler_seconds')::float as heard`,
    );
    assert.notEqual(heard, null, 'its scheduler is heard of');
  });
}

/** Maria has written, and the model has been asked; it does not answer this once. */
async function thinking(site: Site): Promise<void> {
  const maria = site.simulator.addContact(MARIA);
  site.simulator.fault({ target: 'claude', kind: 'hang' });
  site.simulator.script([{ text: 'A resposta.', repeat: true }]);
  site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await site.until(() => site.simulator.wire().claude.length === 1, 'the model is asked');
}

test('P16 kill -9 while the model thinks: the next one answers, once', async (t) => {
  const site = await startSite(t, { queue: 'redis' });
  const first = await site.startReady('all');
  await thinking(site);
  first.signal('SIGKILL');
  await first.ended;
  await site.startReady('all');
  await site.until(() => left(site).length === 1, 'the answer');
  await site.until(
    async () => (await site.query(`select from messages where status in ('received', 'queued', 'sending', 'uncertain')`)).length === 0,
    'all is settled',
  );
  assert.deepEqual(left(site), ['A resposta.']);
});

test('P16 kill -9 after the send has left and before its answer: it is not sent again', async (t) => {
  const site = await startSite(t, { queue: 'redis' });
  const first = await site.startReady('all');
  const maria = site.simulator.addContact(MARIA);
  site.simulator.fault({ target: 'send', kind: 'hang', sent: true });
  site.simulator.script([{ text: 'A resposta.', repeat: true }]);
  site.simulator.inbound({ contactId: maria.id, text: 'Oi' });
  await site.simulator.waitFor((wire) => wire.sends.length === 1, 60_000);
  first.signal('SIGKILL');
  await first.ended;
  const next = await site.startReady('all');
  // Its echo or the look at Evolution tells that it left; the conversation goes on with the next message.
  site.simulator.inbound({ contactId: maria.id, text: 'E aos sábados?' });
  await site.until(() => left(site).length === 2, 'the second answer', 180_000);
  assert.equal((await site.query(`select from messages where direction = 'out'`)).length, 2);
  next.signal('SIGTERM');
  assert.equal(await next.ended, 0);
});

test('P16 SIGTERM while the model thinks: the turn is given back, nothing new is taken, and all of it ends with 0', async (t) => {
  // short enough that a turn is given back at once, long enough for a busy machine to write that down
  const site = await startSite(t, { env: { SHUTDOWN_GRACE_MS: '8000' } });
  const first = await site.startReady('all');
  await thinking(site);
  first.signal('SIGTERM');
  assert.equal(await first.ended, 0);
  assert.deepEqual(first.stderr, []);
  assert.deepEqual(await site.query('select status, reason from turns'), [{ status: 'superseded', reason: 'shutdown' }]);
  await assert.rejects(fetch(`${first.url}/health`), 'its routes are gone with it');
  await site.startReady('all');
  await site.until(() => left(site).length === 1, 'the answer');
  assert.deepEqual(left(site), ['A resposta.']);
});

test('P16 an idle one ends at once and says goodbye', async (t) => {
  const site = await startSite(t);
  const all = await site.startReady('all');
  await site.until(async () => (await site.query('select from process_status')).length === 1, 'a heartbeat');
  all.signal('SIGTERM');
  assert.equal(await all.ended, 0);
  assert.deepEqual(all.stderr, []);
  assert.equal(all.lines().at(-1)?.message, 'Stopped');
  assert.deepEqual(await site.query('select from process_status'), []);
});

test('P16 a wrong RUN_MODE, and none, name the four that there are', async (t) => {
  for (const env of [{ RUN_MODE: 'ALL' }, { RUN_MODE: 'api,worker' }, {}]) {
    const program = startProgram(t, 'src/main.ts', { env });
    assert.equal(await program.ended, 1);
    assert.match(String(program.lines()[0]?.context['hint']), /api, worker, scheduler, all/);
  }
});
