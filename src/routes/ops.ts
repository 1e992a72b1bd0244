/** The routes that every mode serves: is it alive, is it ready, what does it count. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context as Request } from 'hono';
import { z } from 'zod';
import type { Config } from '../config.ts';
import type { Context } from '../context.ts';
import { publicMetrics } from './public-metrics.ts';
import { deepHealth, health, readiness } from '../watch/health.ts';
import type { Env } from './http.ts';
import * as schemas from './health-schemas.ts';
import type { Routes } from './table.ts';
import { shared } from './shared.ts';

/** A process from its first second: the context is null until the database and the queue have answered; `waiting` says why not yet, in words. */
export type Process = { config: Config; context: Context | null; stopping: boolean; waiting?: string };

/** A look at the database and the queue takes some milliseconds, mostly of theirs. */
const LOOKS_A_SECOND = 20;
/** A text of all metrics takes some 10 ms of ours, in which nobody else is served. */
const TEXTS_A_SECOND = 4;

export function opsRoutes(routes: Routes, process: Process): void {
  const { http } = process.config;
  // Strangers may ask, also in a loop. Nothing is worked out again for them.
  const ready = shared(LOOKS_A_SECOND, () => readiness(process.context));
  const deep = shared(LOOKS_A_SECOND, () => deepHealth(process.config, process.context, false, process.waiting));
  const deepDetailed = shared(LOOKS_A_SECOND, () => deepHealth(process.config, process.context, true, process.waiting));
  const allText = shared(TEXTS_A_SECOND, async () => (await process.context?.events.registry.metrics()) ?? null);
  const publicText = shared(TEXTS_A_SECOND, async () => {
    const figures = await process.context?.events.registry.getMetricsAsJSON();
    return figures === undefined ? null : publicMetrics(figures);
  });
  const isCollector = (c: Request<Env>): boolean =>
    http.metricsToken !== null && equal(bearerOf(c.req.header('authorization')), http.metricsToken);
  routes.get(
    ['/health', '/api/health'],
    {
      ...OPS,
      unlimited: true,
      summary: 'the process lives',
      answers: { 200: { means: 'always, whatever it stands on', schema: schemas.alive } },
    },
    (c) => c.json(health(process.config)),
  );
  routes.get(
    '/health/deep',
    {
      ...OPS,
      summary: 'what is wrong, in words',
      details:
        '`status` is healthy, degraded (everything answers, something needs a person) or unhealthy; `reasons` says why, worst first: to a token of the tenant default with names and figures.',
      answers: {
        200: { means: 'healthy or degraded', schema: schemas.deep },
        503: { means: 'unhealthy: the database, the queue or the schema is not there', schema: schemas.deep },
      },
    },
    async (c) => {
      const body = await ((await routes.seesDetails(c)) ? deepDetailed() : deep());
      return c.json(body, body.status === 'unhealthy' ? 503 : 200);
    },
  );
  routes.get(
    ['/ready', '/health/ready'],
    {
      ...OPS,
      unlimited: true,
      summary: 'may get traffic',
      answers: {
        200: { means: 'ready', schema: schemas.ready },
        503: { means: 'starting, stopping, or something that it needs is away', schema: schemas.ready },
      },
    },
    async (c) => {
      const body = await ready();
      const isReady = body.ready && !process.stopping;
      return c.json({ ...body, ready: isReady }, isReady ? 200 : 503);
    },
  );
  routes.get(
    '/metrics',
    {
      ...OPS,
      unlimited: isCollector,
      summary: 'figures for Prometheus',
      details:
        'With METRICS_TOKEN as the bearer all of them; else no label names a number or a tenant, nothing is money, and API_RATE_LIMIT counts.',
      answers: { 200: { means: 'the text format of Prometheus', type: 'text/plain', schema: z.string() }, 503: 'starting' },
    },
    async (c) => {
      const text = await (http.openDetails || isCollector(c) ? allText() : publicText());
      const registry = process.context?.events.registry;
      if (text === null || registry === undefined) return c.text('', 503);
      return c.body(text, 200, { 'content-type': registry.contentType });
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
