/** RUN_MODE=api: the routes of the API. Wiring only. */
import type { Hono } from 'hono';
import type { Env } from './http.ts';
import type { Process } from './ops.ts';
import { adminRoutes } from './routes/admin.ts';
import { evolutionRoutes } from './routes/evolution.ts';
import { healthRoutes } from './routes/health.ts';
import { messageRoutes } from './routes/messages.ts';

export function apiRoutes(app: Hono<Env>, process: Process): void {
  healthRoutes(app, process);
  evolutionRoutes(app, process);
  messageRoutes(app, process);
  adminRoutes(app, process);
}
