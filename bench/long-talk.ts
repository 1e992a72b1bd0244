/** One conversation of 30 turns, with what usually costs a cache: a new hour, a new fact about the contact, a handoff in between. For the bench and for its test. */

export const TURNS = 30;
/** A prompt that grows only at its end has at least this much of its input in the cache. */
export const CACHE_BAR = 0.85;

const HOUR_AFTER = 8;
const FACT_BEFORE = 14;
const HANDOFF_AFTER = 20;
/** More than the 20 blocks that a cache looks back, with what the contact answers. */
const WORDS_OF_A_PERSON = 12;
const QUESTIONS = [
  'Oi, tudo bem? Vi o anúncio de vocês e queria entender melhor como funciona o atendimento por aqui.',
  'Certo. E vocês atendem também aos sábados, ou só durante a semana? Trabalho até tarde de segunda a sexta.',
  'Entendi. Minha irmã foi atendida aí no ano passado e gostou muito, por isso resolvi perguntar também.',
  'E como faço para chegar de ônibus? Moro do outro lado da cidade e não conheço bem o bairro de vocês.',
  'Ótimo. Se eu precisar remarcar, com quanto tempo de antecedência devo avisar para não atrapalhar ninguém?',
];

export type Talk = {
  /** The contact writes; resolves once it has its answer, or its words are with a person. */
  ask(text: string): Promise<void>;
  /** A person of the team writes on the phone; resolves once that is stored. */
  person(text: string): Promise<void>;
  /** In a database that this talk has for itself. */
  query: Query;
};
type Query = (sql: string) => Promise<Record<string, unknown>[]>;

/** Variables of the product: the hour that passes makes nothing too old, and who asks so much is no machine. */
export const TALK_ENVIRONMENT = { MAX_MESSAGE_AGE_MINUTES: '600', ABUSE_GATES: 'false' } as const;

/** The clock that a prompt reads is an hour ahead from some turn on. Must run before a connection has called claim_turns: it would keep the function that it found. */
const CLOCK_SQL = `
alter function claim_turns(jsonb, text, int, jsonb, timestamptz, boolean, jsonb) rename to product_claim_turns;
create function claim_turns(p_ids jsonb, p_worker text, p_lease_ms int, p_debounce jsonb default null, p_now timestamptz default null, p_reads boolean default false, p_limits jsonb default null) returns jsonb language plpgsql as $$
declare v jsonb := product_claim_turns(p_ids, p_worker, p_lease_ms, p_debounce, p_now, p_reads, p_limits);
begin
  return (select jsonb_agg(case when x ? 'now' and (select count(*) from turns where conversation_id = (x ->> 'conversation_id')::bigint and status = 'committed') >= ${HOUR_AFTER}
    then x || jsonb_build_object('now', (x ->> 'now')::timestamptz + interval '1 hour') else x end order by n) from jsonb_array_elements(v) with ordinality e (x, n));
end $$`;

/** The contact must be the only one of its database. */
export async function longTalk(talk: Talk): Promise<void> {
  await talk.query(CLOCK_SQL);
  for (let index = 0; index < TURNS; index++) {
    if (index === FACT_BEFORE) await talk.query(`select remember_fact(id, '{"fact": "prefere sábados"}', null, now()) from contacts`);
    await talk.ask(`${QUESTIONS[index % QUESTIONS.length] ?? ''} (${index})`);
    if (index === HANDOFF_AFTER) {
      await talk.query(`update conversations set takeover_until = now() + interval '1 hour'`);
      for (let n = 0; n < WORDS_OF_A_PERSON; n++) {
        await talk.person(`Aqui é a Ana, mensagem ${n}`);
        await talk.ask(`certo, ${n}`);
      }
      await talk.query(`update conversations set takeover_until = null`);
    }
  }
}

/** What the cache had of the prompts that are longer than the model's floor, of 1; and how many calls there were in all. */
export async function cacheShare(query: Query, floorTokens: number): Promise<{ share: number; calls: number }> {
  const [row] = await query(
    `select count(*)::int as calls, (sum(cache_read_tokens) filter (where prompt > ${floorTokens}))::float / sum(prompt) filter (where prompt > ${floorTokens}) as share
     from (select *, input_tokens + cache_read_tokens + cache_write_tokens as prompt from model_calls) c`,
  );
  return { share: Number(row?.['share']), calls: Number(row?.['calls']) };
}
