// The simulator as a process of its own for the bench: no acks, no echoes, no noise, the model answers one text at once. It prints
// `ready URL KEY`, then a line for each bunch of sends: `sent JID MICROSECONDS ID JID MICROSECONDS ID ...`, in the time of CLOCK_MONOTONIC, which
// all processes of a machine share.
import { startSimulator } from '../simulator/index.ts';
import { INSTANCES, SLOW_MS, SLOW_WORDS } from './messages.ts';

const simulator = await startSimulator({ instances: [...INSTANCES], noise: false, ackMs: null });
const ANSWER = 'Oi! Abrimos aos sábados, das 8h às 13h. A consulta dura quarenta minutos. Quer que eu marque um horário?';
simulator.script([
  { match: SLOW_WORDS, text: ANSWER, delayMs: SLOW_MS, repeat: true },
  { text: ANSWER, repeat: true },
]);

let waiting: string[] = [];
simulator.on((event) => {
  if (event.type !== 'send' || event.send.id === null) return;
  if (waiting.length === 0) setImmediate(flush);
  waiting.push(event.send.jid ?? '', String(process.hrtime.bigint() / 1000n), event.send.id);
});

function flush(): void {
  process.stdout.write(`sent ${waiting.join(' ')}\n`);
  waiting = [];
}

process.stdout.write(`ready ${simulator.url} ${simulator.apiKey}\n`);
process.once('SIGTERM', () => void simulator.close());
