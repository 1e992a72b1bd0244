import { setTimeout as delay } from 'node:timers/promises';
import { HTTPException } from 'hono/http-exception';
import type { Context } from '../context.ts';
import type { Process } from './ops.ts';

/** The context, or 503 while the process still waits for its database and queue. */
export function contextOf(process: Process): Context {
  if (process.context === null) throw new HTTPException(503, { message: 'starting; try again' });
  return process.context;
}

/** A start takes 1.5 s; longer than this the database or the queue is unavailable, and who asks had better come again. Milliseconds. */
const START_MS = 10_000;
const LOOK_MS = 25;

/** The context, which a process that has just been started is waited for: not every balancer asks /ready before it sends a copy its share. Null when it takes longer. */
export async function contextSoon(process: Process): Promise<Context | null> {
  for (let waited = 0; process.context === null && waited < START_MS && !process.stopping; waited += LOOK_MS) await delay(LOOK_MS);
  return process.context;
}
