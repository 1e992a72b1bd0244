/** The routes that every mode serves: is it alive, is it ready, what does it count. */
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import { deepHealth, health, readiness } from './health.ts';
import type { Routes } from './routes/table.ts';

/** A process from its first second: the context is null until the database and the queue have answered; `waiting` says why not yet, in words. */
export type Process = { config: Config; context: Context | null; stopping: boolean; waiting?: string };

export function opsRoutes(routes: Routes, process: Process): void {
  routes.get('/health', { ...OPS, unlimited: true, summary: 'the process lives', answers: { 200: 'always, whatever it stands on' } }, (c) =>
    c.json(health(process.config)),
  );
  routes.get(
    '/health/deep',
    {
      ...OPS,
      summary: 'what is wrong, in words',
      details:
        '`status` is healthy, degraded (everything answers, something needs a person) or unhealthy; `reasons` says why, worst first.',
      answers: { 200: 'healthy or degraded', 503: 'unhealthy: the database, the queue or the schema is not there' },
    },
    async (c) => {
      const body = await deepHealth(process.config, process.context, process.waiting);
      return c.json(body, body.status === 'unhealthy' ? 503 : 200);
    },
  );
  routes.get(
    ['/ready', '/health/ready'],
    {
      ...OPS,
      unlimited: true,
      summary: 'may get traffic',
      answers: { 200: 'ready', 503: 'starting, stopping, or something that it needs is away' },
    },
    async (c) => {
      const body = await readiness(process.context);
      const ready = body.ready && !process.stopping;
      return c.json({ ...body, ready }, ready ? 200 : 503);
    },
  );
  routes.get(
    '/metrics',
    {
      ...OPS,
      unlimited: true,
      summary: 'figures for Prometheus',
      answers: { 200: { means: 'the text format of Prometheus', type: 'text/plain' }, 503: 'starting' },
    },
    async (c) => {
      const registry = process.context?.events.registry;
      if (!registry) return c.text('', 503);
      return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
    },
  );
}

const OPS = { tag: 'health', access: 'public' } as const;
