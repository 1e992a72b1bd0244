/**
 * Ten bugs that somebody could make, each planted by one changed line: a simulation that does not find them proves nothing. A line of SQL is replaced in the
 * simulation's own database, by its exact words: when it is written in another way the plant fails loudly, and is to be written again.
 */
import type { SqlChange } from './database.ts';
import type { CodeChange } from './processes.ts';

export type Plant = { about: string; sql: readonly SqlChange[]; code?: CodeChange };

export const PLANTS: Readonly<Record<string, Plant>> = {
  'dropped-fence': {
    about: 'a turn commits although another worker has taken it over',
    sql: [
      {
        fn: 'complete_turn',
        from: `if v_turn.status <> 'open' or v_turn.fence <> p_fence or v_conversation.fence <> p_fence then`,
        to: `if v_turn.status = 'committed' then`,
      },
    ],
  },
  'uncertain-resent': {
    about: 'a send of which nobody knows is sent again, as if it were proven that it never left',
    sql: [{ fn: 'settle_send', from: 'elsif p_not_sent then', to: 'elsif p_not_sent or v_message.looks >= 0 then' }],
  },
  'guard-skipped': {
    about: 'an opt-out is not looked at before a send',
    sql: [{ fn: 'first_guard', from: `ends('opt_out', 'blocked', not v_operator and`, to: `ends('opt_out', 'blocked', false and` }],
  },
  'cap-off-by-one': {
    about: 'a cap lets one more go than it says',
    sql: [{ fn: 'free_at', from: 'select p_cap - count(*) into v_room', to: 'select p_cap + 1 - count(*) into v_room' }],
  },
  'no-sweep': { about: 'a wake-up that the queue has lost is looked for by nobody', sql: [], code: { noSweep: true } },
  'double-job': {
    about: 'a job that comes twice sends what is on its way already',
    sql: [
      {
        fn: 'claim_send',
        from: 'if found then return await_send(v_conversation, v_message, v_now); end if;',
        to: `if v_message.status = 'sending' then return start_send(v_conversation, v_message, (select name from instances
          where id = v_conversation.instance_id), 30000, v_now); elsif v_message.id is not null then
          return await_send(v_conversation, v_message, v_now); end if;`,
      },
    ],
  },
  'erased-kept': {
    about: 'what comes late of somebody who was erased is stored again',
    sql: [{ fn: 'erase_contact', from: 'delete from messages where conversation_id = any (v_talks);', to: '' }],
  },
  'held-shown': {
    about: 'the model is shown as said what is still held, or was taken back',
    sql: [
      {
        fn: 'claim_turns',
        from: 'm.provider_at as at, m.status, m.refused_by',
        to: `m.provider_at as at, replace(replace(m.status, 'queued', 'sent'), 'cancelled', 'sent') as status, m.refused_by`,
      },
    ],
  },
  'refund-forgotten': {
    about: 'what a turn has reserved beyond its calls is not given back when it ends',
    sql: [
      {
        fn: 'complete_plain',
        from: 'settled as (delete from spend_reservations r using plain p where r.turn_id = p.turn_id),',
        to: 'settled as (select),',
      },
    ],
  },
  'takeover-missed': {
    about: 'a person who types on the phone is not seen by the sends',
    sql: [
      {
        fn: 'first_guard',
        from: `p_message.author = 'agent' and v_silenced is not null`,
        to: `p_message.author = 'agent' and v_silenced <> 'takeover'`,
      },
    ],
  },
};
