/** A shop whose agent has the sample's business tools, and customers who ask it for things. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { ORDERS_TOKEN } from '../../simulator/orders.ts';
import { commandNamed, runCommand } from '../../src/admin/all.ts';
import type { Outcome } from '../../src/admin/command.ts';
import type { System } from './system.ts';

const SAMPLES = new URL('../../samples/ferramentas/', import.meta.url);
export const KEY = 'a-key-of-the-tests-that-is-long-enough';
const ADMIN = { id: 'cli:test', tenant: 'default' };

/** Somebody new for each test: the abuse gates count what one contact says. `paid` and `sent` are the numbers of its orders. */
export type Customer = { id: string; phone: string; paid: string; sent: string };
let customers = 0;
export function newCustomer(system: System, name = 'Maria'): Customer {
  const last = String(1_000 + ++customers);
  const phone = `551191234${last}`;
  return { ...system.simulator.addContact({ name, phone }), phone, paid: `${last}1`, sent: `${last}2` };
}

export type Json = Record<string, unknown>;

export async function command(system: System, name: string, args: Json, actor = ADMIN): Promise<Outcome<unknown>> {
  return runCommand(commandNamed(name), system.ctx, args, actor);
}

export async function done(system: System, name: string, args: Json): Promise<Json> {
  const outcome = await command(system, name, args);
  assert.ok(outcome.ok, JSON.stringify(outcome));
  return outcome.result as Json;
}

export async function sample(name: string): Promise<Json> {
  return JSON.parse(await readFile(new URL(`${name}.json`, SAMPLES), 'utf8')) as Json;
}

export async function addTools(system: System, changes: Json = {}): Promise<void> {
  await done(system, 'tool secret', { name: 'LOJA', value: ORDERS_TOKEN });
  await done(system, 'tool add', { tool: { ...(await sample('consultar_pedido')), timeout_ms: 1_500 }, origin: system.simulator.url });
  await done(system, 'tool add', {
    tool: { ...(await sample('cancelar_pedido')), timeout_ms: 1_500, ...changes },
    origin: system.simulator.url,
  });
}

export const look = (pedido: string) => ({ tools: [{ name: 'consultar_pedido', input: { pedido } }] });
export const cancel = (pedido: string, versao = 1, total = 149.9) => ({
  tools: [{ name: 'cancelar_pedido', input: { pedido, versao, total } }],
});

export const answers = (system: System): string[] => system.simulator.sends({ kind: 'text', sent: true }).map(({ text }) => text);
export const calls = (system: System) =>
  system.query<{ name: string; input: Json; output: string; ok: boolean }>('select name, input, output, ok from tool_calls order by id');
export const writes = (system: System) =>
  system.query<{ id: string; status: string; reason: string | null; risks: string[] }>(
    'select id::text, status, reason, risks from tool_writes order by id',
  );

/** The contact writes, the model does what the script says, and its last words arrive. */
export async function say(system: System, contactId: string, text: string, script: object[], answer: string): Promise<void> {
  system.simulator.script([...script, { text: answer }] as never);
  system.simulator.inbound({ contactId, text });
  await system.until(() => answers(system).includes(answer), answer);
}

export async function fresh(system: System): Promise<void> {
  await system.query('truncate tool_writes, approvals, tool_calls restart identity');
  await system.query(`update conversations set controlled_by = 'agent'; update handoffs set status = 'returned'`);
  system.simulator.reset({ keep: ['contacts'] });
}
