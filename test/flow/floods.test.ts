/** Floods: one contact costs people a message a minute at most, nothing of it lost, and cannot use up the replies of all. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { handoffsJob } from '../../src/crons/handoffs.ts';
import { tellOfMessages } from '../../src/handoffs.ts';
import { sendNext } from '../../src/outbound.ts';
import { openStage, turn, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const forwards = async (stage: Stage): Promise<string[]> =>
  (await stage.system.query<{ text: string }>(`select text from notices where kind = 'forward' order by id`)).map(({ text }) => text);

/** A person has Maria's conversation, and people know it. */
async function handedOver(t: Parameters<typeof openStage>[0]): Promise<{ stage: Stage; conversation: number }> {
  const stage = await openStage(t, { slack: 'webhook' });
  const conversation = await stage.hear('Quero falar com uma pessoa');
  await stage.system.query(`update conversations set controlled_by = 'human', escalation_reason = 'pediu'`);
  await turnsUntilDone(stage.ctx, conversation);
  assert.deepEqual(await forwards(stage), [], 'the packet tells of it');
  return { stage, conversation };
}

async function says(stage: Stage, conversation: number, text: string): Promise<void> {
  await stage.hear(text);
  await turnsUntilDone(stage.ctx, conversation);
  await stage.ctx.background.drain(10_000);
}

const minuteLater = (stage: Stage) =>
  stage.system.query(
    `update conversations set forwarded_at = forwarded_at - interval '1 minute', forward_due_at = forward_due_at - interval '1 minute'`,
  );

test('Z7 twenty messages to a person are one forward at once and one a minute later, with every word, whoever looks and however often', async (t) => {
  const { stage, conversation } = await handedOver(t);
  await says(stage, conversation, 'palavra 1');
  assert.equal((await forwards(stage)).length, 1);
  for (let n = 2; n <= 20; n++) await says(stage, conversation, `palavra ${n}`);
  assert.equal((await forwards(stage)).length, 1, 'within the minute');
  await minuteLater(stage);
  // Four processes look at the same moment, and again.
  for (let round = 0; round < 2; round++) await Promise.all(Array.from({ length: 4 }, () => tellOfMessages(stage.ctx)));
  const told = await forwards(stage);
  assert.equal(told.length, 2);
  for (let n = 1; n <= 20; n++)
    assert.ok(told.join('\n').includes(`> palavra ${n}\n`) || told.join('\n').endsWith(`> palavra ${n}`), `palavra ${n}`);
  await stage.system.until(
    () => stage.system.simulator.slackTexts().filter((text) => text.includes('palavra')).length === 2,
    'both are told',
  );
});

test('Z7 a worker that dies after it left the messages to a person loses no forward; what did not fit is counted', async (t) => {
  const { stage, conversation } = await handedOver(t);
  // It dies before its background work: nothing is told by it.
  const dying = { ...stage.ctx, background: { ...stage.ctx.background, run: () => {} } };
  await stage.hear('ninguém ouviu isto');
  await turn(dying, conversation);
  assert.deepEqual(await forwards(stage), []);
  const { signal } = new AbortController();
  await handoffsJob.run({ ...stage.ctx, sendPolicy: stage.ctx.sendPolicy, process: { id: 'test' } }, { tick: new Date(), signal });
  assert.match((await forwards(stage))[0] ?? '', /> ninguém ouviu isto$/);

  // 30 long ones while nobody told
  for (let n = 0; n < 30; n++) await stage.hear(`${n} ${'x'.repeat(480)}`);
  await turn(dying, conversation);
  await minuteLater(stage);
  await tellOfMessages(stage.ctx);
  const [, second = ''] = await forwards(stage);
  const lines = second.split('\n').filter((line) => line.startsWith('> ')).length;
  assert.ok(lines >= 6 && second.length <= 3_800, `${lines} lines`);
  assert.ok(second.endsWith(`e mais ${30 - lines} mensagens na conversa`), second.slice(-80));
  assert.deepEqual(await stage.system.query('select forward_due_at from conversations'), [{ forward_due_at: null }]);
});

test('Z7 words that come between the look and the notice are told a minute later', async (t) => {
  const { stage, conversation } = await handedOver(t);
  await says(stage, conversation, 'primeira');
  await says(stage, conversation, 'segunda');
  await minuteLater(stage);
  const [due] = await stage.system.query<{ list: { upto: number }[] }>('select forwards_due(null, 10) as list');
  const dying = { ...stage.ctx, background: { ...stage.ctx.background, run: () => {} } };
  await stage.hear('terceira');
  await turn(dying, conversation);
  const notice = { tenant: 'default', kind: 'forward', text: 'segunda', urgent: false };
  const take = () => stage.system.query(`select take_forward($1, $2, $3)`, [conversation, due?.list[0]?.upto, JSON.stringify(notice)]);
  await Promise.all([take(), take(), take()]);
  await minuteLater(stage);
  await tellOfMessages(stage.ctx);
  assert.deepEqual(
    (await forwards(stage)).map((text) => text.split('> ').at(-1)),
    ['primeira', 'segunda', 'terceira'],
  );
});

test('Z7 one conversation uses a quarter of its number’s replies of an hour, the others go on, and people are told once', async (t) => {
  const stage = await openStage(t);
  const { system } = stage;
  const conversation = await stage.hear('oi');
  await system.query(`update instances set reply_cap_hour = 100`);
  await system.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_at, kind, priority, slot_at, created_at)
     select tenant_id, instance_id, id, last_seq + n, 'out', 'agent', 'sent', 'x', now(), 'reply', 0, now() - interval '10 minutes', now() - interval '10 minutes' from conversations, generate_series(1, 26) n`,
  );
  await system.query('update conversations set last_seq = last_seq + 26');
  const free = async (cap: number) =>
    (await system.query<{ at: Date | null }>('select share_free_at(c, $1, now()) as at from conversations c', [cap]))[0]?.at ?? null;
  assert.notEqual(await free(100), null);
  assert.notEqual(await free(40), null, '20 in any case, and it had 26');
  assert.equal(await free(200), null);
  await turnsUntilDone(stage.ctx, conversation);
  await sendNext(stage.ctx, conversation);
  await sendNext(stage.ctx, conversation);
  assert.deepEqual(await system.query(`select status, reason from messages where status = 'queued'`), [
    { status: 'queued', reason: 'reply_share' },
  ]);
  assert.equal((await system.query(`select from notices where kind = 'alert' and key like 'share-%'`)).length, 1);
});
