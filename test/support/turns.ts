/** Turns for tests, driven step by step: a message comes in by webhook, `runTurn` and `sendNext` are called by the test, no worker runs beside it. */
import assert from 'node:assert/strict';
import type { Context } from '../../src/context.ts';
import { sendNext } from '../../src/outbox/send.ts';
import { runTurn } from '../../src/turns/turn.ts';
import type { TurnEnd } from '../../src/turns/turn.ts';
import { startSystem } from './system.ts';
import type { System, SystemOptions } from './system.ts';

export type Stage = {
  system: System;
  /** The context of a worker that only the test drives. */
  ctx: Context;
  /** Maria's id in the simulator. */
  maria: string;
  /** Maria writes; resolves with her conversation once it is stored. */
  hear(text: string, more?: { ageMs?: number }): Promise<number>;
  /** The model's requests so far. */
  prompts(): Prompt[];
  /** Rows of the newest turns first to last, as `status(reason)`. */
  turns(): Promise<string[]>;
};
/** `texts` without the situation, which is the last thing that a prompt says. */
export type Prompt = { model: string; system: string; situation: string; texts: string[] };

/** A request as createLlm sends it: every content is a list of blocks. */
export function promptIn(model: string, request: unknown): Prompt {
  const { system, messages } = request as {
    system: { text: string }[];
    messages: { role: string; content: { type: string; text?: string }[] }[];
  };
  const all = messages.flatMap(({ role, content }) => content.map((block) => ({ role, text: block.text ?? block.type })));
  const isSituation = ({ role, text }: { role: string; text: string }): boolean =>
    role === 'system' || text.startsWith('[sistema: Agora: ');
  return {
    model,
    system: system.map((part) => part.text).join('\n'),
    situation: all.find(isSituation)?.text ?? '',
    texts: all.filter((each) => !isSituation(each)).map(({ role, text }) => `${role}: ${text}`),
  };
}

type TestHooks = { after(hook: () => Promise<void>): void };

export async function openStage(t: TestHooks, options: SystemOptions = {}): Promise<Stage> {
  const system = await startSystem(t, { workers: 0, ...options });
  const ctx = await system.openContext('worker');
  const maria = system.simulator.addContact({ name: 'Maria', phone: '5511912345678' }).id;
  return {
    system,
    ctx,
    maria,
    async hear(text, more = {}) {
      const { id } = system.simulator.inbound({ contactId: maria, text, ...more });
      const row = await system.until(
        async () =>
          (await system.query<{ conversation_id: string }>('select conversation_id from messages where provider_id = $1', [id]))[0],
        'the stored message',
      );
      return Number(row.conversation_id);
    },
    prompts: () => system.simulator.wire().claude.map(({ model, request }) => promptIn(model, request)),
    async turns() {
      const rows = await system.query<{ line: string }>(
        `select status || coalesce('(' || reason || ')', '') as line from turns order by id`,
      );
      return rows.map((row) => row.line);
    },
  };
}

export function turn(ctx: Context, conversation: number, signal = new AbortController().signal): Promise<TurnEnd> {
  return runTurn(ctx, conversation, signal);
}

/** Runs turns without their waits until nothing is left to do; resolves with the waits. */
export async function turnsUntilDone(ctx: Context, conversation: number): Promise<number[]> {
  const waits: number[] = [];
  for (let end = await turn(ctx, conversation); end.kind === 'again'; end = await turn(ctx, conversation)) {
    waits.push(end.delayMs);
    assert.ok(waits.length < 20, `turns without an end: ${waits.join(', ')}`);
  }
  return waits;
}

/** Sends what is due in the lane. */
export async function sendDue(ctx: Context, conversation: number): Promise<void> {
  let step = await sendNext(ctx, conversation);
  while (step.kind === 'next') step = await sendNext(ctx, conversation);
}

/** The same context, whose calls of one SQL function go through `around`, the n-th call (from 1) told. */
export function intercept(ctx: Context, name: string, around: (call: () => Promise<unknown>, nth: number) => Promise<unknown>): Context {
  let calls = 0;
  return {
    ...ctx,
    db: {
      ...ctx.db,
      call: (called, args) => (called === name ? around(() => ctx.db.call(called, args), ++calls) : ctx.db.call(called, args)),
    },
  };
}
