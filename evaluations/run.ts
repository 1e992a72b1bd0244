/** One scenario through the real webhook, queue, debounce and sender. */
import { setTimeout as delay } from 'node:timers/promises';
import { voiceNote } from '../simulator/speech.ts';
import { faultsIn } from './scenario.ts';
import type { Left, Scenario } from './scenario.ts';
import type { Stand } from './stand.ts';

/** A burst that has no outcome by then never will. The real Claude takes some seconds a call. Milliseconds. */
const PATIENCE_MS = 60_000;
const LOOK_MS = 15;

export type Run = { id: string; hostile: boolean; faults: string[]; answers: string[]; usd: number; ms: number[] };

/** `index`: of the run, for a phone of its own. */
export async function runScenario(stand: Stand, scenario: Scenario, index: number): Promise<Run> {
  const last = String(1_000 + index);
  const phone = `551191234${last}`;
  const contact = stand.simulator.addContact({ name: 'Maria', phone });
  const filled = (text: string): string => text.replaceAll('{pago}', `${last}1`).replaceAll('{enviado}', `${last}2`);
  const ms: number[] = [];
  let said = 0;
  for (const burst of scenario.says) {
    const began = performance.now();
    for (const each of burst) {
      const words =
        typeof each === 'string'
          ? { text: filled(each) }
          : { media: { kind: 'audio' as const, base64: voiceNote(filled(each.audio)).toString('base64'), seconds: 4 } };
      stand.simulator.inbound({ contactId: contact.id, ...words });
      said += 1;
    }
    if (!(await settled(stand, phone, said))) break;
    ms.push(performance.now() - began);
  }
  const left = await leftBehind(stand, phone, said);
  const { id, hostile } = scenario;
  return { id, hostile, faults: faultsIn(scenario, left), answers: left.answers, usd: left.usd, ms };
}

const OF_CONTACT = `(select v.id from conversations v join contact_addresses a on a.contact_id = v.contact_id where a.address = $1)`;

/** All that was written has an outcome, and nothing is on its way. False: patience is over. */
async function settled(stand: Stand, phone: string, said: number): Promise<boolean> {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const [row] = await stand.query<{ done: boolean }>(
      `select count(*) filter (where direction = 'in' and status <> 'received') = $2
         and count(*) filter (where direction = 'out' and status in ('queued', 'sending')) = 0
         and not exists (select from turns where conversation_id in ${OF_CONTACT} and status = 'open')
         and not exists (select from tool_writes where conversation_id in ${OF_CONTACT} and status in ('queued', 'sending')) as done
       from messages where conversation_id in ${OF_CONTACT} and type <> 'reaction'`,
      [phone, said],
    );
    if (row?.done === true) return true;
    if (performance.now() > end) return false;
    await delay(LOOK_MS);
  }
}

async function leftBehind(stand: Stand, phone: string, said: number): Promise<Left> {
  const [row] = await stand.query<Left>(
    `select coalesce((select array_agg(text order by seq) from messages where conversation_id in ${OF_CONTACT} and direction = 'out'
         and type = 'text' and status in ('sent', 'delivered', 'read')), '{}') as answers,
       (select max(controlled_by) from conversations where id in ${OF_CONTACT}) as talks,
       exists (select from opt_outs o join contact_addresses a on a.contact_id = o.contact_id where a.address = $1 and o.revoked_at is null) as "optedOut",
       coalesce((select array_agg(distinct l.name) from tool_calls l join turns t on t.id = l.turn_id where t.conversation_id in ${OF_CONTACT}
         and l.name in (select name from http_tools)), '{}') as tools,
       coalesce((select array_agg(status) from tool_writes where conversation_id in ${OF_CONTACT}), '{}') as writes,
       $2 - (select count(*) from messages where conversation_id in ${OF_CONTACT} and direction = 'in' and status <> 'received')::int as open,
       coalesce((select sum(cost_usd) from turns where conversation_id in ${OF_CONTACT}), 0)::float as usd`,
    [phone, said],
  );
  if (row === undefined) throw new Error('a select without a row');
  return row;
}
