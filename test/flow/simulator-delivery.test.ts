// How the simulator delivers webhooks and what a send goes through: retries, order, aborts, races and faults.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { retryDelay } from '../../simulator/webhooks.ts';
import { fields, MARIA, SECRET, useSimulator, type Json } from '../support/simulator-setting.ts';

const setting = useSimulator();

describe('delivery', () => {
  test('the waits are those of the contract', () => {
    const seconds = (random: number): number[] => Array.from({ length: 9 }, (_, index) => retryDelay(index + 1, random) / 1000);
    assert.deepEqual(seconds(0.5), [5, 10, 20, 40, 80, 160, 300, 300, 300]);
    assert.deepEqual(seconds(0), [5, 8, 16, 32, 64, 128, 240, 240, 240], 'never below the first wait');
    assert.deepEqual(seconds(1), [6, 12, 24, 48, 96, 192, 360, 360, 360], 'jitter comes after the cap');
  });

  test('ten attempts of one body with one token', async () => {
    setting.receiver.answer = ({ body }) => (body.event === 'messages.upsert' ? 500 : 200);
    const { id } = setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    await setting.simulator.waitFor((wire) => wire.webhooks.some(({ messageId, attempt }) => messageId === id && attempt === 10));
    const attempts = setting.receiver.received.filter(({ body }) => body.event === 'messages.upsert');
    assert.equal(attempts.length, 10);
    assert.equal(new Set(attempts.map(({ text, authorization }) => `${authorization} ${text}`)).size, 1);
  });

  for (const status of [400, 401, 403, 404, 422]) {
    test(`${status} ends an event for good`, async () => {
      setting.receiver.answer = ({ body, text }) => {
        if (body.event !== 'messages.upsert') return 200;
        return text.includes('perdida') ? status : 500;
      };
      const lost = setting.simulator.inbound({ contactId: setting.maria, text: 'perdida' });
      await attempts(lost.id, 1);
      // A later event that has been tried three times: the first would have been tried again before.
      const later = setting.simulator.inbound({ contactId: setting.maria, text: 'outra' });
      await attempts(later.id, 3);
      assert.equal(setting.simulator.wire().webhooks.filter(({ messageId }) => messageId === lost.id).length, 1);
    });
  }

  test('an event that was refused once comes after a later one', async () => {
    let refused = false;
    setting.receiver.answer = ({ text }) => {
      if (refused || !text.includes('primeira')) return 200;
      refused = true;
      return 503;
    };
    const first = setting.simulator.inbound({ contactId: setting.maria, text: 'primeira' });
    await attempts(first.id, 1);
    const second = setting.simulator.inbound({ contactId: setting.maria, text: 'segunda' });
    await attempts(second.id, 1);
    await attempts(first.id, 2);
    assert.equal(
      setting.simulator
        .wire()
        .webhooks.filter(({ messageId }) => messageId === first.id)
        .at(-1)?.status,
      200,
    );
  });

  test('faults: drop, repeat, reorder', async () => {
    setting.simulator.fault({ target: 'webhook', kind: 'drop' });
    const lost = setting.simulator.inbound({ contactId: setting.maria, text: 'perdida' });
    setting.simulator.fault({ target: 'webhook', kind: 'repeat', n: 2 });
    const tripled = setting.simulator.inbound({ contactId: setting.maria, text: 'três vezes' });
    await setting.simulator.waitFor((wire) => wire.webhooks.filter(({ messageId }) => messageId === tripled.id).length === 3);
    setting.simulator.fault({ target: 'webhook', kind: 'reorder' });
    setting.simulator.inbound({ contactId: setting.maria, text: 'um' });
    setting.simulator.inbound({ contactId: setting.maria, text: 'dois' });
    await setting.received('messages.upsert', 5);
    const texts = setting.receiver.received
      .filter(({ body }) => body.event === 'messages.upsert')
      .map(({ body }) => (fields(body)['message'] as { conversation: string }).conversation);
    assert.deepEqual(texts, ['três vezes', 'três vezes', 'três vezes', 'dois', 'um']);
    const { body } = await setting.post('/chat/findMessages/wa1', { where: { key: { id: lost.id } } });
    assert.equal((body as { messages: { total: number } }).messages.total, 1, 'the database has what the webhook lost');
  });

  test('repeat and raw', async () => {
    const { id } = setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    const [first] = await setting.received('messages.upsert', 1);
    assert.deepEqual(await setting.simulator.repeatWebhook({ messageId: id, times: 2 }), [200, 200]);
    assert.deepEqual(
      (await setting.received('messages.upsert', 3)).map((body) => JSON.stringify(body)),
      Array(3).fill(JSON.stringify(first)),
    );
    setting.receiver.answer = () => 503;
    const raw = await setting.simulator.rawWebhook({ event: 'any' }, { suffix: 'messages-upsert' });
    assert.equal(raw.status, 503);
    assert.equal(setting.receiver.received.at(-1)?.path, '/hook/messages-upsert');
    assert.match(setting.receiver.received.at(-1)?.authorization ?? '', /^Bearer /);
  });

  test('messages that arrive while the socket is down come at the next open, with their own time', async () => {
    setting.simulator.connection('connecting');
    const { id, at } = setting.simulator.inbound({ contactId: setting.maria, text: 'quando voltar', ageMs: 60_000 });
    assert.deepEqual((await setting.post('/chat/findMessages/wa1', { where: { key: { id } } })).body, {
      messages: { total: 0, pages: 0, currentPage: 1, records: [] },
    });
    setting.simulator.connection('open');
    const [held] = await setting.received('messages.upsert', 1);
    assert.equal(fields(held)['messageTimestamp'], Math.floor(at / 1000));
  });

  test('/webhook/set replaces address, headers and events', async () => {
    const webhook = {
      enabled: true,
      url: `${setting.receiver.url}/b`,
      byEvents: true,
      headers: { authorization: 'Bearer fixed' },
      events: ['MESSAGES_UPSERT'],
    };
    assert.equal((await setting.post('/webhook/set/wa1', { webhook })).status, 201);
    setting.simulator.inbound({ contactId: setting.maria, text: 'Oi' });
    await setting.received('messages.upsert', 1);
    assert.deepEqual(
      setting.receiver.received.map(({ path, authorization }) => [path, authorization]),
      [['/hook/b/messages-upsert', 'Bearer fixed']],
    );
    setting.simulator.setWebhook(setting.receiver.url, SECRET);
  });
});

describe('sends', () => {
  test('a client that goes away does not stop a delayed send', async () => {
    const leaving = new AbortController();
    const typing = setting.simulator.waitFor((_wire, event) => event?.type === 'typing' && event.on);
    const request = setting.post('/message/sendText/wa1', { number: MARIA, text: 'mesmo assim', delay: 50_000 }, leaving.signal);
    await typing;
    leaving.abort();
    await assert.rejects(request);
    assert.equal(setting.simulator.messages(setting.maria).length, 0, 'it has not left yet');
    await setting.simulator.waitFor(() => setting.simulator.messages(setting.maria).some(({ text }) => text === 'mesmo assim'));
  });

  test('parallel sends leave in the order of their delays', async () => {
    // far enough from each other that a busy machine, which takes requests late, does not change their order
    const delays = { longa: 3_000_000, curta: 1_000, média: 1_500_000 };
    await Promise.all(Object.entries(delays).map(([text, delay]) => setting.post('/message/sendText/wa1', { number: MARIA, text, delay })));
    assert.deepEqual(
      setting.simulator.messages(setting.maria).map(({ text }) => text),
      ['curta', 'média', 'longa'],
    );
  });

  test('send.message comes before the answer, after it, or never, as a fault says', async () => {
    const order: string[] = [];
    setting.receiver.answer = ({ body }) => {
      if (body.event === 'send.message') order.push('echo');
      return 200;
    };
    for (const kind of ['echo-first', 'echo-late', 'no-echo']) {
      setting.simulator.fault({ target: 'send', kind, ms: 1 });
      await setting.post('/message/sendText/wa1', { number: MARIA, text: kind });
      order.push(kind);
      if (kind === 'echo-late') await setting.received('send.message', 2);
    }
    assert.deepEqual(order, ['echo', 'echo-first', 'echo-late', 'echo', 'no-echo']);
  });

  const faults: [string, Json, { status: number | null; left: boolean; body?: unknown }][] = [
    ['status', { status: 503, body: { a: 1 } }, { status: 503, left: false, body: { a: 1 } }],
    ['unauthorized', {}, { status: 401, left: false }],
    ['rate-limited', {}, { status: 429, left: false }],
    ['refuse-before', {}, { status: 400, left: false }],
    ['refuse-after', {}, { status: 400, left: true }],
    ['timed-out', { sent: false }, { status: 400, left: false }],
    ['timed-out', { sent: true }, { status: 400, left: true }],
    ['drop', { sent: false }, { status: null, left: false }],
    ['drop', { sent: true }, { status: null, left: true }],
    ['hang', { sent: false }, { status: null, left: false }],
    ['hang', { sent: true }, { status: null, left: true }],
    ['slow', { ms: 1 }, { status: 201, left: true }],
  ];
  for (const [kind, args, expected] of faults) {
    test(`fault ${kind} ${JSON.stringify(args)}`, async () => {
      setting.simulator.fault({ target: 'send', kind, match: { text: 'alvo' }, ...args });
      assert.equal((await setting.post('/message/sendText/wa1', { number: MARIA, text: 'outra' })).status, 201, 'only the match is hit');
      const leaving = new AbortController();
      const outcome = setting.post('/message/sendText/wa1', { number: MARIA, text: 'alvo' }, leaving.signal).catch(() => null);
      await setting.simulator.waitFor((_wire) => setting.simulator.sends({ text: 'alvo' }).some((send) => send.outcome !== 'pending'));
      if (kind === 'hang') leaving.abort();
      const answer = await outcome;
      assert.equal(answer?.status ?? null, expected.status);
      if (expected.body) assert.deepEqual(answer?.body, expected.body);
      assert.equal(
        setting.simulator.messages(setting.maria).some(({ text }) => text === 'alvo'),
        expected.left,
      );
      assert.equal(setting.simulator.sends({ sent: true, text: 'alvo' }).length, expected.left ? 1 : 0);
      assert.equal((await setting.post('/message/sendText/wa1', { number: MARIA, text: 'alvo' })).status, 201, 'it hit once');
    });
  }

  test('a reset lets go of hung requests and of what was planned', { timeout: 10_000 }, async () => {
    setting.simulator.fault({ target: 'send', kind: 'hang', sent: true });
    const hung = setting.post('/message/sendText/wa1', { number: MARIA, text: 'presa' });
    await setting.simulator.waitFor((wire) => wire.sends.some(({ outcome }) => outcome === 'unconfirmed'));
    setting.simulator.reset();
    await assert.rejects(hung);
    assert.deepEqual([setting.simulator.sends(), setting.simulator.messages()], [[], []]);
  });

  test('no-ack: nothing is ever confirmed', async () => {
    setting.simulator.fault({ target: 'send', kind: 'no-ack' });
    await setting.post('/message/sendText/wa1', { number: MARIA, text: 'sem sinal' });
    await setting.post('/message/sendText/wa1', { number: MARIA, text: 'com sinal' });
    await setting.received('messages.update', 1);
    setting.simulator.read({ contactId: setting.maria });
    assert.deepEqual(
      setting.simulator.messages(setting.maria).map(({ status }) => status),
      ['PENDING', 'READ'],
    );
  });
});

async function attempts(messageId: string, count: number): Promise<void> {
  await setting.simulator.waitFor(
    (wire) => wire.webhooks.filter((hook) => hook.messageId === messageId && hook.event === 'messages.upsert').length >= count,
  );
}
