/**
 * Gates in the database: what the simulator cannot hold, because it happens between two statements. While a conversation's gate is closed,
 * the claim of its turn says "busy" and the claim of its send says "not now", as they do for a rule of the product, and the worker asks again.
 *
 * They are SQL around two functions of the product, put into the one database that this run has made for itself before a process connects to
 * it: there is no switch in the product. (Rejected: a lock that the runner holds. Each claim that waits for it keeps one of the worker's ten
 * connections, so most of a cell would never get so far; and one that waited when its worker was killed would still be made afterwards.)
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Conversation } from './conversations.ts';
import type { Stack } from './stack.ts';

/**
 * Where a conversation stops. turn: before its turn is claimed. typing, send: its answer is committed and every rule has said yes to its first
 * part, before typing is shown or right before the row becomes `sending`. second-part: as send, for what follows the first part.
 */
export type Gate = 'turn' | 'typing' | 'send' | 'second-part';

/** What a held send gives as its reason. */
export const HELD_REASON = 'held_by_chaos';

/** How soon a held send is asked for again, so how long an open gate costs at most. */
const LOOK_SECONDS = 1;

/** Must run before the processes start: a connection that has called claim_send keeps calling the function that it found then. */
export const GATES_SQL = `
create table chaos_gates (instance text, jid text, gate text, primary key (instance, jid));

alter function claim_turns(jsonb, text, int, jsonb, timestamptz, boolean, jsonb) rename to product_claim_turns;
create function claim_turns(p_ids jsonb, p_worker text, p_lease_ms int, p_debounce jsonb default null, p_now timestamptz default null, p_reads boolean default false, p_limits jsonb default null) returns json language plpgsql as $$
declare
  v_held jsonb := (select coalesce(jsonb_agg(c.id), '[]') from conversations c join instances i on i.id = c.instance_id
    join chaos_gates g on g.instance = i.name and g.jid = c.jid where g.gate = 'turn' and p_ids @> to_jsonb(c.id));
  v_free jsonb := (select coalesce(jsonb_agg(x order by n), '[]') from jsonb_array_elements(p_ids) with ordinality e (x, n) where not v_held @> x);
begin
  return (select json_agg(coalesce(f.claim, json_build_object('conversation_id', e.x, 'state', 'busy',
      'until', clock(p_now) + interval '${LOOK_SECONDS} seconds', 'wait_ms', ${LOOK_SECONDS} * 1000)) order by e.n)
    from (select x, n, row_number() over (partition by x order by n) as nth from jsonb_array_elements(p_ids) with ordinality u (x, n)) e
      left join (select claim, claim ->> 'conversation_id' as id, row_number() over (partition by claim ->> 'conversation_id' order by n) as nth
        from json_array_elements(case when v_free = '[]' then '[]' else product_claim_turns(v_free, p_worker, p_lease_ms, p_debounce, p_now, p_reads, p_limits) end)
          with ordinality c (claim, n)) f on f.id = e.x #>> '{}' and f.nth = e.nth);
end $$;

alter function first_guard(messages, conversations, instances, jsonb, timestamptz) rename to product_first_guard;
create function first_guard(m messages, v conversations, i instances, p_policy jsonb, p_now timestamptz) returns jsonb language plpgsql stable as $$
begin
  return coalesce(product_first_guard(m, v, i, p_policy, p_now),
    looks('${HELD_REASON}', exists (select from chaos_gates g where g.instance = i.name and g.jid = v.jid and case g.gate
        when 'typing' then m.part <= 1 and m.typing_until is null
        when 'send' then m.part <= 1 and m.typing_until is not null
        when 'second-part' then m.part > 1 and m.typing_until is not null end),
      p_now + interval '${LOOK_SECONDS} seconds'));
end $$;
`;

export type Gates = {
  /** Opens the gate of conversation number `index`; without a number all of them. May be called again, also while the database is away. */
  open(index?: number): void;
  /** Resolves when all that were opened are open. */
  opened(): Promise<void>;
};

/** A database that is restarted is back by then. */
const OPEN_MS = 60_000;

/** Closes the gates of conversations that have not written yet. */
export async function closeGates(stack: Stack, conversations: readonly Conversation[], gate: (index: number) => Gate): Promise<Gates> {
  await stack.query('insert into chaos_gates (instance, jid, gate) select * from unnest($1::text[], $2::text[], $3::text[])', [
    ...keysOf(conversations),
    conversations.map((_, index) => gate(index)),
  ]);
  const opening: Promise<void>[] = [];
  return {
    open(index) {
      const chosen = index === undefined ? conversations : conversations.slice(index, index + 1);
      const done = openGates(stack, chosen);
      done.catch(() => {}); // told by opened()
      opening.push(done);
    },
    async opened() {
      await Promise.all(opening);
    },
  };
}

async function openGates(stack: Stack, conversations: readonly Conversation[]): Promise<void> {
  const end = Date.now() + OPEN_MS;
  for (;;) {
    try {
      await stack.query(
        'delete from chaos_gates where (instance, jid) in (select * from unnest($1::text[], $2::text[]))',
        keysOf(conversations),
      );
      return;
    } catch (error) {
      if (Date.now() > end) throw error;
      await delay(200);
    }
  }
}

function keysOf(conversations: readonly Conversation[]): string[][] {
  return [conversations.map(({ instance }) => instance), conversations.map(({ jid }) => jid)];
}
