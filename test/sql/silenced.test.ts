/** Who is silenced and why: every state of a conversation, and each function that asks, against one table in TypeScript. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOON, openSql, said } from '../support/inbound.ts';
import { FREE } from '../support/sends.ts';

const START = new Date(NOON.getTime() + 1_000);
/** The lease of the turn has run out: the same turn may be renewed, completed, or claimed anew. */
const AT = new Date(NOON.getTime() + 61_000);
const LEASE_MS = 30_000;
const CAMPAIGN = 'natal';
const KINDS = ['reply', 'handoff', 'follow_up', 'manual', 'operator'] as const;

type State = {
  control: 'agent' | 'human';
  takeover: Date | null;
  mode: 'auto' | 'manual';
  /** The scopes that are paused, the widest first; `other`: another conversation. */
  paused: readonly ('all' | 'tenant' | 'instance' | 'conversation' | 'campaign' | 'other')[];
  optedOut: Date | null;
};

function states(): State[] {
  const found: State[] = [];
  for (const control of ['agent', 'human'] as const)
    for (const takeover of [null, NOON, new Date(AT.getTime() + 60_000)])
      for (const mode of ['auto', 'manual'] as const)
        for (const paused of [[], ['all'], ['tenant'], ['instance', 'conversation'], ['conversation'], ['campaign'], ['other']] as const)
          for (const optedOut of [null, new Date(NOON.getTime() - 60_000), new Date(NOON.getTime() + 30_000)])
            found.push({ control, takeover, mode, paused, optedOut });
  return found;
}

/** What holds, said a second time. */
function expected({ control, takeover, mode, paused, optedOut }: State) {
  const pause = paused.find((scope) => scope !== 'campaign' && scope !== 'other') ?? null;
  const taken = takeover !== null && takeover > AT;
  const holder = control === 'human' ? 'human' : taken ? 'takeover' : mode;
  const held = holder === 'auto' ? null : holder;
  const silenced = pause === null ? held : `paused_${pause}`;
  const outSince = optedOut !== null && optedOut >= START;
  const stop = pause === null ? (held ?? (outSince ? 'opted_out' : null)) : 'paused';
  const rule = (kind: (typeof KINDS)[number]): string | null => {
    if (kind === 'operator') return null;
    const answers = kind === 'reply' || kind === 'handoff';
    if (answers ? outSince : optedOut !== null) return 'opt_out';
    if (pause !== null) return `paused_${pause}`;
    if (kind === 'follow_up' && paused.includes('campaign')) return 'paused_campaign';
    // never over somebody who is typing, also where the conversation is a person's (simulation, seed 583)
    return kind === 'manual' || (kind === 'handoff' && !taken) ? null : held;
  };
  return {
    silenced,
    sweptTurns: pause === null,
    followUps: pause === null && !paused.includes('campaign'),
    listed: control === 'human' || taken,
    claim: pause === null ? { state: 'claimed', holder: held ?? 'agent', optedOut: optedOut !== null } : { state: 'paused', reason: pause },
    stop: silenced,
    answer: stop === null ? { outcome: 'committed' } : { outcome: 'suppressed', reason: stop },
    apologies: silenced === null ? 1 : 0,
    rules: Object.fromEntries(KINDS.map((kind) => [kind, rule(kind)])),
  };
}

test('A1 A6 I11 X15 who is silenced and why: every asker says the same in every state', async (t) => {
  const sql = await openSql(t);
  const [heard] = await sql.record([said({ id: 'A1', at: NOON })], NOON);
  const conversation = Number(heard?.conversation_id);
  const client = await sql.client();
  const one = async <T>(text: string, values: unknown[] = []): Promise<T> =>
    // each statement here has one row with one column, `v`
    (await client.query<{ v: T }>(text, values)).rows[0]?.v as T;
  const turn = await one<{ turn_id: number; fence: number }>('select claim_turn($1, $2, $3, $4) as v', [
    conversation,
    'w',
    LEASE_MS,
    START,
  ]);
  await client.query(
    `insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, type, status, text, provider_at, turn_id, kind, priority, part,
       due_at, created_at, campaign_id, bypass)
     select c.tenant_id, c.instance_id, c.id, c.last_seq + k.n, 'out', case when k.kind in ('reply', 'handoff') then 'agent' else 'system' end, 'text', 'queued',
       k.kind, $2, case when k.kind in ('reply', 'handoff') then $3::bigint end, k.kind, 1, 1, $2, $2, case when k.kind = 'follow_up' then $4 end, 'test'
     from conversations c, unnest($5::text[]) with ordinality k (kind, n) where c.id = $1`,
    [conversation, START, turn.turn_id, CAMPAIGN, [...KINDS]],
  );
  await client.query('update conversations set last_seq = last_seq + $2 where id = $1', [conversation, KINDS.length]);
  const answer = JSON.stringify({ kind: 'answer', reason: null, parts: [] });
  const deferred = JSON.stringify({ kind: 'deferred', reason: 'model_unavailable', retry_ms: 1_000, apology_ms: 0, apology: 'um momento' });

  /** What was done is taken back. */
  async function tried<T>(text: string, values: unknown[]): Promise<T> {
    await client.query('savepoint before');
    const value = await one<T>(text, values);
    await client.query('rollback to before');
    return value;
  }

  let silenced = 0;
  const all = states();
  for (const state of all) {
    await client.query('begin');
    await client.query('update conversations set controlled_by = $2, takeover_until = $3, takeover_since = $3, mode = $4 where id = $1', [
      conversation,
      state.control,
      state.takeover,
      state.mode,
    ]);
    for (const scope of state.paused)
      await client.query(
        `insert into julia_status (status, motivo, alterado_via, scope, target)
         select 'pausado', 'teste', 'teste', case $1 when 'other' then 'conversation' else $1 end, case $1 when 'all' then '' when 'tenant' then 'default'
           when 'instance' then (select name from instances) when 'conversation' then $2 when 'campaign' then $3 else '0' end`,
        [scope, String(conversation), CAMPAIGN],
      );
    if (state.optedOut !== null)
      await client.query(
        `insert into opt_outs (tenant_id, contact_id, source, created_at) select tenant_id, contact_id, 'message', $2 from conversations where id = $1`,
        [conversation, state.optedOut],
      );
    const claim = await tried<{ state: string; reason?: string; holder: string; opted_out: boolean }>(
      'select claim_turn($1, $2, $3, $4) as v',
      [conversation, 'w', LEASE_MS, AT],
    );
    const settled = await tried<{ outcome: string; reason?: string }>('select complete_turn($1, $2, $3, $4) as v', [
      turn.turn_id,
      turn.fence,
      answer,
      AT,
    ]);
    const found = {
      silenced: await one('select silenced_by(c, $2) as v from conversations c where id = $1', [conversation, AT]),
      sweptTurns: (await one<number[]>('select sweep_turns(0, 10, $1) as v', [AT])).length === 1,
      followUps: (await one<number[]>('select due_follow_ups(10, $1) as v', [AT])).length === 1,
      listed: (await one<unknown[]>(`select list_handoffs('default', 10, $1) as v`, [AT])).length === 1,
      claim:
        claim.state === 'claimed'
          ? { state: claim.state, holder: claim.holder, optedOut: claim.opted_out }
          : { state: claim.state, reason: claim.reason },
      stop: (await tried<{ stop: string | null }>('select renew_turn($1, $2, $3, $4) as v', [turn.turn_id, turn.fence, LEASE_MS, AT])).stop,
      answer: settled.reason === undefined ? { outcome: settled.outcome } : { outcome: settled.outcome, reason: settled.reason },
      apologies: (await tried<{ parts: number }>('select complete_turn($1, $2, $3, $4) as v', [turn.turn_id, turn.fence, deferred, AT]))
        .parts,
      rules: await one(
        `select jsonb_object_agg(m.kind, first_guard(m, c, i, $2, $3) ->> 'rule') as v
         from messages m join conversations c on c.id = m.conversation_id join instances i on i.id = m.instance_id where c.id = $1 and m.direction = 'out'`,
        [conversation, JSON.stringify(FREE), AT],
      ),
    };
    await client.query('rollback');
    assert.deepEqual(found, expected(state), JSON.stringify(state));
    if (found.silenced !== null) silenced++;
  }
  assert.ok(silenced > 100 && silenced < all.length, `${silenced} of ${all.length}`);
});
