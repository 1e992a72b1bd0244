/** Who wrote what our number sent: a person, the phone by itself, a list, another program; and what a mistake about it leaves behind. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import type { ChatAddress, InboundEvent } from '../../src/whatsapp/inbound-event.ts';
import { minutesAfter, NOON, openSql, recordSend, said, sending, TAKEOVER, waitsForLock } from '../support/inbound.ts';
import type { Said, Sql } from '../support/inbound.ts';

type Facts = {
  words: boolean;
  program: boolean;
  chars: number;
  attended: boolean;
  waited: number | null;
  since: number | null;
  mid: boolean;
  after_send: number | null;
  known: boolean;
  prompt: number;
  sent_prompt: number;
  steady: number;
  near: number;
  chats: number;
  unasked: number;
};

/** A person's words of ordinary length, of which nobody has seen a copy. */
const FACTS: Facts = {
  words: true,
  program: false,
  chars: 50,
  attended: false,
  waited: 20,
  since: 20,
  mid: false,
  after_send: null,
  known: false,
  prompt: 0,
  sent_prompt: 0,
  steady: 0,
  near: 0,
  chats: 0,
  unasked: 0,
};

const CASES: [expected: string, why: string, facts: Partial<Facts>][] = [
  ['person', 'an answer after twenty seconds', {}],
  ['person', 'words that nobody asked for', { waited: null }],
  ['person', 'in the middle of a talk', { mid: true }],
  ['person', 'really typed within three seconds', { waited: 3, chars: 32 }],
  ['person', 'really typed within two seconds', { waited: 2, chars: 14 }],
  ['person', 'a thumb up in the same second', { waited: 0, chars: 2 }],
  ['person', 'long words in the middle of a talk: they were begun before', { waited: 0, mid: true, chars: 90 }],
  ['person', 'short words that were begun before', { waited: 0, chars: 36 }],
  ['person', 'who is here already may have typed while the contact wrote', { waited: 0, attended: true, chars: 120 }],
  ['person', 'words behind an answer of the agent', { waited: null, after_send: 1 }],
  ['person', 'the same real answer to two customers', { waited: 25, chats: 1 }],
  ['person', 'the same real answer to two customers, in one second', { waited: 25, chats: 1, near: 1 }],
  ['person', 'a quick reply to five customers who asked', { waited: 30, chats: 4, unasked: 0 }],
  ['person', 'a quick reply to four who asked and one who did not', { waited: 30, chats: 4, unasked: 1 }],
  ['person', 'a quick reply that came at once before, and now late', { waited: 40, prompt: 1 }],
  ['person', 'a photo without words after a while', { chars: 0 }],
  ['person', 'the first two of a list', { waited: null, chats: 1, unasked: 2, near: 1 }],
  ['greeting', 'fifty characters in the second of the first words', { waited: 0 }],
  ['greeting', 'fifty characters one second later', { waited: 1 }],
  ['greeting', 'eighty characters three seconds later', { waited: 3, chars: 80 }],
  ['greeting', 'a long absence note after eight seconds', { waited: 8, chars: 140 }],
  ['greeting', 'slow enough to be typed, but for the second time', { waited: 5, since: 5, chars: 20, prompt: 1 }],
  ['greeting', 'at once behind each message of a long burst', { waited: 300, since: 0, prompt: 1 }],
  ['greeting', 'always after ten seconds', { waited: 10, chars: 20, steady: 2 }],
  ['greeting', 'known, however late', { waited: 90, known: true }],
  ['greeting', 'known, in an attended conversation', { attended: true, known: true }],
  ['greeting', 'behind our first message to a third person', { waited: null, after_send: 2, sent_prompt: 2 }],
  ['person', 'always after ten seconds, for the second time only', { waited: 10, chars: 20, steady: 1 }],
  ['person', 'behind our first message to a second person', { waited: null, after_send: 2, sent_prompt: 1 }],
  ['broadcast', 'three people within three seconds', { waited: 25, near: 2, chats: 2 }],
  ['broadcast', 'three people who asked nothing', { waited: null, chats: 2, unasked: 3 }],
  ['broadcast', 'to whoever, among them one who asked', { waited: 25, chats: 4, unasked: 4 }],
  ['no_words', 'nothing to read', { words: false }],
  ['no_words', 'nothing to read, in an attended conversation', { words: false, attended: true }],
  ['program', 'through the API', { program: true }],
  ['program', 'through the API, in an attended conversation', { program: true, attended: true }],
];

test('W6 who is a person: each combination of what is known', async (t) => {
  const sql = await openSql(t);
  for (const [expected, why, facts] of CASES) {
    const [row] = await sql.rows('select judge_own($1) as verdict', [JSON.stringify({ ...FACTS, ...facts })]);
    assert.equal(row?.['verdict'], expected, why);
  }
});

test("W6 who is a person: words of any length are stored as a person's", async (t) => {
  const sql = await openSql(t);
  const word = (index: number): string => createHash('sha256').update(String(index)).digest('hex').replaceAll(/[0-9]/g, 'q');
  for (const [index, words] of [10, 100, 1_000].entries()) {
    const text = Array.from({ length: words }, (_, position) => word(index * 10_000 + position)).join(' ');
    await sql.record([said({ id: `LONG${index}`, text, fromMe: true, pn: `551191697000${index}` })]);
    assert.deepEqual(await sql.rows(`select author, status from messages where provider_id = $1`, [`LONG${index}`]), [
      { author: 'human', status: 'sent' },
    ]);
  }
});

test('W6 who is a person: which texts are one', async (t) => {
  const sql = await openSql(t);
  const key = async (text: string, name: string | null) => (await sql.rows('select own_words($1, $2) as key', [text, name]))[0]?.['key'];
  const plain = await key('Olá! Agradecemos seu contato. Como podemos ajudar?', null);
  const same: [string, string | null][] = [
    ['Olá, Maria! Agradecemos seu contato. Como podemos ajudar?', 'Maria Souza'],
    ['OLÁ MARIA SOUZA, AGRADECEMOS SEU CONTATO! COMO PODEMOS AJUDAR', 'maria souza 🌸'],
    ['Olá José 😊 agradecemos seu contato. Como podemos ajudar?', 'JOSÉ'],
    ['Ola\u0301! Agradecemos seu contato. Como podemos ajudar? (protocolo 123456)', null],
  ];
  for (const [text, name] of same.slice(0, 3)) assert.equal(await key(text, name), plain, text);
  assert.notEqual(await key(same[3]![0], null), plain, 'another word'); // the list above has four
  assert.equal(
    await key('Bom dia! Estamos fechados, voltamos às 9h', null),
    await key('Boa noite, estamos fechados. Voltamos às 10h!', null),
  );
  assert.equal(await key('oi', null), null, 'too little to compare');
  assert.equal(await key('👍👍👍', null), null);
  assert.equal(await key('Olá Maria', 'Maria'), null);
  assert.notEqual(await key('Приветствуем вас в магазине', null), await key('Мы сегодня закрыты до утра', null));
});

const GREETING = 'Olá! Agradecemos seu contato. Como podemos ajudar?';

/** The n-th customer's number. */
const phone = (n: number) => `55119${String(91000000 + n)}`;

/** Seconds after noon. */
const at = (seconds: number) => minutesAfter(seconds / 60);

function own(input: Said & { seconds: number }, more: object = {}): InboundEvent {
  return { ...said({ ...input, fromMe: true, at: at(input.seconds) }), ...more };
}

async function hear(sql: Sql, n: number, seconds: number, name = `Cliente ${n}`): Promise<void> {
  await sql.record([said({ id: `IN-${n}-${seconds}`, pn: phone(n), text: 'oi, quanto custa?', at: at(seconds), name })], at(seconds));
}

/** Our number says something to the n-th customer; resolves with what it was taken for. */
async function say(sql: Sql, n: number, seconds: number, text: string, more: object = {}, options = TAKEOVER): Promise<string> {
  const id = `OWN-${n}-${seconds}-${text.length}`;
  const [result] = await sql.record([own({ id, pn: phone(n), text, seconds }, more)], at(seconds), options);
  return `${result?.outcome}${result?.reason == null ? '' : ` (${result.reason})`}`;
}

async function muted(sql: Sql): Promise<number> {
  const [row] = await sql.rows('select count(*)::int as n from conversations where takeover_until is not null');
  return row?.['n'] as number;
}

const AUTOMATIC: [name: string, run: (sql: Sql) => Promise<void>][] = [
  [
    'F4: one greeting for four new customers',
    async (sql) => {
      for (let n = 0; n < 4; n++) {
        await hear(sql, n, 60 * n);
        assert.equal(await say(sql, n, 60 * n, GREETING), 'automatic (greeting)');
      }
    },
  ],
  [
    'a greeting of a slow phone: the second one shows the first',
    async (sql) => {
      await hear(sql, 1, 0);
      assert.equal(await say(sql, 1, 5, GREETING), 'takeover');
      await hear(sql, 2, 100);
      assert.equal(await say(sql, 2, 104, GREETING), 'automatic (greeting)');
    },
  ],
  [
    'an absence note with the name of the customer',
    async (sql) => {
      for (const [n, name] of ['Maria Souza', 'João', 'Ana Lima'].entries()) {
        await hear(sql, n, 60 * n, name);
        const first = name.split(' ')[0] ?? '';
        await say(sql, n, 60 * n + 5, `Oi ${first}, estamos fora. Volto logo.`);
      }
    },
  ],
  [
    'an absence note to one customer, each day',
    async (sql) => {
      for (let day = 0; day < 3; day++) {
        await hear(sql, 1, 86_400 * day);
        await say(sql, 1, 86_400 * day + 4, 'Estamos fechados, voltamos amanhã às 9h');
      }
    },
  ],
  [
    'a responder that waits for ten seconds',
    async (sql) => {
      for (let n = 0; n < 4; n++) {
        await hear(sql, n, 60 * n);
        await say(sql, n, 60 * n + 10 + (n % 2), 'Recebi sua mensagem, já respondo');
      }
    },
  ],
  [
    'a greeting behind a burst of three messages',
    async (sql) => {
      for (const [n, taken] of ['takeover', 'automatic (greeting)'].entries()) {
        for (const second of [0, 2, 3]) await hear(sql, n, 100 * n + second);
        assert.equal(await say(sql, n, 100 * n + 3, GREETING), taken);
      }
    },
  ],
  [
    'a greeting and an absence note for one message',
    async (sql) => {
      await hear(sql, 1, 0);
      assert.equal(await say(sql, 1, 1, GREETING), 'automatic (greeting)');
      assert.equal(await say(sql, 1, 1, 'No momento estamos fechados. Atendemos de 9h às 18h.'), 'automatic (greeting)');
    },
  ],
  [
    'a greeting whose webhook overtakes the one of the customer',
    async (sql) => {
      assert.equal(await say(sql, 1, 1, GREETING), 'takeover');
      await hear(sql, 1, 0);
    },
  ],
  [
    'a known greeting that comes after two minutes',
    async (sql) => {
      for (let n = 0; n < 3; n++) {
        await hear(sql, n, 60 * n);
        assert.equal(await say(sql, n, 60 * n, GREETING), 'automatic (greeting)');
      }
      await hear(sql, 7, 600);
      assert.equal(await say(sql, 7, 720, GREETING), 'automatic (greeting)');
    },
  ],
  [
    'a list to ten people who asked nothing',
    async (sql) => {
      for (let n = 0; n < 10; n++) await say(sql, n, n, 'Promoção de hoje: bolo de cenoura por R$ 30');
    },
  ],
  [
    'a list that takes its time, to people of whom some wrote today',
    async (sql) => {
      for (let n = 0; n < 8; n += 3) await hear(sql, n, 0);
      for (let n = 0; n < 8; n++) await say(sql, n, 600 + n * 40, 'Nova coleção na loja, venha ver amanhã!');
    },
  ],
  [
    'one text forwarded to five chats at once',
    async (sql) => {
      for (let n = 0; n < 5; n++) await hear(sql, n, 0);
      for (let n = 0; n < 5; n++) await say(sql, n, 60, 'Segue o cardápio desta semana, bom apetite');
    },
  ],
  ['an empty message', async (sql) => void (await say(sql, 1, 30, '', nothing('mensagem vazia')))],
  ['one that opens on the phone only', async (sql) => void (await say(sql, 1, 30, '', nothing('mensagem de tipo não suportado')))],
  ['another program, through the API', async (sql) => void (await say(sql, 1, 30, 'Pedido 12 saiu para entrega', { viaApi: true }))],
  [
    'another program, in an answer',
    async (sql) => {
      await hear(sql, 1, 0);
      assert.equal(await say(sql, 1, 40, 'Seu boleto vence hoje', { viaApi: true }), 'automatic (program)');
    },
  ],
  ['an id of a library', async (sql) => void (await say(sql, 1, 30, 'Lembrete: consulta amanhã', { program: true }))],
  [
    'a greeting behind our first message to three people',
    async (sql) => {
      for (let n = 0; n < 3; n++) {
        const message = await sending(sql, { phone: phone(n), text: `Oferta ${n}`, now: at(60 * n) });
        await recordSend(sql, message, { kind: 'sent', provider_id: `OUT-${n}` }, at(60 * n));
        await say(sql, n, 60 * n + 1, GREETING);
      }
    },
  ],
  [
    'another greeting next week',
    async (sql) => {
      for (const [n, text] of [GREETING, 'Bem-vindo à Padaria Sol! Veja o cardápio no link.'].entries()) {
        await hear(sql, n, 86_400 * 7 * n);
        assert.equal(await say(sql, n, 86_400 * 7 * n + 1, text), 'automatic (greeting)');
      }
    },
  ],
  [
    'a responder that answers each message of a talk',
    async (sql) => {
      for (let n = 0; n < 5; n++) {
        await hear(sql, 1, 30 * n);
        await say(sql, 1, 30 * n, `Recebemos sua mensagem de número ${n} e responderemos assim que possível.`);
      }
    },
  ],
];

test('W6 who is a person: of 20 kinds of automatic texts none leaves the agent quiet', async (t) => {
  assert.equal(AUTOMATIC.length, 20);
  for (const [name, run] of AUTOMATIC) {
    const sql = await openSql(t);
    await run(sql);
    assert.equal(await muted(sql), 0, name);
  }
});

/** No words in it: what the reader makes of an empty message. */
function nothing(text: string): object {
  return { content: { type: 'unsupported', text: `[${text}]`, typed: null, media: null } };
}

function media(type: 'audio' | 'image' | 'location' | 'contact' | 'sticker' | 'document', caption: string | null = null): object {
  return { content: { type, text: `[${type}]${caption === null ? '' : `\n${caption}`}`, typed: caption, media: null } };
}

/** Each by a person: seconds after the customer's first words (null: it wrote nothing), and what was typed. */
const REAL: [name: string, seconds: number | null, text: string, more?: object][] = [
  ['after a minute', 60, 'Oi, aqui é a Ana, já te respondo'],
  ['after twenty seconds', 20, 'Bom dia! O bolo custa R$ 50, quer que eu separe um?'],
  ['within three seconds', 3, 'oi, já te respondo'],
  ['within two seconds', 2, 'Oi! Sou a Ana'],
  ['within one second', 1, 'Oi Maria'],
  ['one letter', 2, 's'],
  ['an emoji', 2, '👍'],
  ['to somebody who wrote nothing', null, 'Oi! Seu pedido está pronto, pode buscar'],
  ['at WhatsApp Web', 30, 'Pode deixar, vou ver aqui', { providerId: '3EB0A1B2C3D4E5F6A7B8C9' }],
  ['on an iPhone', 30, 'Pode deixar que eu vejo', { providerId: '3A0123456789ABCDEF01' }],
  ['on an Android', 30, 'Pode deixar que vejo já', { providerId: 'A1B2C3D4E5F60718293A4B5C6D7E8F90' }],
  ['a voice note', 15, '', media('audio')],
  ['a photo', 15, '', media('image')],
  ['a photo with words', 15, 'é este?', media('image', 'é este?')],
  ['a place', 15, '', media('location')],
  ['a contact', 15, '', media('contact')],
  ['a document', 15, '', media('document')],
  ['a long text', 90, 'Oi! Sobre o seu pedido: a massa leva amêndoas, e a entrega é até as 18h. Pode ser?'],
  ['with a link', 45, 'O cardápio está em https://example.com/cardapio'],
  ['many digits', 30, '12.345.678/0001-90'],
];

test('W6 who is a person: of 20 kinds of words of a person each takes the conversation over', async (t) => {
  assert.equal(REAL.length, 20);
  for (const [n, [name, seconds, text, more = {}]] of REAL.entries()) {
    const sql = await openSql(t);
    if (seconds !== null) await hear(sql, n, 0);
    assert.equal(await say(sql, n, seconds ?? 10, text, more), 'takeover', name);
    assert.equal(await muted(sql), 1, name);
  }
});

test('W6 who is a person: the same real answer pasted for two customers, and a quick reply for five who asked', async (t) => {
  const sql = await openSql(t);
  for (let n = 0; n < 5; n++) await hear(sql, n, 0);
  for (let n = 0; n < 2; n++) assert.equal(await say(sql, n, 40 + 9 * n, 'Sim, temos bolo de cenoura hoje'), 'takeover');
  for (let n = 0; n < 5; n++) assert.equal(await say(sql, n, 90 + 12 * n, 'Nossa chave pix é o CNPJ 12.345.678/0001-90'), 'takeover');
  assert.equal(await muted(sql), 5);
});

test('W6 who is a person: the customer answers in the very second in which a person typed', async (t) => {
  const sql = await openSql(t);
  await hear(sql, 1, 0);
  const message = await sending(sql, { phone: phone(1), text: 'Oi! Em que posso ajudar?', now: at(2) });
  await recordSend(sql, message, { kind: 'sent', provider_id: 'OUT' }, at(2));
  assert.equal(await say(sql, 1, 3, 'Oi, aqui é a Ana, já te respondo'), 'takeover');
  await hear(sql, 1, 3);
  assert.equal(await muted(sql), 1);
});

test('W6 who is a person: with TAKEOVER_FROM_API what comes through the API is a person, and a greeting still is none', async (t) => {
  const sql = await openSql(t);
  const options = { ...TAKEOVER, takeoverFromApi: true };
  await hear(sql, 1, 0);
  assert.equal(await say(sql, 1, 30, 'Oi, aqui é a Ana do Chatwoot', { viaApi: true }, options), 'takeover');
  await hear(sql, 2, 100);
  assert.equal(await say(sql, 2, 100, GREETING, { viaApi: true }, options), 'automatic (greeting)');
});

test('W6 repair: a takeover that was a greeting ends, the contact is answered, and the handoff is not taken; a person who typed since keeps it', async (t) => {
  const sql = await openSql(t);
  for (const n of [1, 2]) {
    await hear(sql, n, 0);
    await sql.rows(`select open_handoff(id, null, 'send_failed', null, false, $1) from conversations where takeover_since is null`, [NOON]);
    assert.equal(await say(sql, n, 5, n === 1 ? GREETING : `${GREETING} `), n === 1 ? 'takeover' : 'automatic (greeting)');
    if (n === 1) {
      const [row] = await sql.rows('select id from conversations');
      await leave(sql, row?.['id'], at(8));
      await sql.rows('update handoffs set taken_at = taken_at');
    }
  }
  assert.deepEqual(await sql.dump(), [
    '1 in contact received: oi, quanto custa?',
    `1 out automatic sent(greeting): ${GREETING}`,
    '2 in contact received: oi, quanto custa?',
    `2 out automatic sent(greeting): ${GREETING} `,
  ]);
  assert.deepEqual(await sql.rows('select taken_at from handoffs where taken_at is not null'), []);
  assert.equal(await muted(sql), 0);
  assert.deepEqual(await sql.rows('select greeting_message is not null as seen from instances'), [{ seen: true }]);

  const other = await openSql(t);
  await hear(other, 1, 0);
  await say(other, 1, 5, GREETING);
  assert.equal(await say(other, 1, 60, 'Oi, aqui é a Ana de verdade'), 'takeover');
  await hear(other, 2, 100);
  const [result] = await other.record([own({ id: 'SECOND', pn: phone(2), text: GREETING, seconds: 104 })], at(104));
  assert.deepEqual([result?.outcome, result?.wake_turns], ['automatic', []]);
  assert.equal(await muted(other), 1, 'Ana goes on');
});

test('W6 repair: an answer that the mistake withdrew is written again', async (t) => {
  const sql = await openSql(t);
  await hear(sql, 1, 0);
  const [row] = await sql.rows('select id from conversations');
  const turn = await claim(sql, row?.['id'], at(3));
  await sql.rows('select complete_turn($1, $2, $3, $4)', [
    turn.turn_id,
    turn.fence,
    JSON.stringify({ kind: 'answer', parts: [{ text: 'O bolo custa R$ 50.' }] }),
    at(4),
  ]);
  await say(sql, 1, 5, GREETING);
  await sql.rows(`update messages set status = 'cancelled', reason = 'takeover' where status = 'queued'`);
  await hear(sql, 2, 100);
  const [result] = await sql.record([own({ id: 'SECOND', pn: phone(2), text: GREETING, seconds: 104 })], at(104));
  assert.deepEqual(result?.wake_turns, [Number(row?.['id'])]);
  assert.equal((await sql.dump())[0], '1 in contact received: oi, quanto custa?');
});

test('W6 repair: of two first greetings at once the second sees the first', async (t) => {
  const sql = await openSql(t);
  await hear(sql, 1, 0);
  await hear(sql, 2, 0);
  const first = await sql.client();
  await first.query('begin');
  const webhook = [{ requestId: 'r', raw: {}, events: [own({ id: 'FIRST', pn: phone(1), text: GREETING, seconds: 5 })] }];
  await first.query('select record_inbound($1, $2, $3)', [JSON.stringify(webhook), JSON.stringify(TAKEOVER), at(5)]);
  const second = say(sql, 2, 5, GREETING);
  await waitsForLock(sql, 'record_inbound', second);
  await first.query('commit');
  assert.equal(await second, 'automatic (greeting)');
  assert.equal(await muted(sql), 0);
});

test('W6 repair: 20 greetings at once, in any order, leave nobody without an answer', async (t) => {
  const sql = await openSql(t);
  for (let n = 0; n < 20; n++) await hear(sql, n, 0);
  await Promise.all(Array.from({ length: 20 }, (_, n) => say(sql, n, 4 + (n % 2), GREETING)));
  assert.equal(await muted(sql), 0);
  const [row] = await sql.rows(`select count(*)::int as n from messages where author = 'automatic' and reason = 'greeting'`);
  assert.equal(row?.['n'], 20);
});

const PN = '5511916970383';
const LID = '119169703847771';

/** F2, and each other address under which the owner's words may come. */
const ADDRESSES: [
  name: string,
  known: { pn: string | null; lid: string | null },
  own: { pn: string | null; lid: string | null },
  alt: ChatAddress | null,
][] = [
  ['known by phone, typed in the lid chat with its Alt', { pn: PN, lid: null }, { pn: null, lid: LID }, { pn: PN, lid: null }],
  ['known by lid, typed in the phone chat with its Alt', { pn: null, lid: LID }, { pn: PN, lid: null }, { pn: null, lid: LID }],
  ['known by both, typed in the lid chat', { pn: PN, lid: LID }, { pn: null, lid: LID }, null],
  ['known by both, typed in the phone chat', { pn: PN, lid: LID }, { pn: PN, lid: null }, null],
  ['the Alt is our own number', { pn: PN, lid: null }, { pn: PN, lid: null }, { pn: '5511900000002', lid: null }],
];

test('W6 addresses: the owner on the phone is in the conversation of the contact, under whichever address, and nothing is learned from it', async (t) => {
  for (const [name, known, typed, alt] of ADDRESSES) {
    const sql = await openSql(t);
    await sql.record([said({ id: 'IN', ...known, at: at(0) })], at(0));
    await sql.rows(`update instances set phone = '5511900000002'`);
    const before = await sql.rows('select kind, address from contact_addresses order by id');
    const words = {
      ...own({ id: 'OWN', ...typed, text: 'Oi, aqui é a Ana, já te respondo', seconds: 60 }),
      ...(alt === null ? {} : { alt }),
    };
    const [result] = await sql.record([words], at(60));
    assert.deepEqual([result?.outcome, result?.conversation_id], ['takeover', 1], name);
    await sql.record([said({ id: 'NEXT', ...known, text: 'ok, aguardo', at: at(70) })], at(70));
    assert.deepEqual(
      await sql.rows('select count(*)::int as n, max(takeover_until) as until from conversations'),
      [{ n: 1, until: at(60 + 1_800) }],
      name,
    );
    assert.deepEqual(await sql.rows('select kind, address from contact_addresses order by id'), before, name);
  }
});

test('W6 addresses: an empty contact of an earlier message of ours does not hide the person; our own number as Alt finds nobody', async (t) => {
  const sql = await openSql(t);
  await sql.record([said({ id: 'IN', pn: PN, at: at(0) })], at(0));
  await sql.record([own({ id: 'NO-ALT', pn: null, lid: LID, text: 'Oi, aqui é a Ana', seconds: 30 })], at(30));
  const withAlt = { ...own({ id: 'ALT', pn: null, lid: LID, text: 'já te respondo, um minuto', seconds: 60 }), alt: { pn: PN, lid: null } };
  const [result] = await sql.record([withAlt], at(60));
  assert.deepEqual([result?.outcome, result?.conversation_id], ['takeover', 1]);

  await sql.record([said({ id: 'US', pn: '5511900000002', text: 'our own number wrote once', at: at(0) })], at(0));
  await sql.rows(`update instances set phone = '5511900000002'`);
  const ours = {
    ...own({ id: 'OURS', pn: null, lid: '777', text: 'Oi, tudo certo por aí?', seconds: 60 }),
    alt: { pn: '5511900000002', lid: null },
  };
  await sql.record([ours], at(60));
  assert.deepEqual(
    await sql.rows(`select count(*)::int as n from contact_addresses where address = '777'`),
    [{ n: 1 }],
    'a chat of its own',
  );
});

test('W6 addresses: the echo of a send is found in the chat of the other address', async (t) => {
  const sql = await openSql(t);
  const message = await sending(sql, { phone: PN, text: 'O bolo custa R$ 50.' });
  const echo = {
    ...own({ id: 'OUT', pn: null, lid: LID, text: 'O bolo custa R$ 50.', seconds: 1 }, { viaApi: true }),
    alt: { pn: PN, lid: null },
  };
  const [result] = await sql.record([echo], at(1));
  assert.deepEqual([result?.outcome, result?.message_id], ['echo', message]);
  assert.deepEqual(await sql.rows('select count(*)::int as n from contacts'), [{ n: 1 }]);
});

test('W11 machines: what Meta AI writes is stored with its reason and waits for no answer', async (t) => {
  const sql = await openSql(t);
  const words = { ...said({ id: 'META', pn: '13135550002', text: 'A capital da França é Paris.' }), machine: true } as InboundEvent; // a message
  const [result] = await sql.record([words], NOON);
  assert.deepEqual([result?.outcome, result?.wake], ['context', false]);
  assert.deepEqual(await sql.dump(), ['1 in contact skipped(whatsapp_machine): A capital da França é Paris.']);
  assert.equal((await claim(sql, 1, at(10))).state, 'idle');
});

type Claim = { state: string; turn_id?: number; fence?: number };

async function claim(sql: Sql, conversation: unknown, now: Date): Promise<Claim> {
  const [row] = await sql.rows(`select claim_turn($1, 'w', 90000, $2) as result`, [conversation, now]);
  return row?.['result'] as Claim;
}

/** The turn finds a person at the phone. */
async function leave(sql: Sql, conversation: unknown, now: Date): Promise<void> {
  const { turn_id, fence } = await claim(sql, conversation, now);
  await sql.rows('select complete_turn($1, $2, $3, $4)', [turn_id, fence, JSON.stringify({ kind: 'handoff', reason: 'takeover' }), now]);
}
