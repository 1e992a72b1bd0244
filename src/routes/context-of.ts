import { HTTPException } from 'hono/http-exception';
import type { Context } from '../context.ts';
import type { Process } from '../ops.ts';

/** The context, or 503 while the process still waits for its database and queue. */
export function contextOf(process: Process): Context {
  if (process.context === null) throw new HTTPException(503, { message: 'starting; try again' });
  return process.context;
}
