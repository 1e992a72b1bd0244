/** Chance instead of a matrix: many contacts write for some minutes, and each few seconds something is struck. The seed decides all of it. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Mode } from '../scripts/lib/installation.ts';
import { dataDirectory } from '../scripts/lib/tools.ts';
import { createRandom, type Random } from '../simulator/clock.ts';
import type { Simulator } from '../simulator/index.ts';
import type { Backend } from './cells.ts';
import type { Writer } from './conversations.ts';
import { judge, type Verdict } from './judge.ts';
import { keepEvidence, provoke, settle, type BatchOptions } from './run-batch.ts';
import { startStack, type Stack } from './stack.ts';

export type RandomOptions = Pick<BatchOptions, 'seed' | 'directory' | 'signal'> & {
  backends: Backend[];
  messages: number;
  say: (text: string) => void;
};

const INSTANCE = 'chaos-random';
const CONTACTS = 100;
/** A message each 150 ms: a thousand take two and a half minutes. */
const MESSAGE_MS = 150;
/** So much one contact writes at most in such a time: who writes 14 times in two minutes is a machine for the product (turns/checks/abuse.ts), and is not answered. */
const VOLLEY = { most: 12, ms: 150_000 };
const BLOW_MS = { least: 3_000, most: 7_000 };
/** An uncertain send is looked up until two minutes after its claim; behind it stand others. */
const SETTLE_MS = 250_000;
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
  const clean = Object.values(verdicts).every(({ wrong }) => wrong.length === 0);
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
    gates: false,
    seed: options.seed,
  });
  try {
    const { writers, write } = openContacts(stack.simulator, options.messages);
    const started = Date.now();
    say(`${backend}: ${plan.writes.length} messages of ${CONTACTS} contacts, ${plan.blows.length} blows`);
    await Promise.all([
      writeAll(plan, write, started, signal),
      strikeAll(plan, stack, started, signal, (text) => say(`${backend}: ${text}`)),
    ]);
    let looks = 0;
    const tell = (open: number): void => {
      if (looks++ % 40 === 0) say(`${backend}: ${open} rows under way`);
    };
    await settle(stack, INSTANCE, writers, SETTLE_MS, signal, tell);
    await provoke(stack, INSTANCE, writers);
    await delay(QUIET_MS, undefined, { signal });
    await settle(stack, INSTANCE, writers, SETTLE_MS, signal, tell);
    const verdict = await judge(stack, INSTANCE, writers);
    const { inbound, answered, lost, doubled, reordered, person } = verdict;
    say(
      `${backend}: ${inbound} messages, ${answered} answered, ${lost} lost, ${doubled} doubled, ${reordered} reordered, ${person} conversations with a person; ` +
        `${JSON.stringify(verdict.outcomes)}; seed ${options.seed}`,
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
  const writes: Plan['writes'] = [];
  for (let index = 0; index < messages; index++) {
    const recent = writes.slice(-VOLLEY.ms / MESSAGE_MS);
    const isEager = (contact: number): boolean => recent.filter((write) => write.contact === contact).length >= VOLLEY.most;
    let contact = Math.floor(random.next() * CONTACTS);
    while (isEager(contact)) contact = (contact + 1) % CONTACTS;
    writes.push({ atMs: index * MESSAGE_MS, contact });
  }
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

function openContacts(simulator: Simulator, messages: number): { writers: Writer[]; write: (contact: number) => void } {
  const script = Array.from({ length: messages }, (_, index) => {
    const tag = `r${String(index).padStart(4, '0')};`;
    const more = index % 5 === 0 ? `\n\nContinuação ${tag} ${'dois '.repeat(55).trim()}.` : '';
    return { tag, answer: `Resposta ${tag} ${'um '.repeat(index % 5 === 0 ? 45 : 5).trim()}.${more}` };
  });
  // A burst is answered by its newest message.
  simulator.script(script.toReversed().map(({ tag, answer }) => ({ match: tag, text: answer, repeat: true })));
  const contacts = Array.from({ length: CONTACTS }, (_, index) => {
    const phone = `55119${90_000_000 + index}`;
    const { id } = simulator.addContact({ name: `Contato ${index + 1}`, phone });
    const writer: Writer = { instance: INSTANCE, jid: `${phone}@s.whatsapp.net`, written: [] };
    return { id, writer };
  });
  const left = script.values();
  return {
    writers: contacts.map(({ writer }) => writer),
    write(contact) {
      const { value: next } = left.next();
      const to = contacts[contact];
      if (!next || !to) return;
      const { id } = simulator.inbound({ contactId: to.id, text: `Pergunta ${next.tag}` });
      to.writer.written.push({ id, ...next });
    },
  };
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
