/** Chance instead of a matrix: many contacts write for some minutes, and each few seconds something is struck. The seed decides all of it. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { dataDirectory } from '../lib/tools.ts';
import { createRandom, type Random } from '../simulator/clock.ts';
import type { Simulator } from '../simulator/index.ts';
import type { ScriptTurn } from '../simulator/types.ts';
import type { Backend } from './cells.ts';
import type { Conversation } from './conversations.ts';
import { judge, unsettled, type Verdict } from './judge.ts';
import { keepEvidence, type BatchOptions } from './run-batch.ts';
import { startStack, type Mode, type Stack } from './stack.ts';

export type RandomOptions = Pick<BatchOptions, 'seed' | 'directory' | 'signal'> & {
  backends: Backend[];
  messages: number;
  say: (text: string) => void;
};

const INSTANCE = 'chaos-random';
const CONTACTS = 100;
/** A message each 150 ms: a thousand take two and a half minutes. */
const MESSAGE_MS = 150;
const BLOW_MS = { least: 3_000, most: 7_000 };
/** An uncertain send is looked up for 253 s. */
const SETTLE_MS = 330_000;
/** Until a job of a dead worker has been taken up again a second answer may come. */
const QUIET_MS = 25_000;

type Blow = { atMs: number; name: string; run(stack: Stack): Promise<void> };
type Plan = { writes: { atMs: number; contact: number }[]; blows: Blow[] };

/** Runs it once for each backend; resolves with the exit code. */
export async function runRandom(options: RandomOptions): Promise<number> {
  const verdicts: Record<string, Verdict & { troubles: string[] }> = {};
  for (const backend of options.backends) {
    if (options.signal.aborted) break;
    verdicts[backend] = await runOnce(backend, options);
  }
  await writeFile(path.join(dataDirectory, 'chaos-random.json'), `${JSON.stringify({ seed: options.seed, verdicts }, null, 2)}\n`);
  const clean = Object.values(verdicts).every(({ lost, doubled, reordered }) => lost + doubled + reordered === 0);
  return clean && Object.keys(verdicts).length === options.backends.length ? 0 : 1;
}

async function runOnce(backend: Backend, options: RandomOptions): Promise<Verdict & { troubles: string[] }> {
  const { say, signal } = options;
  const plan = makePlan(createRandom(options.seed), options.messages, backend);
  const stack = await startStack({
    backend,
    instances: [INSTANCE],
    directory: path.join(options.directory, backend),
    postgres: null,
    seed: options.seed,
  });
  try {
    const { conversations, write } = openContacts(stack.simulator, options.messages);
    const started = Date.now();
    say(`${backend}: ${plan.writes.length} messages of ${CONTACTS} contacts, ${plan.blows.length} blows`);
    await Promise.all([
      writeAll(plan, write, started, signal),
      strikeAll(plan, stack, started, signal, (text) => say(`${backend}: ${text}`)),
    ]);
    const expected = conversations.flatMap(({ inbound }) => inbound);
    const open = await settle(stack, expected, options, backend);
    await delay(QUIET_MS, undefined, { signal });
    const verdict = await judge(stack, INSTANCE, conversations);
    const { inbound, answered, lost, doubled, reordered, person } = verdict;
    say(
      `${backend}: ${inbound} messages, ${answered} answered, ${lost} lost, ${doubled} doubled, ${reordered} reordered, ${person} conversations with a person; ` +
        `${JSON.stringify(verdict.outcomes)}${open > 0 ? `; ${open} rows still under way` : ''}; seed ${options.seed}`,
    );
    const wrong = [...verdict.wrong, ...stack.troubles];
    for (const each of wrong.slice(0, 20)) say(`  ${each}`);
    if (wrong.length > 0 || verdict.person > 0) await keepEvidence(stack, path.join(options.directory, backend), wrong);
    return { ...verdict, troubles: stack.troubles };
  } finally {
    await stack.close();
  }
}

function makePlan(random: Random, messages: number, backend: Backend): Plan {
  const writes = Array.from({ length: messages }, (_, index) => ({
    atMs: index * MESSAGE_MS,
    contact: Math.floor(random.next() * CONTACTS),
  }));
  const blows: Blow[] = [];
  const step = (): number => BLOW_MS.least + random.next() * (BLOW_MS.most - BLOW_MS.least);
  for (let atMs = step(); atMs < messages * MESSAGE_MS; atMs += step()) blows.push({ atMs, ...pickBlow(random, backend) });
  return { writes, blows };
}

function pickBlow(random: Random, backend: Backend): Omit<Blow, 'atMs'> {
  const kill = (modes: Mode[]): Omit<Blow, 'atMs'> => ({ name: `SIGKILL ${modes.join(' ')}`, run: (stack) => stack.kill(modes) });
  const window = (kind: string, rest: Record<string, unknown>): Omit<Blow, 'atMs'> => ({
    name: `Evolution: ${kind} for 3 s`,
    async run({ simulator }) {
      const { id } = simulator.fault({ target: 'send', kind, times: null, ...rest });
      await delay(3_000);
      simulator.clearFaults(id);
    },
  });
  const weighted: [number, Omit<Blow, 'atMs'>][] = [
    [8, kill(['worker'])],
    [4, kill(['api'])],
    [1, kill(['scheduler'])],
    [2, kill(['api', 'worker', 'scheduler'])],
    [3, { name: 'SIGTERM worker', run: (stack) => stack.terminate(['worker']).ready }],
    [1, { name: 'queue flushed', run: (stack) => stack.flushQueue() }],
    [backend === 'redis' ? 1 : 0, { name: 'queue restarted', run: async (stack) => stack.redis?.restart() }],
    [1, { name: 'Postgres restarted', run: (stack) => stack.postgres.restart() }],
    [1, window('status', { status: 500 })],
    [1, window('drop', { sent: true })],
    [2, { name: 'last webhook repeated', run: async ({ simulator }) => void (await simulator.repeatWebhook({ times: 3 })) }],
    [
      2,
      {
        name: 'three webhooks delayed',
        run: async ({ simulator }) => void simulator.fault({ target: 'webhook', kind: 'delay', ms: 1_500, times: 3 }),
      },
    ],
  ];
  let left = random.next() * weighted.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, blow] of weighted) {
    left -= weight;
    if (left < 0) return blow;
  }
  return kill(['worker']);
}

function openContacts(simulator: Simulator, messages: number): { conversations: Conversation[]; write: (contact: number) => void } {
  const tag = (message: number): string => `r${String(message).padStart(4, '0')};`;
  let written = 0;
  const conversations = Array.from({ length: CONTACTS }, (_, index): Conversation => {
    const phone = `55119${90_000_000 + index}`;
    const contact = simulator.addContact({ name: `Contato ${index + 1}`, phone });
    const inbound: string[] = [];
    return {
      instance: INSTANCE,
      contactId: contact.id,
      jid: `${phone}@s.whatsapp.net`,
      inbound,
      write() {
        const { id } = simulator.inbound({ contactId: contact.id, text: `Pergunta ${tag(written++)}` });
        inbound.push(id);
        return id;
      },
      tag,
      answer: (message) => `Resposta ${tag(message)}`,
    };
  });
  const turns = Array.from({ length: messages }, (_, index): ScriptTurn => {
    const more = index % 5 === 0 ? `\n\nContinuação ${tag(index)} ${'dois '.repeat(55).trim()}.` : '';
    const first = `Resposta ${tag(index)} ${'um '.repeat(index % 5 === 0 ? 45 : 5).trim()}.`;
    return { match: tag(index), text: `${first}${more}`, repeat: true };
  });
  // A burst is answered by its newest message.
  simulator.script(turns.toReversed());
  return { conversations, write: (contact) => void conversations[contact]?.write() };
}

async function writeAll(plan: Plan, write: (contact: number) => void, started: number, signal: AbortSignal): Promise<void> {
  for (const { atMs, contact } of plan.writes) {
    await delay(Math.max(0, started + atMs - Date.now()), undefined, { signal });
    write(contact);
  }
}

/** One blow after the other, each when the one before it is over. */
async function strikeAll(plan: Plan, stack: Stack, started: number, signal: AbortSignal, say: (text: string) => void): Promise<void> {
  for (const blow of plan.blows) {
    await delay(Math.max(0, started + blow.atMs - Date.now()), undefined, { signal });
    if (Date.now() - started > (plan.writes.at(-1)?.atMs ?? 0) + BLOW_MS.most) return;
    say(`${Math.round((Date.now() - started) / 1000)} s  ${blow.name}`);
    await blow.run(stack);
  }
}

async function settle(stack: Stack, expected: readonly string[], options: RandomOptions, backend: Backend): Promise<number> {
  const started = Date.now();
  let open = expected.length;
  for (let round = 0; Date.now() - started < SETTLE_MS; round++) {
    open = await unsettled(stack, INSTANCE, expected).catch(() => open);
    if (open === 0) return 0;
    if (round % 20 === 0) options.say(`${backend}: ${open} rows under way`);
    await delay(1_000, undefined, { signal: options.signal });
  }
  return open;
}
