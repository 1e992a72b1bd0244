/** Configuration of what listens: ports, limits, and which strangers may see what. */
import { runs } from '../process/liveness.ts';
import type { Report } from './environment.ts';
import type { Variables } from './variables.ts';

export type Http = {
  readonly host: string;
  /** null: this process serves no HTTP (a worker or scheduler without PORT and OPS_PORT). */
  readonly port: number | null;
  readonly corsOrigins: readonly string[];
  readonly maxWebhookBytes: number;
  /** Requests of one caller in a minute; 0: any number. */
  readonly rateLimit: number;
  /** Webhooks of one source and tenant in 10 s that have the right secret, and those that have not; 0: any number. */
  readonly webhookRateLimit: number;
  readonly webhookRefusedRateLimit: number;
  /** Proxies of ours before the api: whose word in X-Forwarded-For is believed. */
  readonly trustedProxyHops: number;
  /** /docs and /openapi.json are served. */
  readonly docs: boolean;
  /** /health/* and /metrics tell everybody names, volumes and money. */
  readonly openDetails: boolean;
  /** Who brings it reads all of /metrics. */
  readonly metricsToken: string | null;
};

const DEFAULT_API_PORT = 8000;

/** A worker and a scheduler serve the ops routes only when a port is asked for; OPS_PORT wins, so that modes may share one file. */
export function http(v: Variables, mode: string | null, production: boolean, report: Report): Http {
  if (production && v.CORS_ORIGINS.includes('*')) report.problem('CORS_ORIGINS: must list origins in production, * is refused');
  if (v.METRICS_TOKEN !== undefined && v.METRICS_TOKEN.length < 16)
    report.problem('METRICS_TOKEN: must have at least 16 characters; make one with `openssl rand -hex 16`');
  const port = mode !== null && runs(mode, 'api') ? (v.PORT ?? DEFAULT_API_PORT) : mode === 'admin' ? null : (v.OPS_PORT ?? v.PORT ?? null);
  return {
    host: v.BIND_HOST,
    port,
    corsOrigins: v.CORS_ORIGINS,
    maxWebhookBytes: v.MAX_WEBHOOK_MB * 1024 * 1024,
    rateLimit: v.API_RATE_LIMIT,
    webhookRateLimit: v.WEBHOOK_RATE_LIMIT,
    webhookRefusedRateLimit: v.WEBHOOK_REFUSED_RATE_LIMIT,
    trustedProxyHops: v.TRUSTED_PROXY_HOPS,
    docs: v.API_DOCS,
    openDetails: v.HEALTH_DETAILS === 'public',
    metricsToken: v.METRICS_TOKEN ?? null,
  };
}
