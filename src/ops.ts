/** The routes that every mode serves: is it alive, is it ready, what does it count. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import { publicMetrics } from './core/public-metrics.ts';
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
        '`status` is healthy, degraded (everything answers, something needs a person) or unhealthy; `reasons` says why, worst first: to a token of the tenant default with names and figures.',
      answers: { 200: 'healthy or degraded', 503: 'unhealthy: the database, the queue or the schema is not there' },
    },
    async (c) => {
      const body = await deepHealth(process.config, process.context, await routes.seesDetails(c), process.waiting);
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
      details: 'With METRICS_TOKEN as the bearer all of them; else no label names a number or a tenant, and nothing is money.',
      answers: { 200: { means: 'the text format of Prometheus', type: 'text/plain' }, 503: 'starting' },
    },
    async (c) => {
      const registry = process.context?.events.registry;
      if (!registry) return c.text('', 503);
      const type = { 'content-type': registry.contentType };
      const { http } = process.config;
      const all = http.openDetails || (http.metricsToken !== null && equal(bearerOf(c.req.header('authorization')), http.metricsToken));
      return c.body(all ? await registry.metrics() : publicMetrics(await registry.getMetricsAsJSON()), 200, type);
    },
  );
}

function bearerOf(authorization: string | undefined): string {
  return /^Bearer (.+)$/i.exec(authorization ?? '')?.[1]?.trim() ?? '';
}

/** Takes as long for any two texts. */
function equal(a: string, b: string): boolean {
  return timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
}

const OPS = { tag: 'health', access: 'public' } as const;
