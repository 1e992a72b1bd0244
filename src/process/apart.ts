/**
 * Work on a file that somebody sent, in a process of its own: a few hundred bytes can ask a parser for a billion objects, and a process that runs out of memory ends
 * with all that is in it. (Rejected: a worker thread with limits, whose end by memory was seen to end the whole process.) The child has no environment, so no secrets.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { z } from 'zod';
import { createLine } from './line.ts';

export type Apart<Value> = { ok: true; value: Value } | { ok: false; why: 'timeout' | 'crashed' };

/** Of the child's heap. */
const MEMORY_MB = 256;
/**
 * Of all that the child may write to, as the kernel counts it: what a file unpacks to lies beside the heap, and no setting of node's bounds that. node begins with
 * 660 MB, nearly all of them untouched, so some 400 MB are left for the work. (Linux; elsewhere the heap alone is bounded.)
 */
const DATA_KB = 1_048_576;
const BOUNDED = 'ulimit -d "$0" 2>/dev/null; exec "$@"';
/** What it may answer. Bytes. */
const MOST_ANSWER = 8 * 1024 * 1024;
/** So many children at once: each may take its memory. */
const MOST_AT_ONCE = 2;

const line = createLine(MOST_AT_ONCE);

/**
 * Runs a program of ours with `input` on its standard input, and reads one JSON value from its output. Contract: never rejects but for an answer that does not fit
 * `answer`, a fault of ours; the child ends with the answer, after `ms`, or when it has no memory left. Any number at once: they wait for a place.
 */
export async function runApart<Value>(program: URL, args: string[], work: Work<Value>): Promise<Apart<Value>> {
  return line.run(async () => runNow(program, args, work));
}

type Work<Value> = { input: Buffer; ms: number; answer: z.ZodType<Value> };

async function runNow<Value>(program: URL, args: string[], { input, ms, answer }: Work<Value>): Promise<Apart<Value>> {
  const command = [process.execPath, `--max-old-space-size=${MEMORY_MB}`, fileURLToPath(program), ...args];
  const child = spawn('/bin/sh', ['-c', BOUNDED, String(DATA_KB), ...command], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {},
  });
  let isLate = false;
  const timer = setTimeout(() => {
    isLate = true;
    child.kill('SIGKILL');
  }, ms);
  const parts: Buffer[] = [];
  let bytes = 0;
  child.stdout.on('data', (part: Buffer) => {
    bytes += part.length;
    if (bytes > MOST_ANSWER) child.kill('SIGKILL');
    else parts.push(part);
  });
  child.stdin.on('error', () => {}); // it ended before it had read all
  child.stdin.end(input);
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', () => resolve(null));
    child.once('close', (ended) => resolve(ended));
  });
  clearTimeout(timer);
  if (code !== 0) return { ok: false, why: isLate ? 'timeout' : 'crashed' };
  return { ok: true, value: answer.parse(JSON.parse(Buffer.concat(parts).toString())) };
}
