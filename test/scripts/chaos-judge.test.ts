/** The judge of the chaos runner: a world in which all is well, and what it says when one thing in it is not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Writer } from '../../chaos/conversations.ts';
import { judge } from '../../chaos/judge.ts';
import type { Row, Seen, Verdict } from '../../chaos/judge.ts';
import type { WireSend } from '../../simulator/types.ts';

type World = {
  writers: Writer[];
  rows: Row[];
  sends: Pick<WireSend, 'id' | 'jid' | 'number' | 'text' | 'sentAt'>[];
  asked: string[];
  handed: number[];
  waiting: { jid: string; what: string }[];
  narrow: string[];
};

const ANA = 'ana@s.whatsapp.net';
const BIA = 'bia@s.whatsapp.net';

const row = (id: number, of: Partial<Row>): Row => ({
  id,
  direction: 'out',
  status: 'sent',
  reason: null,
  kind: 'reply',
  text: '',
  provider_id: null,
  turn_id: null,
  turn: null,
  conversation_id: 1,
  jid: ANA,
  ...of,
});
const received = (id: number, provider_id: string, turn_id: number, of: Partial<Row> = {}): Row =>
  row(id, { direction: 'in', status: 'answered', kind: null, provider_id, turn_id, ...of });
const send = (id: string, text: string, sentAt: number, jid = ANA) => ({ id, jid, number: jid, text, sentAt });

/** Ana writes, is answered in two parts, writes twice and is answered once; Bia writes and is answered. */
function allIsWell(): World {
  return {
    writers: [
      {
        instance: 'n',
        jid: ANA,
        written: [
          { id: 'a0', tag: 'a0;', answer: 'Sim a0;\n\nE mais a0;' },
          { id: 'a1', tag: 'a1;', answer: 'Sim a1;' },
          { id: 'a2', tag: 'a2;', answer: 'Sim a2;' },
        ],
      },
      { instance: 'n', jid: BIA, written: [{ id: 'b0', tag: 'b0;', answer: 'Sim b0;' }] },
    ],
    rows: [
      received(1, 'a0', 1),
      row(2, { turn_id: 1, text: 'Sim a0;', provider_id: 'w1' }),
      row(3, { turn_id: 1, text: 'E mais a0;', provider_id: 'w2' }),
      received(4, 'a1', 2),
      received(5, 'a2', 2),
      row(6, { turn_id: 2, text: 'Sim a2;', provider_id: 'w3' }),
      received(7, 'b0', 3, { conversation_id: 2, jid: BIA }),
      row(8, { turn_id: 3, text: 'Sim b0;', provider_id: 'w4', conversation_id: 2, jid: BIA }),
    ],
    sends: [send('w1', 'Sim a0;', 10), send('w2', 'E mais a0;', 20), send('w3', 'Sim a2;', 30), send('w4', 'Sim b0;', 15, BIA)],
    asked: ['a0;', 'a1;\na2;', 'b0;'],
    handed: [],
    waiting: [],
    narrow: [],
  };
}

const find = (world: World, id: number): Row => world.rows.find((each) => each.id === id) ?? assert.fail(`no row ${id}`);

/** What is changed, what is told, and which message it is about. */
const BREAKS: [string, (world: World) => void, Partial<Verdict>, RegExp][] = [
  [
    'a message is not stored',
    (w) => {
      w.rows.splice(6, 2);
      w.sends.pop();
    },
    { lost: 1 },
    /lost: no row: message b0/,
  ],
  [
    'a message stays unanswered',
    (w) => {
      Object.assign(find(w, 7), { status: 'received', turn_id: null });
      w.rows.splice(7, 1);
      w.sends.pop();
    },
    { lost: 1 },
    /received and nothing more: message b0/,
  ],
  [
    'a message is skipped for a reason',
    (w) => Object.assign(find(w, 7), { status: 'skipped', reason: 'too_old' }),
    { lost: 1 },
    /lost: skipped: too_old: message b0/,
  ],
  [
    'a message is handed to nobody',
    (w) => Object.assign(find(w, 7), { status: 'handed_over', reason: 'human' }),
    { lost: 1 },
    /lost: handed_over: human: message b0/,
  ],
  ['an answer does not leave', (w) => w.sends.pop(), { lost: 1 }, /lost: sent .*: message b0/],
  [
    'an answer is blocked by a rule',
    (w) => {
      w.sends.pop();
      Object.assign(find(w, 8), { status: 'blocked', reason: 'reply_proof' });
    },
    { lost: 1 },
    /lost: blocked reply_proof: message b0/,
  ],
  [
    'an answer expires',
    (w) => {
      w.sends.pop();
      Object.assign(find(w, 8), { status: 'expired', reason: 'expired' });
    },
    { lost: 1 },
    /lost: expired/,
  ],
  [
    'an answer is withdrawn although nobody wrote',
    (w) => {
      w.sends.pop();
      Object.assign(find(w, 8), { status: 'cancelled', reason: 'contact_wrote' });
    },
    { lost: 1 },
    /lost: cancelled contact_wrote: message b0/,
  ],
  [
    'an answer is unproven, and nobody is told',
    (w) => {
      w.sends.pop();
      Object.assign(find(w, 8), { status: 'unproven', reason: 'timeout' });
    },
    { lost: 1 },
    /lost: unproven timeout/,
  ],
  [
    'the second part was never written',
    (w) => {
      w.rows.splice(2, 1);
      w.sends.splice(1, 1);
    },
    { lost: 1 },
    /lost: answered with other words: message a0/,
  ],
  [
    'a part is withdrawn and another one is lost',
    (w) => {
      w.sends.splice(0, 2);
      Object.assign(find(w, 2), { status: 'cancelled', reason: 'contact_wrote' });
    },
    { lost: 1 },
    /lost: sent .*: message a0/,
  ],
  [
    'the answer to somebody else',
    (w) => {
      find(w, 8).text = 'Sim a1;';
      Object.assign(w.sends[3] ?? {}, { text: 'Sim a1;' });
    },
    { lost: 1 },
    /lost: answered with other words: message b0/,
  ],
  ['answered without asking the model', (w) => (w.asked[1] = 'a2;'), { lost: 1 }, /lost: the model was not asked: message a1/],
  ['the same text twice', (w) => w.sends.push(send('w5', 'Sim b0;', 90, BIA)), { doubled: 1 }, /doubled: a second time: Sim b0;/],
  ['a message without a row', (w) => w.sends.push(send('w5', 'Mais', 90)), { doubled: 1 }, /doubled: without a row: Mais/],
  [
    'a message is answered by two turns',
    (w) => {
      w.rows.push(row(9, { turn_id: 4, text: 'Sim outra vez', provider_id: 'w5' }));
      w.sends.push(send('w5', 'Sim outra vez', 90));
    },
    { doubled: 1 },
    /doubled: to nothing that is not answered otherwise: Sim outra vez/,
  ],
  [
    'a message is stored twice',
    (w) => w.rows.push(received(9, 'b0', 3, { conversation_id: 2, jid: BIA })),
    { doubled: 1 },
    /message b0 of bia.* is stored more often/,
  ],
  ['a stranger gets an answer', (w) => w.sends.push(send('w5', 'Sim b0;', 90, 'eva@s.whatsapp.net')), { doubled: 1 }, /1 messages to eva/],
  [
    'parts in the wrong order',
    (w) => Object.assign(w.sends[0] ?? {}, { sentAt: 25 }),
    { reordered: 1 },
    /reordered: after what was written later: Sim a0;/,
  ],
  [
    'the later message is answered first',
    (w) => {
      Object.assign(find(w, 6), { id: 0 });
      w.rows.sort((a, b) => a.id - b.id);
      Object.assign(w.sends[2] ?? {}, { sentAt: 5 });
    },
    { reordered: 2 },
    /reordered: after the answer to a later message: Sim a0;/,
  ],
  [
    'a contact is told of an outage twice',
    (w) => {
      w.rows.push(row(9, { turn_id: 4, turn: 'deferred', text: 'Um problema', provider_id: 'w5' }));
      w.rows.push(row(10, { turn_id: 5, turn: 'deferred', text: 'Um problema', provider_id: 'w6' }));
      w.sends.push(send('w5', 'Um problema', 90), send('w6', 'Um problema', 95));
    },
    { doubled: 1 },
    /doubled: an excuse again: Um problema/,
  ],
  [
    'a conversation still waits for the model',
    (w) => w.waiting.push({ jid: BIA, what: 'put off until noon' }),
    {},
    /without an end: put off until noon with bia/,
  ],
  [
    'an unproven send is on the wire, and no person knows of it',
    (w) => Object.assign(find(w, 8), { status: 'unproven', reason: 'timeout' }),
    {},
    /unproven, and no person knows: to bia/,
  ],
  ['a row of what is under way that no message has', (w) => w.narrow.push('outbox has too much: (7)'), {}, /outbox has too much/],
  ['a send without an end', (w) => (find(w, 8).status = 'sending'), {}, /without an end: out sending/],
];

test('the judge finds nothing where all is well, and lets pass what a person was told of or what the contact cut short', async () => {
  const clean = { inbound: 4, answered: 4, lost: 0, doubled: 0, reordered: 0, person: 0, excuses: 0, unproven: 0, outcomes: {}, wrong: [] };
  assert.deepEqual(await verdictOf(allIsWell()), clean);

  const unproven = allIsWell();
  unproven.sends.pop();
  Object.assign(find(unproven, 8), { status: 'unproven', reason: 'timeout' });
  unproven.handed.push(2);
  const outcomes = { 'person: send_unproven': 1, 'not sent: unproven timeout': 1 };
  assert.deepEqual(await verdictOf(unproven), { ...clean, answered: 3, person: 1, unproven: 1, outcomes });

  // One sentence an outage answers nothing, is told of, and is no second answer; the next outage is another one.
  const outages = allIsWell();
  outages.rows.push(row(0, { turn_id: 4, turn: 'deferred', text: 'Um problema', provider_id: 'w5' }));
  outages.rows.push(row(9, { turn_id: 5, turn: 'deferred', text: 'Um problema', provider_id: 'w6' }));
  outages.sends.push(send('w5', 'Um problema', 5), send('w6', 'Um problema', 95));
  assert.deepEqual(await verdictOf(outages), { ...clean, excuses: 2 });

  const cutShort = allIsWell();
  cutShort.sends.splice(1, 1);
  Object.assign(find(cutShort, 3), { status: 'cancelled', reason: 'contact_wrote' });
  assert.deepEqual(await verdictOf(cutShort), { ...clean, answered: 3, outcomes: { 'not sent: cancelled contact_wrote': 1 } });
});

for (const [what, change, figures, line] of BREAKS)
  test(`the judge tells: ${what}`, async () => {
    const world = allIsWell();
    change(world);
    const { wrong, ...verdict } = await verdictOf(world);
    const { lost, doubled, reordered } = verdict;
    assert.deepEqual({ lost, doubled, reordered }, { lost: 0, doubled: 0, reordered: 0, ...figures }, wrong.join('\n'));
    assert.ok(
      wrong.some((each) => line.test(each)),
      wrong.join('\n'),
    );
  });

function verdictOf(world: World): Promise<Verdict> {
  const claude = world.asked.map((content) => ({ status: 200, request: { messages: [{ role: 'user', content }] } }));
  const seen = {
    query: async (sql: string) =>
      sql.includes('deferred_until')
        ? world.waiting
        : sql.includes('from handoffs')
          ? world.handed.map((conversation_id) => ({ conversation_id, reason: 'send_unproven' }))
          : sql.includes('from slot_minutes')
            ? world.narrow.map((line) => ({ line }))
            : world.rows,
    simulator: { sends: () => world.sends, wire: () => ({ claude }) },
  };
  return judge(seen as unknown as Seen, 'n', world.writers); // what the judge reads of it is there
}
