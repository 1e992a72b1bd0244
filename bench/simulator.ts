/** The bench's side of the simulator's process: who got an answer, and when. */
import { startGuarded } from '../scripts/lib/guarded-process.ts';
import { projectRoot } from '../scripts/lib/tools.ts';

/** `atUs`: the microseconds of `nowUs`; `id`: that of the message at WhatsApp. */
type SentListener = (jid: string, atUs: number, id: string) => void;

export type BenchSimulator = {
  url: string;
  apiKey: string;
  /** Calls `listener` for each message that has left. Returns what ends it. */
  onSent(listener: SentListener): () => void;
  stop(): Promise<void>;
};

/** Microseconds of the clock that all processes of this machine share. */
export function nowUs(): number {
  return Number(process.hrtime.bigint() / 1000n);
}

export async function startBenchSimulator(): Promise<BenchSimulator> {
  const listeners = new Set<SentListener>();
  const ready = Promise.withResolvers<{ url: string; apiKey: string }>();
  const lines: string[] = [];
  const server = await startGuarded(process.execPath, ['bench/simulator-process.ts'], {
    stopSignal: 'TERM',
    cwd: projectRoot,
    log: (line) => {
      const [kind, ...words] = line.split(' ');
      if (kind === 'sent') tell(listeners, words);
      else if (kind === 'ready') ready.resolve({ url: words[0] ?? '', apiKey: words[1] ?? '' });
      else lines.push(line);
    },
  });
  const ended = server.exited.then((code) => {
    throw new Error(`the simulator ended with code ${code}: ${lines.slice(-10).join('\n')}`);
  });
  ended.catch(() => {}); // who waits for a send runs into its own time limit
  const { url, apiKey } = await Promise.race([ready.promise, ended]);
  return {
    url,
    apiKey,
    onSent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop: () => server.stop(2_000),
  };
}

function tell(listeners: ReadonlySet<SentListener>, words: readonly string[]): void {
  for (let index = 0; index + 2 < words.length; index += 3) {
    for (const listener of listeners) listener(words[index] ?? '', Number(words[index + 1]), words[index + 2] ?? '');
  }
}
