/**
 * What must hold, from outside: a model of the rules that knows what the world did and what the database has said, and nothing of how the product decides. It is asked
 * after each call of the database, each send and each question to the model; the first thing that is wrong ends the run.
 */
import { narrowDifferences } from '../scripts/lib/under-way.ts';
import type { Core } from '../simulator/core.ts';
import type { Query } from './database.ts';
import type { Asked } from './outside.ts';
import { CAP_HOUR, TAKEOVER_MS } from './processes.ts';
import type { Watch } from './processes.ts';
import type { Schedule } from './schedule.ts';

export type Contact = {
  phone: string;
  /** Of the simulator. */
  id: string;
  letter: string;
  optedOutAt: number | null;
  takeoverUntil: number;
  taken: boolean;
  erasedAt: number | null;
};

/** Said by a contact. `does`: what it means, once it is stored. */
export type Written = {
  id: string;
  contact: Contact;
  text: string;
  at: number;
  does: 'ask' | 'opt_out' | 'opt_in' | 'take_over';
  acked: boolean;
};

export type Judge = Watch & {
  contacts: Contact[];
  written: Written[];
  wrong: string[];
  /** Evolution was told that this webhook is safe. */
  acked(body: string): void;
  /** At the end, when all is quiet. */
  finish(): Promise<void>;
  /** Rows that have no end yet. */
  unsettled(): Promise<number>;
};

/** What is stored of the answers that left is compared by words: texts of this simulation begin so. */
const ANSWER = /(Sobre|Ainda sobre) ([#&][a-z]\d+(?: [#&][a-z]\d+)*):/g;
const OFFER = /^Oferta /;
const HOUR_MS = 3_600_000;

type Send = { message_id: number; kind: string; number: string; text: string; created_at: string };

export function createJudge({ schedule, query, evolution }: { schedule: Schedule; query: Query; evolution: Core }): Judge {
  const contacts: Contact[] = [];
  const written: Written[] = [];
  const wrong: string[] = [];
  let paused = false;
  let looked = 0;
  const offers: number[] = [];
  /** Words of ours that were let out; and the newest row of each contact that has left. */
  const claimed = new Set<string>();
  const onWire = new Map<string, number>();

  const say = (what: string): void => {
    schedule.note(`WRONG: ${what}`);
    wrong.push(what);
  };
  const contactOf = (number: string): Contact | undefined => contacts.find(({ phone }) => number.includes(phone.slice(-8)));

  /** A send was let out at this moment: every rule held at it. */
  function claim(send: Send): void {
    for (const [prefix] of send.text.matchAll(ANSWER)) claimed.add(prefix);
    const contact = contactOf(send.number);
    const about = `${send.kind} ${send.message_id} to ${contact?.letter ?? send.number}: ${send.text.slice(0, 30)}`;
    if (send.kind === 'operator') return;
    if (paused) say(`let out in a pause: ${about}`);
    if (contact === undefined) return say(`to nobody who is known: ${about}`);
    const isReply = send.kind === 'reply' || send.kind === 'handoff';
    const wrote = Date.parse(send.created_at);
    if (isReply && schedule.now() < contact.takeoverUntil) say(`let out while a person types: ${about}`);
    if (send.kind === 'reply' && contact.taken) say(`let out in a conversation that a person has taken: ${about}`);
    if (contact.optedOutAt !== null && (!isReply || wrote < contact.optedOutAt)) say(`let out after an opt-out: ${about}`);
    if (contact.erasedAt !== null && wrote < contact.erasedAt) say(`let out after an erasure: ${about}`);
  }

  async function recorded(args: Record<string, unknown>, result: unknown): Promise<void> {
    const webhooks = args['p_webhooks'] as { events: { providerId?: string; kind: string }[] }[];
    const answers = result as { results: { outcome: string }[] }[];
    for (const [index, { events }] of webhooks.entries())
      for (const [at, event] of events.entries()) {
        const said = written.find(({ id }) => id === event.providerId);
        const outcome = answers[index]?.results[at]?.outcome;
        if (said === undefined || event.kind !== 'message') continue;
        const { contact } = said;
        if (said.does === 'opt_out' && outcome === 'stored') contact.optedOutAt ??= schedule.now();
        if (said.does === 'opt_in' && outcome === 'stored') contact.optedOutAt = null;
        if (said.does === 'take_over' && outcome === 'takeover')
          contact.takeoverUntil = Math.max(contact.takeoverUntil, Math.floor(said.at / 1000) * 1000 + TAKEOVER_MS);
      }
    await erasedStayErased();
  }

  async function erasedStayErased(): Promise<void> {
    const gone = contacts.flatMap((contact) =>
      contact.erasedAt === null ? [] : written.filter((said) => said.contact === contact && said.at < (contact.erasedAt ?? 0) - 2_000),
    );
    if (gone.length === 0) return;
    const [kept] = await query<{ text: string }>(
      `select text from messages where provider_id = any ($1) union all select left(w.body::text, 200) from webhook_events w, unnest($1::text[]) x (gone) where w.body::text like '%' || x.gone || '%' limit 1`,
      [gone.map(({ id }) => id)],
    );
    if (kept !== undefined) say(`kept of somebody who was erased: ${kept.text}`);
  }

  return {
    contacts,
    written,
    wrong,
    broken: (what) => say(what),
    async called(name, args, result) {
      for (const send of sendsIn(name, result)) claim(send);
      switch (name) {
        case 'record_inbound':
          return recorded(args, result);
        case 'set_pause':
          paused = args['p_status'] === 'pausado';
          return;
        case 'take_conversation':
        case 'return_handoff': {
          const contact = await contactIn(Number(args['p_conversation']));
          if (contact !== undefined) contact.taken = name === 'take_conversation';
          if (contact !== undefined && name === 'return_handoff') contact.takeoverUntil = 0;
          return;
        }
        case 'erase_contact': {
          if ((result as { outcome: string }).outcome !== 'erased') return;
          const contact = contactOf(String(args['p_phone']));
          if (contact === undefined) return;
          Object.assign(contact, { erasedAt: schedule.now(), takeoverUntil: 0, taken: false });
          return erasedStayErased();
        }
        default:
      }
    },
    asked({ said }: Asked) {
      for (const [prefix] of said.matchAll(ANSWER)) if (!claimed.has(prefix)) say(`the model was shown as said what was held: ${prefix}`);
    },
    sent() {
      const sends = evolution.wire.sends;
      for (const send of sends.slice(looked)) {
        if (send.sentAt === null) continue;
        for (const [, which, tags = ''] of send.text.matchAll(ANSWER)) for (const tag of tags.split(' ')) once(`${which} ${tag}`);
        if (!OFFER.test(send.text)) continue;
        once(send.text);
        offers.push(send.sentAt);
        const lately = offers.filter((at) => at > (send.sentAt ?? 0) - HOUR_MS).length;
        if (lately > CAP_HOUR) say(`${lately} offers within an hour; the cap is ${CAP_HOUR}`);
      }
      looked = sends.length;
    },
    acked(body) {
      for (const said of written) if (body.includes(said.id)) said.acked = true;
    },
    unsettled: async () =>
      Number(
        (
          await query<{ n: string }>(
            `select count(*) as n from messages where status = 'received' or (direction = 'out' and (status in ('sending', 'uncertain')
              or (status = 'queued' and kind in ('reply', 'handoff'))))`,
          )
        )[0]?.n ?? 0,
      ),
    finish,
  };

  function once(what: string): void {
    const times = (onWire.get(what) ?? 0) + 1;
    onWire.set(what, times);
    if (times > 1) say(`on the wire ${times} times: ${what}`);
  }

  async function contactIn(conversation: number): Promise<Contact | undefined> {
    const [found] = await query<{ jid: string }>('select jid from conversations where id = $1', [conversation]);
    return found === undefined ? undefined : contactOf(found.jid);
  }

  async function finish(): Promise<void> {
    await erasedStayErased();
    const rows = await query<Row>(
      `select m.id::int, m.direction, m.status, m.reason, m.kind, m.text, m.provider_id, m.turn_id::int, m.conversation_id::int from messages m order by m.id`,
    );
    for (const row of rows) {
      const isOpen = row.direction === 'in' ? row.status === 'received' : ['sending', 'uncertain'].includes(row.status);
      const waits = row.status === 'queued' && (row.kind === 'reply' || row.kind === 'handoff');
      if (isOpen || waits) say(`without an end: ${row.direction} ${row.status} ${row.reason ?? ''} ${row.text.slice(0, 40)}`);
      if (['skipped', 'cancelled', 'blocked', 'failed', 'unproven', 'expired'].includes(row.status) && row.reason === null)
        say(`${row.status} without a reason: ${row.text.slice(0, 40)}`);
    }
    for (const said of written) if (said.acked && said.does !== 'take_over') lookFor(said, rows);
    const [money] = await query<{ reserved: string; ledger: string; calls: string; twice: string }>(
      `select (select count(*) from spend_reservations) as reserved, (select coalesce(sum(usd), 0) from spend_days) as ledger,
        (select coalesce(sum(cost_usd), 0) from model_calls) as calls,
        (select count(*) from model_calls m join turns t on t.id = m.turn_id where m.outcome = 'worker_lost' and t.status = 'committed') as twice`,
    );
    if (Number(money?.reserved) > 0) say(`${money?.reserved} reservations of money were not given back`);
    if (Number(money?.twice) > 0) say(`${money?.twice} turns that ended are paid for a second time, as if their worker had died`);
    if (Math.abs(Number(money?.ledger) - Number(money?.calls)) > 1e-6)
      say(`the ledger says ${money?.ledger}, the calls cost ${money?.calls}`);
    for (const difference of await narrowDifferences((sql) => query(sql))) say(`narrow tables: ${difference}`);
  }

  /** Nothing is lost: what Evolution was told is safe has an outcome, and an answer has left or says why not. */
  function lookFor(said: Written, rows: readonly Row[]): void {
    const { contact, id, text } = said;
    if (contact.erasedAt !== null && said.at < contact.erasedAt) return;
    const row = rows.find((each) => each.provider_id === id && each.direction === 'in');
    if (row === undefined) return say(`lost: no row of ${text}`);
    if (row.status !== 'answered') return;
    const parts = rows.filter((each) => each.direction === 'out' && each.turn_id === row.turn_id);
    for (const part of parts)
      if (
        ['sent', 'delivered', 'read'].includes(part.status) &&
        !evolution.wire.sends.some((send) => send.sentAt !== null && send.text === part.text)
      )
        say(`said to be sent, and is not: ${part.text.slice(0, 40)}`);
  }
}

type Row = {
  id: number;
  direction: 'in' | 'out';
  status: string;
  reason: string | null;
  kind: string | null;
  text: string;
  provider_id: string | null;
  turn_id: number | null;
  conversation_id: number;
};

/** What a call of the database has let out. */
function sendsIn(name: string, result: unknown): Send[] {
  const claims =
    name === 'claim_sends'
      ? (result as unknown[])
      : name === 'complete_turns'
        ? (result as { send?: unknown }[]).map((each) => each.send)
        : name === 'record_sends'
          ? (result as { next?: unknown }[]).map((each) => each.next)
          : [];
  return claims.filter((each): each is Send => (each as { action?: string } | null | undefined)?.action === 'send');
}
