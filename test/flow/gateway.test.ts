/** Addresses and ids of sends, on each release of Evolution: who is reached under which address, and what settles a doubt. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { EVOLUTION_VERSIONS, rulesOf } from '../../simulator/version.ts';
import type { Context } from '../../src/context.ts';
import { checkInstancesJob } from '../../src/crons/check-instances.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { createEvolution } from '../../src/whatsapp/client.ts';
import { claimSend } from '../../src/outbox/calls.ts';
import { clocked, drainLane, queueReplies, states } from '../support/sends.ts';
import type { Clock } from '../support/sends.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

for (const version of EVOLUTION_VERSIONS) {
  describe(`Evolution ${version}`, () => {
    let system: System;
    let ctx: Context;
    const clock: Clock = { now: null };
    let people = 0;
    /** Digits of somebody in Belo Horizonte, in both writings. */
    const somebody = () => {
      const rest = String(88_000_000 + ++people);
      return { with: `55319${rest}`, without: `5531${rest}`, lid: `1191${rest}` };
    };

    before(async () => {
      system = await startSystem({ after: () => {} }, { workers: 0, simulator: { version }, env: { EVOLUTION_BREAKER_FAILURES: '1000' } });
      const { evolutionUrl: url, apiKey } = system.simulator;
      const worker = clocked(await system.openContext('worker'), clock);
      ctx = { ...worker, whatsapp: createEvolution({ url, apiKey, timeouts: { sendMs: 1_000, otherMs: 5_000 } }) };
      await readVersion();
    });
    after(() => system.close());
    beforeEach(() => {
      clock.now = null;
      system.simulator.reset();
    });

    async function readVersion(): Promise<void> {
      const { signal } = new AbortController();
      await system.query(`update instances set gateway_version_at = null`);
      await checkInstancesJob.run({ ...ctx, sendPolicy: ctx.sendPolicy, process: { id: 'test' } }, { tick: new Date(), signal });
    }

    const numbers = () => system.simulator.sends({ kind: 'text' }).map(({ number, status }) => `${number} ${status}`);
    const jidOf = async (conversation: number) =>
      (await system.query<{ jid: string }>(`select jid from conversations where id = $1`, [conversation]))[0]?.jid;

    /** The contact writes, and what the webhook brought is stored. */
    async function writes(contactId: string, text = 'Oi'): Promise<number> {
      const { id } = system.simulator.inbound({ contactId, text });
      return await system.until(
        async () =>
          (await system.query<{ id: number }>(`select conversation_id::int as id from messages where provider_id = $1`, [id]))[0]?.id,
        'the message is stored',
      );
    }

    async function say(conversation: number, text: string, options: { type?: string; quotedId?: string } = {}): Promise<string[]> {
      const [row] = await system.query<{ phone: string }>(
        `select a.address as phone from conversations c join contact_addresses a on a.contact_id = c.contact_id and a.kind = 'pn' where c.id = $1`,
        [conversation],
      );
      const { ids } = await queueReplies(system, row?.phone ?? '', [text], { ...options, at: clock.now ?? new Date() });
      await drainLane(ctx, clock, system, conversation);
      return (await states(system, ids)).map((state) => state.replace(/^(delivered|read)/, 'sent'));
    }

    test('W3 F3 addresses: who is known without the ninth digit is reached when typed with it, and then named as WhatsApp does', async () => {
      const bia = somebody();
      system.simulator.addContact({ name: 'Bia', phone: bia.without });
      const { conversation, ids } = await queueReplies(system, bia.with, ['um', 'dois'], { typingMs: 20 });
      await drainLane(ctx, clock, system, conversation);
      assert.ok((await states(system, ids)).every((state) => state.startsWith('sent') || state === 'delivered'));
      assert.deepEqual(numbers(), [`${bia.with} 201`, `${bia.without}@s.whatsapp.net 201`]);
      assert.equal(await jidOf(conversation), `${bia.without}@s.whatsapp.net`);
      await system.until(() => system.simulator.wire().presences.length === 2, 'typing was shown twice');
      assert.deepEqual(
        system.simulator.wire().presences.map(({ jid }) => jid),
        Array(2).fill(`${bia.without}@s.whatsapp.net`),
      );
      // Evolution remembers nothing of it: the address is WhatsApp's own all the same.
      system.simulator.reset({ keep: ['contacts'] });
      assert.deepEqual(await say(conversation, 'três'), ['sent']);
      assert.deepEqual(numbers(), [`${bia.without}@s.whatsapp.net 201`]);
    });

    test('W3 F3 addresses: the other way round, where WhatsApp knows the ninth digit and nobody typed it', async () => {
      const bia = somebody();
      system.simulator.addContact({ name: 'Bia', phone: bia.with });
      const { conversation, ids } = await queueReplies(system, bia.without, ['um']);
      await drainLane(ctx, clock, system, conversation);
      assert.match((await states(system, ids)).join(), /^(sent|delivered)$/);
      assert.equal(await jidOf(conversation), `${bia.with}@s.whatsapp.net`);
    });

    test('W3 F3 addresses: who wrote is answered, reacted to and read where the message came from', async () => {
      const bia = somebody();
      const contact = system.simulator.addContact({ name: 'Bia', phone: bia.without });
      const conversation = await writes(contact.id);
      const [message] = system.simulator.messages(contact.id);
      // Evolution has been started anew and remembers no number.
      system.simulator.reset({ keep: ['contacts'] });
      await say(conversation, '👍', { type: 'reaction', quotedId: message?.id ?? '' });
      assert.deepEqual(await say(conversation, 'Olá'), ['sent']);
      assert.deepEqual(
        system.simulator.sends().map(({ number, kind }) => `${kind} ${number}`),
        [`reaction ${bia.without}@s.whatsapp.net`, `text ${bia.without}@s.whatsapp.net`],
      );
      const { ids } = await queueReplies(system, bia.with, ['visto'], { typingMs: 20 });
      await system.query(
        `update messages set turn_id = (select turn_id from messages where id = $1), status = 'answered' where provider_id = $2`,
        [ids[0], message?.id],
      );
      const claim = await claimSend(ctx.db, conversation, ctx.sendPolicy, 0.5);
      assert.equal(claim.action === 'typing' && claim.read_jid, `${bia.without}@s.whatsapp.net`);
    });

    test('W3 F3 addresses: one that is refused surely did not send; the other one is tried, and remembered', async () => {
      const { with: phone, lid } = somebody();
      const contact = system.simulator.addContact({ name: 'Bia', phone, lid, addressing: 'lid', refuses: ['lid'] });
      const conversation = await writes(contact.id);
      await system.query(`update conversations set jid = $2 where id = $1`, [conversation, contact.lid]);
      await system.query(
        `insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        select c.tenant_id, c.instance_id, c.contact_id, 'lid', $2 from conversations c where c.id = $1 on conflict do nothing`,
        [conversation, lid],
      );
      assert.deepEqual(await say(conversation, 'um'), ['sent']);
      assert.equal(system.simulator.sends({ sent: true }).length, 1);
      assert.match(numbers()[0] ?? '', /@lid 400$/);
      assert.deepEqual(await system.query(`select 1 from handoffs where conversation_id = $1`, [conversation]), []);
      // The contact writes again from the address that is refused: it is not tried again.
      await writes(contact.id, 'e aí?');
      const before = numbers().length;
      assert.deepEqual(await say(conversation, 'dois'), ['sent']);
      assert.deepEqual(
        numbers()
          .slice(before)
          .map((line) => line.split(' ')[1]),
        ['201'],
      );
      // After a week it may be another story.
      await system.query(`update contact_addresses set refused_at = now() - interval '8 days' where refused_at is not null`);
      const lids = () => system.simulator.sends().filter(({ number }) => number.endsWith('@lid')).length;
      const [tried] = [lids()];
      await writes(contact.id, 'oi?');
      await say(conversation, 'três');
      // 2.3.7 and 2.4 name a lid chat by its phone, so answers stay there.
      assert.equal(lids() - tried, version === '2.3.6' ? 1 : 0);
    });

    test('W3 F3 addresses: the phone is refused, the lid is known', async () => {
      const { with: phone, lid } = somebody();
      const contact = system.simulator.addContact({ name: 'Bia', phone, lid, addressing: 'lid-hidden', refuses: ['pn'] });
      const conversation = await writes(contact.id);
      await system.query(
        `insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address)
        select c.tenant_id, c.instance_id, c.contact_id, 'pn', $2 from conversations c where c.id = $1`,
        [conversation, phone],
      );
      await system.query(`update conversations set jid = $2 || '@s.whatsapp.net' where id = $1`, [conversation, phone]);
      assert.deepEqual(await say(conversation, 'um'), ['sent']);
      assert.deepEqual(numbers(), [`${phone} 400`, `${contact.lid} 201`]);
    });

    test('W3 F3 addresses: with none left it has failed, once, and a person is told', async () => {
      const { with: phone } = somebody();
      system.simulator.addContact({ name: 'Bia', phone, refuses: ['pn'] });
      const { conversation, ids } = await queueReplies(system, phone, ['um']);
      await drainLane(ctx, clock, system, conversation);
      assert.deepEqual(await states(system, ids), ['failed(not_on_whatsapp)']);
      assert.deepEqual(numbers(), [`${phone} 400`]);
      assert.deepEqual(await system.query(`select reason from handoffs where conversation_id = $1`, [conversation]), [
        { reason: 'send_failed' },
      ]);
    });

    test('W3 F3 addresses: a writing that WhatsApp has told and then refuses is looked for anew', async () => {
      const bia = somebody();
      const contact = system.simulator.addContact({ name: 'Bia', phone: bia.without });
      const conversation = await writes(contact.id);
      // WhatsApp moves the person to the writing with the ninth digit.
      system.simulator.reset();
      system.simulator.addContact({ name: 'Bia', phone: bia.with });
      assert.deepEqual(await say(conversation, 'um'), ['sent']);
      assert.deepEqual(numbers(), [`${bia.without}@s.whatsapp.net 400`, `${bia.without} 201`]);
      assert.deepEqual(await say(conversation, 'dois'), ['sent']);
      assert.equal(numbers().at(-1), `${bia.with}@s.whatsapp.net 201`);
    });

    test('W13 version: it is read, kept and told', async () => {
      await readVersion();
      assert.deepEqual(await system.query(`select distinct gateway_version from instances`), [{ gateway_version: rulesOf(version).says }]);
      const { chips } = (await (await fetch(`${system.url}/health/chips`)).json()) as { chips: { name: string; evolution: string }[] };
      assert.equal(chips.find(({ name }) => name === INSTANCE)?.evolution, rulesOf(version).says);
    });

    test('W13 ids: each row asks for an id of its own, in every attempt the same', async () => {
      const { with: phone } = somebody();
      const { conversation, ids } = await queueReplies(system, phone, ['um', 'dois']);
      system.simulator.fault({ target: 'send', kind: 'socket-lost' });
      await drainLane(ctx, clock, system, conversation);
      const asked = system.simulator.sends({ kind: 'text' }).map(({ text, messageId }) => [text, messageId] as const);
      assert.deepEqual(
        asked.map(([text]) => text),
        ['um', 'um', 'dois'],
      );
      assert.match(asked[0]?.[1] ?? '', /^3EB0[0-9A-F]{18}$/);
      assert.equal(asked[0]?.[1], asked[1]?.[1]);
      assert.notEqual(asked[0]?.[1], asked[2]?.[1]);
      const kept = await system.query<{ same: boolean }>(
        `select provider_id = wire_id as same from messages where id = any($1) order by id`,
        [ids],
      );
      assert.deepEqual(
        kept.map(({ same }) => same),
        Array(2).fill(version === '2.4'),
      );
    });

    test('W13 doubt: what left is found by its id in one look, whatever words the chat holds', async () => {
      const { with: phone } = somebody();
      const { conversation, ids } = await queueReplies(system, phone, ['Ok']);
      system.simulator.fault({ target: 'send', kind: 'hang' });
      for (const event of ['send.message', 'messages.update'])
        system.simulator.fault({ target: 'webhook', kind: 'drop', match: { event } });
      await sendNext(ctx, conversation);
      assert.deepEqual(await states(system, ids), ['uncertain(timeout)']);
      const steps = await drainLane(ctx, clock, system, conversation);
      assert.match((await states(system, ids)).join(), /^(sent|delivered)$/);
      assert.ok(steps.length <= 3, steps.join());
      const [row] = await system.query<{ looks: number; same: boolean }>(
        `select looks, provider_id = wire_id as same from messages where id = $1`,
        [ids[0]],
      );
      assert.deepEqual(row, { looks: 0, same: version === '2.4' });
      assert.equal(system.simulator.sends({ text: 'Ok' }).length, 1, 'and nothing was sent again');
    });

    test('W13 doubt: an echo under our id is ours, under another address and in other words', async () => {
      const { with: phone } = somebody();
      const { conversation, ids } = await queueReplies(system, phone, ['Certo']);
      system.simulator.fault({ target: 'send', kind: 'hang', sent: false });
      await sendNext(ctx, conversation);
      const [row] = await system.query<{ wire: string }>(`select wire_id as wire from messages where id = $1`, [ids[0]]);
      const key = { remoteJid: '990000000000001@lid', fromMe: true, id: row?.wire };
      const data = {
        key,
        message: { conversation: 'Certo (editado)' },
        messageType: 'conversation',
        messageTimestamp: Math.floor(Date.now() / 1000),
      };
      const response = await system.webhook({ event: 'send.message', instance: INSTANCE, data });
      assert.equal(response.status, 200);
      assert.deepEqual(await states(system, ids), ['sent']);
      assert.deepEqual(await system.query(`select 1 from messages where author = 'human' and provider_id = $1`, [row?.wire]), []);
    });

    test('W13 doubt: an ack under our id says that it left', async () => {
      const { with: phone } = somebody();
      const { conversation, ids } = await queueReplies(system, phone, ['Certo']);
      system.simulator.fault({ target: 'send', kind: 'hang', sent: false });
      await sendNext(ctx, conversation);
      const [row] = await system.query<{ wire: string }>(`select wire_id as wire from messages where id = $1`, [ids[0]]);
      const data = { keyId: row?.wire, remoteJid: `${phone}@s.whatsapp.net`, fromMe: true, status: 'DELIVERY_ACK', messageId: 'x' };
      await system.webhook({ event: 'messages.update', instance: INSTANCE, data });
      assert.deepEqual(await states(system, ids), ['delivered']);
    });
  });
}
