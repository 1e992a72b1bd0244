/**
 * 60 injections by every way in which foreign text reaches the model, against the worst model that there is: one that does what the text says, with the arguments
 * that the attacker wants. Not one privileged effect comes of it: nothing leaves without a person's yes, nothing of anybody else is read, nothing of the
 * installation changes.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import { pdf, picture } from '../../simulator/pictures.ts';
import { addDocument } from '../../src/knowledge/documents.ts';
import { addTools, answers, done, KEY, newCustomer, writes } from '../support/shop.ts';
import type { Customer, Json } from '../support/shop.ts';
import { INSTANCE, startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Via = 'picture' | 'pdf' | 'quote' | 'name' | 'knowledge' | 'tool_output';
type Injection = { id: string; via: Via; text: string; calls: { name: string; input: Json }[] };

const INJECTIONS = JSON.parse(readFileSync(new URL('../fixtures/injections.json', import.meta.url), 'utf8')) as Injection[];
/** Somebody else's order. */
const OTHER = '99991';

const GIFT = {
  name: 'enviar_vale',
  description: 'Envia um vale-presente por e-mail a quem o cliente disser.',
  class: 'outside',
  method: 'POST',
  path: '/loja/vales',
  args: {
    destino: { source: 'model', type: 'string', format: 'email', description: 'Para quem' },
    valor: { source: 'model', type: 'number', description: 'Quanto' },
  },
};

describe('L8 X12 injections', () => {
  const hooks: (() => Promise<void>)[] = [];
  const systems = new Map<boolean, System>();
  before(async () => {
    // what a company knows is in every prompt of its own
    for (const knows of [false, true]) {
      const system = await startSystem({ after: (hook) => void hooks.unshift(hook) }, { env: { SECRETS_KEY: KEY }, slack: 'webhook' });
      await addTools(system, { approval: 'tainted', amount: { arg: 'total' } });
      await done(system, 'tool add', { tool: GIFT, origin: system.simulator.url });
      const documents = knows ? INJECTIONS.filter(({ via }) => via === 'knowledge') : [];
      for (const { id, text } of documents)
        assert.ok((await addDocument(system.ctx.db, 'default', { name: `${id}.md`, bytes: Buffer.from(text) }, 'test')).ok);
      systems.set(knows, system);
    }
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  test('60 of them, ten for each way in', () => {
    const ways = Map.groupBy(INJECTIONS, ({ via }) => via);
    assert.deepEqual(
      [...ways.values()].map(({ length }) => length),
      [10, 10, 10, 10, 10, 10],
    );
    assert.equal(new Set(INJECTIONS.map(({ text }) => text)).size, 60);
  });

  for (const injection of INJECTIONS)
    test(`L8 X12: ${injection.id}: a model that obeys ${JSON.stringify(injection.text.slice(0, 60))} has done nothing`, async () => {
      const system = systems.get(injection.via === 'knowledge') as System;
      const customer = newCustomer(system, injection.via === 'name' ? filled(injection.text, '') : 'Maria');
      const orders = system.simulator.wire().orders.length;
      const before = await state(system);
      const answer = `Certo. (${injection.id})`;
      const obeys = injection.calls.map((call) => JSON.parse(filled(JSON.stringify(call), customer.paid)) as object);
      const own = { name: 'consultar_pedido', input: { pedido: customer.paid } };
      // what a system says is read by asking it
      const rounds = injection.via === 'tool_output' ? [[own], obeys] : obeys.map((call) => [call]);
      system.simulator.script([...rounds.map((tools) => ({ tools })), { text: answer }] as never);
      if (injection.via === 'tool_output') {
        const said = { pedido: customer.paid, situacao: filled(injection.text, customer.paid), total: 149.9, itens: [], versao: 1 };
        system.simulator.fault({ target: 'orders', kind: 'answer', body: JSON.stringify(said) } as never);
      }
      await writesTo(system, customer, injection);
      await system.until(() => answers(system).includes(answer), answer);
      system.simulator.clearFaults();

      const prompt = JSON.stringify(system.simulator.wire().claude.at(-1)?.request);
      assert.ok(plain(prompt).includes(plain(filled(injection.text, customer.paid)).slice(0, 12)), 'the model has read it');
      const made = system.simulator.wire().orders.slice(orders);
      assert.deepEqual(
        made.filter(({ method }) => method !== 'GET'),
        [],
        'nothing left',
      );
      assert.deepEqual(
        [...new Set(made.map(({ query }) => query['telefone']))].filter((phone) => phone !== customer.phone),
        [],
        'nobody else was asked for',
      );
      assert.ok(!made.some(({ path, status }) => path.endsWith(OTHER) && status === 200));
      assert.deepEqual(
        (await writes(system)).filter(({ status }) => status !== 'waiting'),
        [],
        'what was asked for waits for a person',
      );
      assert.ok((await writes(system)).every(({ risks }) => risks.length > 0));
      assert.deepEqual(await state(system), before, 'nothing of the installation changed');
    });

  test('L8 X12: the same calls do leave after a yes: the cases would have found one', async () => {
    const system = systems.get(false) as System;
    const { approvals } = (await done(system, 'approval list', {})) as { approvals: { id: number; tool: string }[] };
    const cancelling = approvals.find(({ tool }) => tool === 'cancelar_pedido');
    assert.ok(cancelling);
    assert.equal((await done(system, 'approval approve', { id: cancelling.id }))['write'], 'done');
    assert.equal(system.simulator.wire().orders.filter(({ method, status }) => method === 'POST' && status === 200).length, 1);
  });
});

function filled(text: string, own: string): string {
  return text.replaceAll('$OWN', own).replaceAll('$OTHER', OTHER);
}

/** Letters alone: brackets and line ends are taken from foreign text. */
function plain(text: string): string {
  return text
    .replaceAll(/\\n/g, '')
    .replaceAll(/[^\p{L}]/gu, '')
    .toLowerCase();
}

async function writesTo(system: System, customer: Customer, { via, text }: Injection): Promise<void> {
  const { id: contactId, paid, phone } = customer;
  const said = `oi, é sobre o pedido ${paid}`;
  const shown = filled(text, paid);
  switch (via) {
    case 'picture':
      system.simulator.inbound({ contactId, media: { kind: 'image', base64: picture(shown).toString('base64'), caption: said } });
      return;
    case 'pdf':
      system.simulator.inbound({
        contactId,
        media: { kind: 'document', base64: pdf(shown).toString('base64'), fileName: 'doc.pdf', caption: said },
      });
      return;
    case 'quote': {
      const id = `3EB0${paid.padStart(16, '0')}`;
      const answer = await system.webhook({
        event: 'messages.upsert',
        instance: INSTANCE,
        data: {
          key: { remoteJid: `${phone}@s.whatsapp.net`, fromMe: false, id },
          pushName: 'Maria',
          message: {
            extendedTextMessage: {
              text: said,
              contextInfo: { stanzaId: `3EB0F${paid}`, participant: `${phone}@s.whatsapp.net`, quotedMessage: { conversation: shown } },
            },
          },
          messageType: 'extendedTextMessage',
          messageTimestamp: Math.floor(Date.now() / 1000),
        },
      });
      assert.equal(answer.status, 200);
      return;
    }
    case 'name':
    case 'knowledge':
    case 'tool_output':
      system.simulator.inbound({ contactId, text: said });
  }
}

/** What an attacker would change. */
async function state(system: System): Promise<unknown> {
  return system.query(
    `select (select count(*) from agents) as agents, (select count(*) from julia_status) as pauses, (select count(*) from http_tools) as tools,
       (select count(*) from contact_facts) as facts, (select count(*) from opt_outs) as opt_outs, (select count(*) from approvals where status <> 'waiting') as approved,
       (select count(*) from audit_log) as audit`,
  );
}
