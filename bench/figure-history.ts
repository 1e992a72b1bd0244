/**
 * What one turn costs with a year of stored messages, against an empty database. Two installations run side by side and get the same messages in
 * turn. Half of the contacts are new to both; the others have the same 20 earlier messages in both, so that only the size of the store differs.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';

import { projectRoot } from '../scripts/lib/tools.ts';
import { openDesk, probe } from './answers.ts';
import { openConnection } from './load.ts';
import { phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH } from './messages.ts';
import type { Row } from './report.ts';
import type { Stand } from './stand.ts';
import { percentile } from './statistics.ts';
import { fillStored } from './stored.ts';

const KNOWN = 100;
const EARLIER = 20;
const WARM_UP = 20;
const GROUP = 60;
/** New contacts have numbers of a group of their own. */
const NEW_GROUP = 61;

export async function measureHistory(stand: Stand): Promise<Row[]> {
  const { size, queues } = stand.options;
  const onRedis = queues.includes('redis');
  stand.say(`history: making ${size.storedMessages} stored messages (kept for the next run)`);
  const template = `stored_${await hashOfMigrations()}_${size.storedMessages}`;
  await stand.template(template, (url) => fillStored(url, size.storedMessages));
  const systems = [];
  for (const [index, databaseUrl] of [await stand.database(), await stand.cloneOf(template)].entries()) {
    await stand.query(databaseUrl, KNOWN_CONTACTS);
    // a clone has not been read yet, and the statistics of the new rows are not there
    await stand.query(databaseUrl, 'analyze');
    const api = await stand.product('api', databaseUrl, onRedis, index);
    const worker = await stand.product('worker', databaseUrl, onRedis, index);
    systems.push({ programs: [api, worker], port: api.port, times: [] as number[], failed: 0, databaseUrl });
  }
  const desk = openDesk(stand.simulator);
  const lines = await Promise.all(systems.map((system) => openConnection(system.port, WEBHOOK_PATH, WEBHOOK_HEADERS)));
  for (let index = -WARM_UP; index < size.probes; index++) {
    const number = index + WARM_UP;
    const phone = number % 2 === 0 ? phoneOf(GROUP, (number / 2) % KNOWN) : phoneOf(NEW_GROUP, number);
    for (const [at, system] of systems.entries()) {
      const line = lines[at];
      const took = line === undefined ? null : await probe(desk, line, phone);
      if (took === null) system.failed += 1;
      else if (index >= 0) system.times.push(took);
    }
    if (index > 0 && index % 50 === 0) stand.say(`history ${index}/${size.probes}`);
  }
  desk.close();
  for (const line of lines) line.close();
  for (const system of systems) for (const program of system.programs.toReversed()) await program.stop(5_000);
  const [empty, large] = systems;
  const samples = { product: large?.times ?? [], floor: empty?.times ?? [] };
  const failed = systems.reduce((sum, system) => sum + system.failed, 0);
  const stored = size.storedMessages.toLocaleString('en-US');
  return [
    rowOf(`one turn with ${stored} stored messages, p95`, 95, samples, { atMost: 1.25 }, failed),
    rowOf('the same, p50', 50, samples, null, 0),
  ];
}

/** The contacts who are known to both installations; the instance is made when it is not there. */
const KNOWN_CONTACTS = `
  do $$
  declare v instances; v_contact bigint; v_conversation bigint; v_phone text;
  begin
    v := ensure_instance('julia-bench', null);
    for i in 0..${KNOWN - 1} loop
      v_phone := '551198${GROUP}' || lpad(i::text, 4, '0') || '1';
      insert into contacts (tenant_id, name) values ('default', 'Contato ' || i) returning id into v_contact;
      insert into contact_addresses (tenant_id, instance_id, contact_id, kind, address) values ('default', v.id, v_contact, 'pn', v_phone);
      insert into conversations (tenant_id, instance_id, contact_id, jid, last_seq, inbound_seq) values ('default', v.id, v_contact, v_phone || '@s.whatsapp.net', ${EARLIER}, ${EARLIER / 2})
        returning id into v_conversation;
      insert into messages (tenant_id, instance_id, conversation_id, seq, direction, author, status, text, provider_id, provider_at, created_at, kind)
        select 'default', v.id, v_conversation, m, case when m % 2 = 1 then 'in' else 'out' end, case when m % 2 = 1 then 'contact' else 'agent' end,
          case when m % 2 = 1 then 'answered' else 'read' end, 'Mensagem ' || m, '3C' || v_conversation || 'X' || m, now() - interval '2 days', now() - interval '2 days',
          case when m % 2 = 0 then 'reply' end
        from generate_series(1, ${EARLIER}) m;
    end loop;
  end $$`;

async function hashOfMigrations(): Promise<string> {
  const folder = path.join(projectRoot, 'supabase/migrations');
  const hash = createHash('sha256').update(await readFile(path.join(import.meta.dirname, 'stored.ts')));
  for (const name of (await readdir(folder)).sort()) hash.update(await readFile(path.join(folder, name)));
  return hash.digest('hex').slice(0, 12);
}

function rowOf(name: string, percent: number, samples: Row['samples'], bar: Row['bar'], failed: number): Row {
  const product = percentile(samples.product, percent);
  const floor = percentile(samples.floor, percent);
  return {
    figure: 'history',
    name,
    unit: 'ms',
    product,
    floor,
    floorName: 'empty',
    compared: 'ratio',
    ratio: product / floor,
    bar,
    failed,
    samples,
  };
}
