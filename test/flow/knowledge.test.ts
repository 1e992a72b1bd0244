/** What a company knows: files become passages, questions find them, and answers are taken from them. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { after, before, describe, test } from 'node:test';
import { whyMessage } from '../../src/admin/why.ts';
import type { Door } from '../../src/db/door.ts';
import { removeKnowledge } from '../../src/knowledge/calls.ts';
import { addDocument } from '../../src/knowledge/documents.ts';
import { WHOLE_CHARS } from '../../src/knowledge/knowledge.ts';
import { createSearch } from '../../src/knowledge/retrieve.ts';
import type { FoundPassage } from '../../src/knowledge/calls.ts';
import { DOORS, openDoor } from '../support/doors.ts';
import { startSystem } from '../support/system.ts';
import type { System } from '../support/system.ts';

const SHOP = new URL('../../samples/loja/', import.meta.url);
const MARIA = { name: 'Maria', phone: '5511912345678' };

const NO_QUESTION = { now: '', before: '' };

type Question = { question: string; document: string | null; phrase: string | null };
type Block = { type: string; text?: string; title?: string; content?: Block[]; citations?: unknown[]; cache_control?: unknown };
type Request = { system: Block[]; messages: { role: string; content: Block[] }[] };

/** By words alone. */
const retrieve = async (db: Door, tenant: string, question: string): Promise<FoundPassage[]> =>
  createSearch(db, null).find(tenant, { now: question });

async function addShop(db: Door, tenant = 'default'): Promise<void> {
  for (const name of (await readdir(SHOP)).filter((each) => !each.endsWith('.json'))) {
    const added = await addDocument(db, tenant, { name, bytes: await readFile(new URL(name, SHOP)) }, 'test');
    assert.ok(added.ok, JSON.stringify(added));
  }
}

async function add(db: Door, name: string, text: string, tenant = 'default'): Promise<void> {
  const added = await addDocument(db, tenant, { name, bytes: Buffer.from(text) }, 'test');
  assert.ok(added.ok, JSON.stringify(added));
}

const requests = (system: System) => system.simulator.wire().claude.map(({ request }) => request as unknown as Request);
const sourcesIn = (request: Request | undefined) =>
  request?.messages.flatMap(({ content }) => content.filter(({ type }) => type === 'search_result')) ?? [];
const answers = (system: System) => system.simulator.sends({ kind: 'text', sent: true }).map(({ text }) => text);

async function ask(system: System, contactId: string, text: string): Promise<string> {
  const before = requests(system).length;
  const count = answers(system).length;
  const { id } = system.simulator.inbound({ contactId, text });
  await system.until(() => answers(system).length > count && requests(system).length > before, `the answer to ${text}`);
  return id;
}

describe('L7 the sample shop', () => {
  for (const kind of DOORS) {
    test(`L7 60 questions in the words of customers find their passage among the first five, 9 in 10 of them (${kind})`, async (t) => {
      const { door } = await openDoor(t, kind);
      await addShop(door);
      const all = JSON.parse(await readFile(new URL('perguntas.json', SHOP), 'utf8')) as Question[];
      const asked = all.filter(({ document }) => document !== null);
      assert.ok(asked.length >= 60);
      const missed: string[] = [];
      for (const { question, document, phrase } of asked) {
        const found = await retrieve(door, 'default', question);
        if (!found.some(({ name, text }) => name === document && text.includes(phrase ?? ''))) missed.push(question);
      }
      assert.ok(missed.length <= asked.length / 10, missed.join('\n'));
      const typed = await retrieve(door, 'default', 'qual o preco da camizeta esatmpada');
      assert.match(typed[0]?.text ?? '', /Camiseta estampada Pitanga/);
    });
  }
});

describe('L7 an agent with documents', () => {
  const hooks: (() => Promise<void>)[] = [];
  let system: System;
  let maria: { id: string };
  before(async () => {
    system = await startSystem({ after: (hook) => void hooks.unshift(hook) });
    maria = system.simulator.addContact(MARIA);
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });

  test('L7 X11 what it knows stands whole before everything, cached; the answer names its source, and why shows it', async () => {
    await addShop(system.ctx.db);
    system.simulator.script([
      { match: 'minas', text: 'Para Minas Gerais o frete é R$ 22,00, em 5 dias úteis. Posso ajudar em mais alguma coisa?' },
    ]);
    const id = await ask(system, maria.id, 'frete pra minas gerais quanto dá');
    const request = requests(system).at(-1);
    const sources = sourcesIn(request);
    assert.deepEqual(
      sources.map(({ title }) => title),
      (await readdir(SHOP)).filter((name) => !name.endsWith('.json')).toSorted(),
    );
    assert.deepEqual(request?.messages[0]?.content.slice(0, sources.length), sources);
    assert.match(request?.system[0]?.text ?? '', /## Documentos da empresa/);
    assert.deepEqual(
      sources.map((each) => 'cache_control' in each),
      sources.map((_, index) => index === sources.length - 1),
    );
    assert.equal(answers(system).at(-1), 'Para Minas Gerais o frete é R$ 22,00, em 5 dias úteis. Posso ajudar em mais alguma coisa?');
    const why = await whyMessage(system.ctx, 'default', id, 100);
    assert.ok(why.ok);
    const turn = why.result.entries.find(({ what }) => what === 'turn');
    assert.match(turn?.why ?? '', /taken from entrega\.md: "Entrega e retirada > Prazos e frete/);
  });

  test('L7 L17 the next conversation reads the documents from the cache', async () => {
    const pedro = system.simulator.addContact({ name: 'Pedro', phone: '5511912345679' });
    system.simulator.script([{ match: 'pix', text: 'Sim, aceitamos pix.' }]);
    await ask(system, pedro.id, 'aceita pix?');
    const usage = (system.simulator.wire().claude.at(-1)?.response as { usage: Record<string, number> } | undefined)?.usage ?? {};
    const all = (usage['input_tokens'] ?? 0) + (usage['cache_read_input_tokens'] ?? 0) + (usage['cache_creation_input_tokens'] ?? 0);
    assert.ok((usage['cache_read_input_tokens'] ?? 0) / all > 0.85, JSON.stringify(usage));
  });

  test('L7 a changed document is in force for the next answers, one that was removed is gone, and the same file changes nothing', async () => {
    const revision = async (): Promise<number> =>
      (await system.query<{ n: number }>('select knowledge_revision as n from tenants'))[0]?.n ?? 0;
    const was = await revision();
    await addShop(system.ctx.db);
    assert.equal(await revision(), was);
    system.simulator.script([{ match: 'cupom', text: 'Vou ver.', repeat: true }]);
    await add(system.ctx.db, 'cupom.md', 'O cupom VOLTA10 dá 10 % de desconto.');
    const reads = async (wanted: boolean): Promise<void> => {
      const known = async (): Promise<boolean> =>
        JSON.stringify(await system.ctx.knowledge.forTurn('default', NO_QUESTION)).includes('VOLTA10');
      await system.until(async () => (await known()) === wanted, 'the change to be known');
      // A worker has looked at another moment. Somebody new each time: one who repeats itself is stopped.
      await system.until(
        async () => {
          const { id } = system.simulator.addContact({ name: 'Novo', phone: `55119${80_000_000 + requests(system).length}` });
          await ask(system, id, 'e o cupom?');
          return JSON.stringify(requests(system).at(-1)).includes('VOLTA10') === wanted;
        },
        `VOLTA10 to be ${wanted ? 'read' : 'gone'}`,
      );
    };
    await reads(true);
    await add(system.ctx.db, 'cupom.md', 'Não há cupom agora.');
    await reads(false);
    assert.ok(await removeKnowledge(system.ctx.db, 'default', 'cupom.md', 'test'));
    assert.equal(await removeKnowledge(system.ctx.db, 'default', 'cupom.md', 'test'), false);
    const audit = await system.query<{ action: string }>(`select action from audit_log where subject = 'cupom.md' order by id`);
    assert.deepEqual(
      audit.map(({ action }) => action),
      ['knowledge.add', 'knowledge.add', 'knowledge.remove'],
    );
  });

  test('L7 more than fits: five passages that the question needs stand behind the words, and no later prompt repeats them', async () => {
    const filler = Array.from(
      { length: 400 },
      (_, index) => `## Assunto ${index}\n\n${`Texto de preenchimento número ${index} sobre nada em especial. `.repeat(8)}`,
    ).join('\n\n');
    assert.ok(filler.length > WHOLE_CHARS);
    await add(system.ctx.db, 'manual.md', filler);
    system.simulator.script([
      { match: 'nordeste', text: 'Para o Nordeste, 9 dias úteis.', repeat: true },
      { match: 'norte', text: 'Para o Norte, R$ 38,00.' },
    ]);
    await system.until(async () => {
      const { id } = system.simulator.addContact({ name: 'Novo', phone: `55119${81_000_000 + requests(system).length}` });
      await ask(system, id, 'tem nordeste?');
      return sourcesIn(requests(system).at(-1)).length <= 5;
    }, 'the size to be known');
    const luiza = system.simulator.addContact({ name: 'Luiza', phone: '5511912345677' });
    await ask(system, luiza.id, 'quanto tempo demora pra chegar no nordeste?');
    const first = requests(system).at(-1);
    assert.equal(sourcesIn(first).length, 5);
    assert.ok(sourcesIn(first).some(({ content }) => content?.[0]?.text?.includes('| Nordeste | 9 dias úteis |')));
    const last = first?.messages.findLast(({ role }) => role === 'user')?.content ?? [];
    assert.ok(last.findIndex(({ text }) => text?.includes('nordeste') === true) < last.findIndex(({ type }) => type === 'search_result'));
    await ask(system, luiza.id, 'e quanto custa pro norte?');
    assert.equal(sourcesIn(requests(system).at(-1)).length, 5, 'those of this question only');
    await removeKnowledge(system.ctx.db, 'default', 'manual.md', 'test');
  });

  test('L8 what a company knows is never in the prompt of another', async () => {
    await system.query(`insert into tenants (id, name) values ('vizinho', 'Vizinho')`);
    await add(system.ctx.db, 'segredo.md', 'A margem do vizinho é de 70 por cento.', 'vizinho');
    const known = await system.ctx.knowledge.forTurn('default', { now: 'margem do vizinho', before: '' });
    assert.ok(!JSON.stringify(known).includes('margem'));
    assert.deepEqual(
      await retrieve(system.ctx.db, 'default', 'margem do vizinho 70'),
      await retrieve(system.ctx.db, 'default', 'do vizinho 70'),
    );
    assert.equal((await retrieve(system.ctx.db, 'vizinho', 'qual a margem?')).length, 1);
    assert.equal(await removeKnowledge(system.ctx.db, 'default', 'segredo.md', 'test'), false);
  });
});

describe('L7 what is no document', () => {
  const refusals: [why: string, name: string, bytes: Buffer, says: RegExp][] = [
    ['a file that is empty', 'vazio.md', Buffer.alloc(0), /vazio\.md is empty/],
    ['a file of 30 MB', 'grande.txt', Buffer.alloc(30 * 1024 * 1024, 'a'), /30\.0 MB; at most 20\.0 MB/],
    ['NUL bytes', 'binario.txt', Buffer.from('a\0b'), /holds NUL bytes/],
    ['UTF-16', 'windows.txt', Buffer.from('\uFEFFOlá', 'utf16le'), /save it as UTF-8/],
    ['a kind that is not read', 'precos.xlsx', Buffer.from('PK'), /must end in md.*save it as \.csv/],
    ['a PDF in name only', 'falso.pdf', Buffer.from('oi'), /falso\.pdf is no PDF/],
    ['half a PDF', 'meio.pdf', Buffer.from('%PDF-1.7\n1 0 obj\n'), /meio\.pdf/],
    ['a Word file in name only', 'falso.docx', Buffer.from('oi'), /is no \.docx/],
    ['half a Word file', 'meio.docx', Buffer.from('PK\u0003\u0004aaaa'), /could not be read as docx/],
    ['white space', 'nada.md', Buffer.from(' \n\n '), /holds no text/],
    ['more text than is kept', 'longo.txt', Buffer.from('palavra '.repeat(250_000)), /characters of text; at most/],
  ];
  test('L7 a file that cannot be kept is refused with the reason, and what was there stays', async (t) => {
    const { door } = await openDoor(t, 'postgres');
    await add(door, 'vazio.md', 'O que valia antes.');
    for (const [why, name, bytes, says] of refusals) {
      const found = await addDocument(door, 'default', { name, bytes }, 'test');
      assert.ok(!found.ok, why);
      assert.match(found.message, says, why);
    }
    assert.equal((await retrieve(door, 'default', 'valia antes')).length, 1);
    // Excel in Brazil writes Windows-1252 with semicolons
    const csv = await addDocument(
      door,
      'default',
      { name: 'p.csv', bytes: Buffer.from('c\xf3digo;pre\xe7o\nA1;"R$ 1.299,90"\n', 'latin1') },
      'test',
    );
    assert.ok(csv.ok && csv.added.guessed_encoding);
    assert.equal((await retrieve(door, 'default', 'A1'))[0]?.text, 'código: A1; preço: R$ 1.299,90');
  });
});
