/**
 * The project at Railway: three services from this repository's Dockerfile, and Redis. `railway config plan` shows what would change,
 * `railway config apply` does it; docs/railway.md tells the rest. (railway.json, the older way, is not read any more from December 2026 on.)
 */
import { defineRailway, preserve, project, redis, service } from 'railway/iac';

/** Set once, as shared variables of the environment; all three services read them. What you set besides belongs into this list. */
const SHARED = [
  'ENVIRONMENT',
  'NOME_EMPRESA',
  'APP_NAME',
  'TZ',
  'DATABASE_URL',
  'MIGRATE_DATABASE_URL',
  'SUPABASE_URL',
  'SUPABASE_SERVICE_KEY',
  'SUPABASE_DB_URL',
  'SUPABASE_PROJECT_REF',
  'SECRETS_KEY',
  'EVOLUTION_API_URL',
  'EVOLUTION_API_KEY',
  'EVOLUTION_INSTANCE',
  'EVOLUTION_WEBHOOK_SECRET',
  'JWT_SECRET_KEY',
  'ANTHROPIC_API_KEY',
  'STT_BASE_URL',
  'STT_API_KEY',
  'STT_MODEL',
  'VOYAGE_API_KEY',
  'VOYAGE_MODEL',
  'VOYAGE_BASE_URL',
  'HTTP_ALLOW_PRIVATE',
  'GOOGLE_CREDENTIALS_JSON',
  'GOOGLE_BRIEFINGS_FOLDER_ID',
  'GOOGLE_TEMPLATES_FOLDER_ID',
  'APP_BASE_URL',
  'GESTOR_WHATSAPP',
  'SLACK_WEBHOOK_URL',
  'SLACK_CHANNEL',
  'SLACK_BOT_TOKEN',
  'SLACK_SIGNING_SECRET',
  'SLACK_ALLOWED_USERS',
] as const;

export default defineRailway((ctx) => {
  const cache = redis('redis');
  const shared = Object.fromEntries(SHARED.map((name) => [name, ctx.shared[name]]));

  const mode = (name: 'api' | 'worker' | 'scheduler', replicas: number) =>
    service(`whats-agents-${name}`, {
      build: { builder: 'DOCKERFILE', dockerfilePath: 'Dockerfile' },
      // No start command: it would replace the image's entry point, which starts the mode that RUN_MODE names.
      replicas,
      deploy: {
        // The new copy takes over when it is ready: database, queue and schema are there. All modes answer it on PORT.
        healthcheckPath: '/ready',
        healthcheckTimeout: 120,
        restartPolicyType: 'ALWAYS',
        // the old one goes on for a while beside the new one, and has SHUTDOWN_GRACE_MS (25 s) and a little more to end
        overlapSeconds: 10,
        drainingSeconds: 30,
        // Before traffic, and once: the other two come after the api (scripts/deploy).
        ...(name === 'api' ? { preDeployCommand: ['node src/migrate.ts'] } : {}),
      },
      env: {
        ...shared,
        RUN_MODE: name,
        PORT: '8000',
        // Railway's edge; what comes over the private network has no such header
        TRUSTED_PROXY_HOPS: '1',
        REDIS_URL: cache.env.REDIS_URL,
        // written by each deploy
        GIT_SHA: preserve(),
        BUILD_TIME: preserve(),
      },
    });

  return project('whats-agents', { resources: [cache, mode('api', 2), mode('worker', 1), mode('scheduler', 1)] });
});
