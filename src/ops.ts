/** The routes that every mode serves: is it alive, is it ready, what does it count. */
import { Hono } from 'hono';
import type { Config } from './config.ts';
import type { Context } from './context.ts';
import { deepHealth, health, readiness } from './health.ts';

/** A process from its first second: the context is null until the database and the queue have answered. */
export type Process = { config: Config; context: Context | null; stopping: boolean };

export function opsRoutes(process: Process): Hono {
  const app = new Hono();
  app.get('/health', (c) => c.json(health(process.config)));
  app.get('/health/deep', async (c) => {
    const body = await deepHealth(process.config, process.context);
    return c.json(body, body.status === 'unhealthy' ? 503 : 200);
  });
  const ready = async () => {
    const body = await readiness(process.context);
    return process.stopping ? { ...body, ready: false } : body;
  };
  for (const path of ['/ready', '/health/ready']) {
    app.get(path, async (c) => {
      const body = await ready();
      return c.json(body, body.ready ? 200 : 503);
    });
  }
  app.get('/metrics', async (c) => {
    const registry = process.context?.events.registry;
    if (!registry) return c.text('', 503);
    return c.body(await registry.metrics(), 200, { 'content-type': registry.contentType });
  });
  return app;
}
