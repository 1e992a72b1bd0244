/**
 * What a release of Evolution can break, on each of them: one installation per release, and one chat after another goes through webhook, queue, turn and sender of it.
 * Addresses, ids and doubts of sends are in gateway.test.ts, the look-alike's own rules in evolution-versions.test.ts. The whole flow suite runs on a release with
 * EVOLUTION_VERSION (docs/evolution.md 5.6); CI runs this, since for most of the suite three releases say no more than one and take three times as long.
 */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { SignJWT } from 'jose';
import { EVOLUTION_VERSIONS, rulesOf } from '../../simulator/version.ts';
import type { Addressing, Contact } from '../../simulator/types.ts';
import { reconcile } from '../../src/crons/reconcile-inbox.ts';
import { WEBHOOK_EVENTS } from '../../src/whatsapp/webhook-setting.ts';
import { unmergeContact } from '../../src/people/merge-calls.ts';
import { queueReplies, states } from '../support/sends.ts';
import { INSTANCE, JWT_SECRET, startSystem, WEBHOOK_SECRET } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MINUTE = 60_000;
/** Who types in which chat: the same words in several chats are no person's. Short, since who types in the same second as somebody writes cannot have typed much. */
const NAMES = { pn: 'Ana', lid: 'Beatriz', 'lid-hidden': 'Carolina' };

for (const version of EVOLUTION_VERSIONS) {
  describe(`W5 versions: Evolution ${version}`, () => {
    const rules = rulesOf(version);
    let system: System;
    let people = 0;

    before(async () => {
      system = await startSystem({ after: () => {} }, { env: { DEBOUNCE_MS: '0' }, simulator: { version } });
      // Compared with Evolution from the day before on.
      await system.query(`update instances set created_at = now() - interval '1 day'`);
    });
    after(() => system.close());
    beforeEach(() => system.simulator.script([{ text: 'Certo!', repeat: true }]));

    /** Somebody of Belo Horizonte, whom WhatsApp knows without the ninth digit. */
    function somebody(addressing: Addressing = 'pn'): Contact {
      const phone = `5531${88_000_000 + ++people}`;
      return system.simulator.addContact({ name: `Pessoa ${people}`, phone, lid: `9155${phone}`, addressing });
    }
    /** In the writing in which contacts are kept. */
    const withNinth = ({ phone }: Contact) => `${phone.slice(0, 4)}9${phone.slice(4)}`;

    async function written(id: string): Promise<{ conversation: number; line: string }> {
      return await system.until(async () => {
        const [row] = await system.query<{ conversation: number; line: string; status: string }>(
          `select conversation_id::int as conversation, status, author || ' ' || status || coalesce('(' || reason || ')', '') || ': ' || text as line from messages where provider_id = $1`,
          [id],
        );
        return row === undefined || row.status === 'received' ? null : row;
      }, `an outcome of ${id}`);
    }
    /** The contact writes; resolves when it has an outcome. */
    const says = (contact: Contact, text: string, extra: object = {}) =>
      written(system.simulator.inbound({ contactId: contact.id, text, ...extra }).id);
    const types = (contact: Contact, text: string) => written(system.simulator.owner({ contactId: contact.id, text }).id);
    /** Everything that was said with this person, under whatever address. */
    async function said(conversation: number): Promise<string[]> {
      const rows = await system.query<{ line: string }>(
        `select author || ' ' || status || coalesce('(' || reason || ')', '') || ': ' || text as line from messages where conversation_id = $1 order by seq`,
        [conversation],
      );
      return rows.map(({ line }) => line.replace(/^agent (?:sending|sent|delivered|read)/, 'agent'));
    }
    async function contactsOf(contact: Contact): Promise<string[]> {
      const rows = await system.query<{ line: string }>(
        `select string_agg(kind, ' ' order by kind desc) as line from contact_addresses where address in ($1, $2) group by contact_id order by contact_id`,
        [withNinth(contact), contact.lid.split('@')[0]],
      );
      return rows.map(({ line }) => line);
    }
    const sentTo = (contact: Contact) =>
      system.simulator
        .sends({ sent: true })
        .map(({ jid }) => jid)
        .filter((jid) => jid?.startsWith(contact.phone) || jid === contact.lid);

    /** What the model answers to certain words; to all others as always. */
    function answersOf(answers: Readonly<Record<string, string>>): void {
      system.simulator.script([...Object.entries(answers).map(([match, text]) => ({ match, text })), { text: 'Certo!', repeat: true }]);
    }

    async function asksForMessage(to: string, text: string): Promise<number> {
      const token = await new SignJWT({ sub: 'test', role: 'admin', tenant: 'default' })
        .setProtectedHeader({ alg: 'HS256' })
        .setExpirationTime('5m')
        .sign(new TextEncoder().encode(JWT_SECRET));
      const response = await fetch(`${system.url}/api/messages`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: JSON.stringify({ to, text, kind: 'manual' }),
      });
      assert.equal(response.status, 202);
      return ((await response.json()) as { id: number }).id;
    }

    for (const addressing of ['pn', 'lid', 'lid-hidden'] as const) {
      test(`I6 X7 in a chat by ${addressing}: our echo is nobody, what a person types pauses the agent there, and /bot on gives it back`, async () => {
        const contact = somebody(addressing);
        const { conversation } = await says(contact, 'Oi');
        await system.until(async () => (await said(conversation))[1] === 'agent: Certo!', 'the answer');
        const words = `Aqui é a ${NAMES[addressing]}`;
        await types(contact, words);
        assert.equal((await says(contact, 'que bom, obrigado')).line, 'contact handed_over(takeover): que bom, obrigado');
        await types(contact, '/bot on');
        assert.equal((await says(contact, 'e o prazo?')).line, 'contact answered: e o prazo?');
        await system.until(async () => (await said(conversation)).at(-1) === 'agent: Certo!', 'the second answer');
        assert.deepEqual(
          (await said(conversation)).filter((line) => !line.includes('/bot')),
          [
            'contact answered: Oi',
            'agent: Certo!',
            `human sent: ${words}`,
            'contact handed_over(takeover): que bom, obrigado',
            'contact answered: e o prazo?',
            'agent: Certo!',
          ],
        );
        assert.equal((await contactsOf(contact)).length, 1, 'one contact');
        assert.equal(new Set(sentTo(contact)).size, 1, 'one chat');
      });
    }

    test('X7 a person who wrote first has the conversation, without any session before it', async () => {
      const contact = somebody();
      const { conversation } = await types(contact, 'Vi o seu pedido de ontem');
      assert.equal((await says(contact, 'oi Ana')).line, 'contact handed_over(takeover): oi Ana');
      assert.equal((await said(conversation)).length, 2);
    });

    test('I8 X6 a hidden number that shows itself is one contact with one history, and the merge can be taken back', async () => {
      const contact = somebody('lid-hidden');
      const { conversation } = await says(contact, 'um');
      system.simulator.updateContact(contact.id, { addressing: 'pn' });
      await says(contact, 'dois');
      // Before 2.3.7 nothing of a chat by phone says its lid: then they are two until a message does.
      assert.equal((await contactsOf(contact)).length, rules.keysNameBoth ? 1 : 2);
      system.simulator.updateContact(contact.id, { addressing: 'lid' });
      await says(contact, 'três');
      assert.deepEqual(await contactsOf(contact), ['pn lid']);
      const texts = (await said(conversation)).filter((line) => line.startsWith('contact'));
      assert.deepEqual(
        texts,
        ['um', 'dois', 'três'].map((text) => `contact answered: ${text}`),
      );
      const merges = await system.query<{ kept: number; audited: boolean }>(
        `select kept::int, exists (select from audit_log where action = 'contact.merge' and subject = kept::text) as audited from contact_merges
         where kept in (select contact_id from contact_addresses where address = $1)`,
        [withNinth(contact)],
      );
      // Where keys name both, they were two only when the echo of an answer, which names the phone alone, came before its send was recorded.
      assert.ok(rules.keysNameBoth ? merges.length <= 1 : merges.length === 1);
      assert.ok(merges.every(({ audited }) => audited));
      for (const { kept } of merges) {
        assert.equal((await unmergeContact(system.ctx.db, 'default', 'test', kept, null)).outcome, 'unmerged');
        assert.deepEqual((await contactsOf(contact)).toSorted(), ['lid', 'pn']);
      }
    });

    test('W15 X6 a lid chat of which the webhooks told one address only is one contact after a comparison', async () => {
      const contact = somebody('lid');
      await says(contact, 'oi', { ageMs: MINUTE });
      // 2.3.7 writes the phone over the lid.
      assert.deepEqual(await contactsOf(contact), [rules.lidChats === 'phone' ? 'pn' : 'pn lid']);
      assert.equal(await reconcile(system.ctx, INSTANCE), 0);
      assert.deepEqual(await contactsOf(contact), ['pn lid']);
    });

    test('I9 what the phone can send is what it is, and edits, deletions and votes hit their message', async () => {
      const contact = somebody();
      const contactId = contact.id;
      const { conversation } = await says(contact, 'Oi');
      const answer = await system.until(
        () => system.simulator.sends({ sent: true }).find(({ jid }) => jid?.startsWith(contact.phone))?.id,
        'the answer',
      );
      await types(contact, 'deixa comigo');
      const sent = [
        { text: 'sobre isso', quotedId: answer },
        { media: { kind: 'image', caption: 'olha' } },
        { media: { kind: 'audio', seconds: 12 } },
        { media: { kind: 'video', seconds: 9 } },
        { media: { kind: 'document', fileName: 'boleto.pdf' } },
        { media: { kind: 'sticker' } },
        { location: { latitude: -19.9, longitude: -43.9, name: 'Praça Sete' } },
        { vcard: { name: 'João', phone: '5531988880000' } },
        { text: 'quero 10 caixas' },
        { text: 'apaga essa' },
      ] as const;
      const ids: string[] = [];
      for (const input of sent) {
        const { id } = system.simulator.inbound({ contactId, ...input });
        ids.push(id);
        await written(id);
      }
      const [edited = '', removed = ''] = ids.slice(-2);
      system.simulator.react(answer, '👍');
      system.simulator.edit(edited, 'quero 1 caixa');
      system.simulator.vote({ contactId, options: ['sim', 'não'], chosen: ['sim'] });
      system.simulator.remove(removed);
      await system.until(
        async () =>
          (await system.query(`select 1 from messages where provider_id = $1 and deleted_at is not null`, [removed])).length === 1,
        'the deletion',
      );
      await system.until(
        async () =>
          (await system.query(`select 1 from messages where conversation_id = $1 and status = 'received'`, [conversation])).length === 0,
        'an outcome of all',
      );
      const rows = await system.query<{ line: string }>(
        `select type || ': ' || text || coalesce(' (to: ' || quoted_text || ')', '') || case when deleted_at is null then '' else ' (deleted)' end as line
         from messages where conversation_id = $1 and author = 'contact' order by seq`,
        [conversation],
      );
      assert.deepEqual(rows.map(({ line }) => line).toSorted(), [
        'audio: [áudio de voz, 12 s]',
        'contact: [contato: João, +5531988880000]',
        'document: [documento: boleto.pdf]',
        'image: [imagem]\nolha',
        'location: [localização: Praça Sete (-19.9, -43.9)]',
        // Votes come from 2.3.7 on.
        ...(rules.pollVotes ? ['poll: [voto em enquete: sim]'] : []),
        'reaction: 👍',
        'sticker: [figurinha]',
        'text: Oi',
        'text: apaga essa (deleted)',
        // 2.3.6 tells of an edit in an event for which the number's lane would wait: nobody may subscribe to it.
        rules.editsAsUpdates ? 'text: quero 1 caixa' : 'text: quero 10 caixas',
        // 2.4 loses what a text quotes.
        rules.losesQuotes ? 'text: sobre isso' : 'text: sobre isso (to: Certo!)',
        'video: [vídeo, 9 s]',
      ]);
    });

    test('I12 W3 typed with the ninth digit, without it, as people write it: one contact, reached as WhatsApp knows it', async () => {
      const contact = somebody();
      const national = contact.phone.slice(2);
      const written = [withNinth(contact), contact.phone, `(${national.slice(0, 2)}) 9${national.slice(2, 6)}-${national.slice(6)}`];
      const ids = await Promise.all(written.map((to) => asksForMessage(to, `para ${to}`)));
      await system.until(async () => (await states(system, ids)).every((state) => /^(?:sent|delivered|read)/.test(state)), 'all sent');
      assert.deepEqual(new Set(sentTo(contact)), new Set([`${contact.phone}@s.whatsapp.net`]));
      await says(contact, 'recebi');
      assert.equal((await contactsOf(contact)).length, 1);
    });

    test('I16 X5 a 201 is not delivery; delivered and read show, an older one takes nothing back, and ERROR stops what nobody asked for', async () => {
      const statusOf = async (conversation: number) =>
        (
          await system.query<{ status: string }>(
            `select status from messages where conversation_id = $1 and author = 'agent' order by seq desc limit 1`,
            [conversation],
          )
        )[0]?.status;
      const [unheard, contact] = [somebody(), somebody()] as const;
      // An answer of the test before this one may be on its way yet.
      answersOf({ 'sem tique': 'Não chega.', 'com erro': 'Não vai.' });
      system.simulator.fault({ target: 'send', kind: 'no-ack', match: { text: 'Não chega.' } });
      const silent = await says(unheard, 'sem tique');
      await system.until(() => sentTo(unheard).length === 1, 'it left');
      const { conversation } = await says(contact, 'Oi');
      const status = () => statusOf(conversation);
      await system.until(async () => (await status()) === 'delivered', 'delivered');
      system.simulator.read({ contactId: contact.id });
      await system.until(async () => (await status()) === 'read', 'read');
      const keyId = system.simulator.sends({ sent: true }).findLast(({ jid }) => jid?.startsWith(contact.phone))?.id;
      for (const older of ['DELIVERY_ACK', 'SERVER_ACK', 'PENDING', 'ERROR']) {
        const data = { keyId, remoteJid: `${contact.phone}@s.whatsapp.net`, fromMe: true, status: older };
        assert.equal((await system.webhook({ event: 'messages.update', instance: INSTANCE, data })).status, 200);
      }
      assert.equal(await status(), 'read');
      assert.equal(await statusOf(silent.conversation), 'sent');

      system.simulator.fault({ target: 'send', kind: 'error-ack', match: { text: 'Não vai.' } });
      await says(contact, 'com erro');
      await system.until(async () => (await status()) === 'failed', 'refused by WhatsApp');
      const health = async () =>
        (await system.query<{ reason: string | null }>(`select held_reason as reason from instances where name = $1`, [INSTANCE]))[0]
          ?.reason;
      assert.equal(await health(), 'number_error_acks');
      await system.query(`update instances set held_until = null, held_reason = null, trust = 100 where name = $1`, [INSTANCE]);
    });

    /** The `data` of a webhook in the usual envelope: inputs of users' reports, which no release is asked to make. */
    async function posted(event: string, data: object): Promise<void> {
      const response = await system.webhook({ event, instance: INSTANCE, sender: '5511900000002@s.whatsapp.net', data });
      assert.equal(response.status, 200);
    }
    const post = (key: object, message: object) =>
      posted('messages.upsert', { key, pushName: 'Cliente', message, messageTimestamp: Math.floor(Date.now() / 1_000) });

    test('W5 F1 news of a message in another event, in the debounce: one box is answered, not ten', async () => {
      const contact = somebody();
      const [id, remoteJid] = [`3EB0F1${contact.phone}`, `${contact.phone}@s.whatsapp.net`];
      const update = { keyId: id, remoteJid, fromMe: false, messageId: 'x' };
      const words = { editedMessage: { message: { conversation: 'quero 1 caixa' } } };
      await system.query(`insert into julia_status (status, motivo, alterado_via) values ('pausado', 'teste', 'manual')`);
      await post({ remoteJid, fromMe: false, id }, { conversation: 'quero 10 caixas' });
      await posted('messages.update', { ...update, status: 'SERVER_ACK', message: words });
      await system.query(`insert into julia_status (status, motivo, alterado_via) values ('ativo', 'teste', 'manual')`);
      const [row] = await system.query<{ id: number }>('select conversation_id::int as id from messages where provider_id = $1', [id]);
      await system.ctx.queues.wakeTurn(row?.id ?? 0, 0);
      assert.equal((await written(id)).line, 'contact answered: quero 1 caixa');
      assert.doesNotMatch(JSON.stringify(system.simulator.wire().claude.at(-1)?.request), /10 caixas/);
    });

    test('W10 F6 `failed` is not the end: what arrives after it ends as read, and the handoff closes itself', async () => {
      const contact = somebody();
      answersOf({ 'vai e volta': 'Volta.' });
      system.simulator.fault({ target: 'send', kind: 'error-ack', match: { text: 'Volta.' } });
      const { conversation } = await says(contact, 'vai e volta');
      const state = async () =>
        (
          await system.query<{ line: string }>(
            `select concat_ws(' ', m.status, (select h.status from handoffs h where h.conversation_id = m.conversation_id)) as line from messages m
             where conversation_id = $1 and author = 'agent'`,
            [conversation],
          )
        )[0]?.line;
      await system.until(async () => (await state())?.startsWith('failed'), 'refused');
      const keyId = system.simulator.sends({ sent: true }).findLast(({ jid }) => jid?.startsWith(contact.phone))?.id;
      for (const status of ['DELIVERY_ACK', 'READ'])
        await posted('messages.update', { keyId, remoteJid: `${contact.phone}@s.whatsapp.net`, fromMe: true, status });
      assert.equal(await state(), 'read returned');
      await system.query(`update instances set held_until = null, held_reason = null, trust = 100 where name = $1`, [INSTANCE]);
    });

    test('W8 F7 words that a person can read on the phone reach the model', async () => {
      const contact = somebody();
      const pix = { merchant_name: 'Maria Souza', key: 'maria@example.com', key_type: 'EMAIL' };
      const buttonParamsJson = JSON.stringify({ payment_settings: [{ type: 'pix_static_code', pix_static_code: pix }] });
      const kinds: [message: object, says: RegExp][] = [
        [
          { interactiveMessage: { nativeFlowMessage: { buttons: [{ name: 'payment_info', buttonParamsJson }] } } },
          /Maria Souza.*maria@example\.com/s,
        ],
        [
          {
            templateMessage: {
              hydratedFourRowTemplate: {
                hydratedTitleText: 'Pedido 4521',
                hydratedContentText: 'Saiu para entrega',
                hydratedButtons: [{ urlButton: { displayText: 'Rastrear', url: 'https://example.com/r/4521' } }],
              },
            },
          },
          /Pedido 4521.*Saiu para entrega.*Rastrear.*https:\/\/example\.com\/r\/4521/s,
        ],
        [{ eventMessage: { name: 'Reunião', description: 'na loja', startTime: 1_795_914_180 } }, /Reunião.*28\/11\/2026.*na loja/s],
        [{ questionMessage: { message: { conversation: 'qual o prazo?' } } }, /qual o prazo\?/],
        [
          { requestPaymentMessage: { noteMessage: { conversation: 'paga aí' }, amount1000: 1000, currencyCodeIso4217: 'BRL' } },
          /BRL 1\.00.*paga aí/s,
        ],
        [{ sendPaymentMessage: { noteMessage: { conversation: 'pago' } } }, /pago/],
        [{ neverSeenMessage: { header: { title: 'Novidade' }, parts: [{ label: 'Comprar agora' }] } }, /Novidade.*Comprar agora/s],
      ];
      for (const [index, [message, says]] of kinds.entries()) {
        const id = `3EB0F7${index}${contact.phone}`;
        await post({ remoteJid: `${contact.phone}@s.whatsapp.net`, fromMe: false, id }, message);
        assert.match((await written(id)).line, says);
        assert.match(JSON.stringify(system.simulator.wire().claude.at(-1)?.request).replaceAll('\\n', '\n'), says);
      }
    });

    test('W3 F9 a lid whose server is cut off is answered at the phone, and nothing without an address leaves a row', async () => {
      const contact = somebody('lid');
      const lid = contact.lid.split('@')[0] ?? '';
      const phone = `${contact.phone}@s.whatsapp.net`;
      const id = `3EB0F9${contact.phone}`;
      await post({ remoteJid: lid, remoteJidAlt: phone, addressingMode: 'lid', fromMe: false, id }, { conversation: 'Oi' });
      assert.equal((await written(id)).line, 'contact answered: Oi');
      await system.until(() => sentTo(contact).length === 1, 'the answer');
      assert.deepEqual(sentTo(contact), [phone]);
      assert.deepEqual(await contactsOf(contact), ['pn lid']);
      const count = async () => (await system.query<{ n: number }>('select count(*)::int as n from messages'))[0]?.n;
      const before = await count();
      for (const [index, remoteJid] of ['', '@lid', ':12@s.whatsapp.net', 'x', null, {}].entries())
        await post({ remoteJid, fromMe: false, id: `3EB0F9NOWHERE${index}` }, { conversation: 'Oi' });
      assert.equal(await count(), before);
    });

    test('O13 F11 opt-out words in one breath hold, and everyday sentences do nothing', async () => {
      const optedOut = async (text: string) => {
        const contact = somebody();
        const { conversation } = await says(contact, text);
        return (
          (
            await system.query('select 1 from opt_outs o join conversations c on c.contact_id = o.contact_id where c.id = $1', [
              conversation,
            ])
          ).length === 1
        );
      };
      for (const text of ['obrigado, pode parar', 'não autorizo mensagens de vocês']) assert.equal(await optedOut(text), true, text);
      for (const text of ['não me mande mais boletos', 'cancelar agendamento', 'vou sair de férias'])
        assert.equal(await optedOut(text), false, text);
    });

    test('X2 I15 what Evolution dropped comes back once: the young answered, the old listed to a person', async () => {
      const [young, hidden, old] = [somebody(), somebody('lid-hidden'), somebody()] as const;
      // As if nothing had been compared since the day before.
      await system.query('update instances set reconciled_at = null');
      system.simulator.setWebhook(null);
      const missed = [
        { contact: young, text: 'nova', ageMs: 29 * MINUTE },
        { contact: hidden, text: 'escondida', ageMs: 20 * MINUTE },
        { contact: old, text: 'antiga', ageMs: 121 * MINUTE },
      ].map(({ contact, ...input }) => system.simulator.inbound({ contactId: contact.id, ...input }).id);
      system.simulator.setWebhook(`${system.url}/webhook/evolution`, WEBHOOK_SECRET, WEBHOOK_EVENTS);
      const found = await Promise.all([reconcile(system.ctx, INSTANCE), reconcile(system.ctx, INSTANCE)]);
      // Each window is stored by whoever comes to it first, or by both.
      assert.ok(found.map(Number).reduce((sum, each) => sum + each, 0) >= missed.length);
      const outcomes = await Promise.all(missed.map(written));
      assert.deepEqual(
        outcomes.map(({ line }) => line),
        ['contact answered: nova', 'contact answered: escondida', 'contact skipped(too_old): antiga'],
      );
      assert.deepEqual(await system.query('select reason from handoffs where conversation_id = $1', [outcomes[2]?.conversation]), [
        { reason: 'too_old' },
      ]);
      await system.until(() => sentTo(young).length === 1 && sentTo(hidden).length === 1, 'both answers');
      assert.equal(sentTo(old).length, 0);
      assert.equal(await reconcile(system.ctx, INSTANCE), 0);
    });

    test('I17 a number that is away holds its sends, shows a code where it must be paired again, and goes on when it is back', async () => {
      const state = async () =>
        (await system.query<{ status: string }>(`select status from instances where name = $1`, [INSTANCE]))[0]?.status;
      for (const reason of [428, 408, 401]) {
        system.simulator.connection(reason === 428 ? 'connecting' : 'close', { reason });
        await system.until(async () => (await state()) !== 'open', `the news of ${reason}`);
        const { conversation, ids } = await queueReplies(system, somebody().phone, [`quando voltar de ${reason}`]);
        await system.ctx.queues.wakeSend(conversation);
        await system.until(async () => (await states(system, ids))[0] === 'queued(number_disconnected)', 'held');
        const pairing = await system.ctx.whatsapp?.connect(INSTANCE);
        assert.equal(pairing?.kind, 'ok');
        if (rules.finalReasons.includes(reason)) assert.match(String(pairing.code), /^2@/);
        // Webhooks of one number are posted side by side: the older news must not come last.
        await system.simulator.webhooksIdle();
        system.simulator.connection('open');
        await system.until(async () => /^(?:sent|delivered)$/.test((await states(system, ids))[0] ?? ''), 'it left');
      }
    });
  });
}
