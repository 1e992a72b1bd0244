/** What people and machines do in a run: contacts write, somebody types on the phone, a button is pressed, a contact is erased, processes die, clocks jump. */
import { inbound, ownerMessage, editMessage } from '../simulator/handset.ts';
import { setConnection } from '../simulator/connection.ts';
import type { Core } from '../simulator/core.ts';
import type { Query } from './database.ts';
import type { Contact, Judge, Written } from './judge.ts';
import { INSTANCE } from './outside.ts';
import type { QueueStore } from './queues.ts';
import type { Schedule } from './schedule.ts';
import type { Door } from '../src/db/door.ts';

export type World = {
  schedule: Schedule;
  /** Looks at the rows, as a step of its own. */
  look: Query;
  evolution: Core;
  judge: Judge;
  queues: QueueStore;
  /** The door of somebody who types commands: it loses no answer. */
  operator: Door;
  /** Not in every run. */
  killOne: () => void;
  jump: (ms: number) => void;
};

/** What a run has of each. */
const LETTERS = ['a', 'b', 'c'];
/** The script of a run ends within this. Milliseconds. */
const SCRIPT_MS = 180_000;

type Deed = (world: World, contact: Contact) => void | Promise<void>;

/** How often each thing is done, of a hundred. */
const DEEDS: readonly [weight: number, deed: Deed][] = [
  [28, (world, contact) => write(world, contact)],
  [16, burst],
  [16, offer],
  [4, (world, contact) => write(world, contact, 'take_over')],
  [7, interrupt],
  [4, optOut],
  [3, (world, contact) => write(world, contact, 'opt_in')],
  [5, take],
  [5, pause],
  [4, erase],
  [3, ({ queues }) => queues.flush()],
  [5, ({ killOne }) => killOne()],
  [4, ({ schedule, jump }) => jump(schedule.pick([5_000, 31_000, 65_000, 130_000]))],
  [3, disconnect],
];

/** Plans a whole run; returns when its script is over. */
export function plan(world: World): number {
  const { schedule, evolution, judge } = world;
  for (const [index, letter] of LETTERS.entries()) {
    const phone = `55119800000${10 + index}`;
    const { id } = evolution.world.addContact({ name: `Contato ${letter}`, phone });
    judge.contacts.push({ phone, id, letter, optedOutAt: null, takeoverUntil: 0, taken: false, erasedAt: null });
  }
  const deeds = schedule.between(5, 11);
  let last = 0;
  for (let at = 0; at < deeds; at++) {
    const ms = schedule.between(500, SCRIPT_MS);
    last = Math.max(last, ms);
    const contact = schedule.pick(judge.contacts);
    const deed = drawn(schedule);
    schedule.add({
      label: `deed ${at}`,
      at: schedule.now() + ms,
      actor: null,
      run: () => void Promise.resolve(deed(world, contact)).catch(() => {}),
    });
  }
  return schedule.now() + last;
}

function drawn(schedule: Schedule): Deed {
  const total = DEEDS.reduce((sum, [weight]) => sum + weight, 0);
  let left = schedule.random.next() * total;
  for (const [weight, deed] of DEEDS) if ((left -= weight) < 0) return deed;
  return write;
}

/** What comes sooner after a contact's words may be automatic (judge_own in SQL). Milliseconds. */
const GREETS_MS = 7_000;

const WORDS: Record<Exclude<Written['does'], 'ask'>, string> = {
  opt_out: 'Quero parar de receber mensagens',
  opt_in: 'quero voltar a receber',
  take_over: 'Deixa comigo, eu mesma vejo',
};
/** Of the person who types: the same words in several chats would be a broadcast. */
const THINGS = [
  'o pedido',
  'a entrega',
  'o boleto',
  'a troca',
  'o tamanho',
  'a cor',
  'o frete',
  'a nota',
  'o prazo',
  'a loja',
  'o cadastro',
  'a garantia',
];

function write(world: World, contact: Contact, does: Written['does'] = 'ask'): void {
  const { schedule, evolution, judge } = world;
  const no = judge.written.length + 1;
  const asks = `Pergunta #${contact.letter}${no}`;
  const text =
    does === 'ask'
      ? asks
      : does === 'take_over'
        ? `${WORDS.take_over} ${THINGS[no % THINGS.length] ?? ''} de ${contact.letter.repeat(4)} com calma`
        : WORDS[does];
  // Words so near to those of a contact may be a phone that greets by itself: nobody can tell, so nobody types them here.
  const near = judge.written.some(
    (said) =>
      said.contact === contact &&
      schedule.now() - said.at < (does === 'take_over' ? GREETS_MS : 2_000) &&
      (said.does === 'take_over') !== (does === 'take_over'),
  );
  if (near) return;
  schedule.note(`${contact.letter} ${does}: ${text}`);
  const input = { instance: INSTANCE, contactId: contact.id, text };
  const id = `3A${String(no).padStart(18, '0')}`;
  judge.written.push({ id, contact, text, at: schedule.now(), does, acked: false });
  const message = does === 'take_over' ? ownerMessage(evolution, { ...input, id }) : inbound(evolution, { ...input, id });
  if (does === 'ask' && schedule.chance(0.06))
    schedule.add({
      label: 'edit',
      at: schedule.now() + 2_000,
      actor: null,
      run: () => void editMessage(evolution, message.id, `${text} por favor`),
    });
}

function burst(world: World, contact: Contact): void {
  const { schedule } = world;
  for (let n = schedule.between(2, 3), at = 0; n > 0; n--, at += schedule.between(300, 12_000))
    schedule.add({ label: 'burst', at: schedule.now() + at, actor: null, run: () => write(world, contact) });
}

/** Somebody types while the answer is under way. */
function interrupt(world: World, contact: Contact): void {
  const { schedule } = world;
  write(world, contact);
  schedule.add({
    label: 'type',
    at: schedule.now() + schedule.between(7_500, 13_000),
    actor: null,
    run: () => write(world, contact, 'take_over'),
  });
}

/** A campaign: each contact once. */
async function offer({ schedule, operator, judge }: World): Promise<void> {
  const campaign = `c${schedule.between(1, 9)}`;
  for (const { phone, letter, erasedAt } of judge.contacts) {
    if (erasedAt !== null) continue;
    await operator.call('enqueue_message', {
      p_request: {
        tenant: 'default',
        instance: INSTANCE,
        phone,
        text: `Oferta ${campaign} de ${letter}`,
        kind: 'campaign',
        send_after: null,
        expires_at: null,
        idempotency_key: `${campaign} ${letter}`,
        campaign_id: campaign,
        typing_ms: 0,
        correlation_id: campaign,
        bypass: null,
        actor: 'simulation',
      },
    });
  }
}

function optOut(world: World, contact: Contact): Promise<void> {
  const waits = offer(world);
  write(world, contact, 'opt_out');
  return waits;
}

async function take(world: World, contact: Contact): Promise<void> {
  const conversation = await conversationOf(world, contact);
  if (conversation === null) return;
  const act = { p_tenant: 'default', p_conversation: conversation, p_actor: 'simulation' };
  await insist(() => world.operator.call('take_conversation', { ...act, p_force: true }));
  later(world, async () => void (await world.operator.call('return_handoff', { ...act, p_reason: 'simulation' })));
}

async function pause(world: World): Promise<void> {
  const act = { p_tenant: 'default', p_actor: 'simulation', p_scope: 'all', p_target: '', p_reason: 'simulation' };
  await insist(() => world.operator.call('set_pause', { ...act, p_status: 'pausado' }));
  later(world, async () => void (await world.operator.call('set_pause', { ...act, p_status: 'ativo' })));
}

async function erase(world: World, { phone }: Contact): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    const answer = (await world.operator.call('erase_contact', {
      p_tenant: 'default',
      p_contact: null,
      p_phone: phone,
      p_actor: 'simulation',
      p_reason: 'simulation',
    })) as { outcome: string };
    if (answer.outcome !== 'sending' && answer.outcome !== 'again') return;
  }
}

function disconnect({ schedule, evolution }: World): void {
  const instance = evolution.world.instances.get(INSTANCE);
  if (instance === undefined) return;
  schedule.note('the number is disconnected');
  setConnection(evolution, instance, 'close', 428);
  schedule.add({
    label: 'reconnect',
    at: schedule.now() + schedule.between(5_000, 60_000),
    actor: null,
    run: () => setConnection(evolution, instance, 'open'),
  });
}

/** A person who gets no answer tries again: a pause that nobody ends would be no fault of the product. */
async function insist(work: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return void (await work());
    } catch (error) {
      if (tries === 5) throw error;
    }
  }
}

function later({ schedule }: World, work: () => Promise<void>): void {
  schedule.add({
    label: 'later',
    at: schedule.now() + schedule.between(2_000, 90_000),
    actor: null,
    run: () => void insist(work).catch(() => {}),
  });
}

async function conversationOf({ look }: World, { phone }: Contact): Promise<number | null> {
  const [found] = await look<{ id: number }>('select id::int from conversations where jid = $1 order by id desc limit 1', [
    `${phone}@s.whatsapp.net`,
  ]);
  return found?.id ?? null;
}
