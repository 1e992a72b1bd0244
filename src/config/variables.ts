/**
 * Every environment variable that the product knows, with its kind and default. What is required when, and which variables go together,
 * is said in config.ts and config/features.ts: here all are optional, so that one bad value does not hide the next problem.
 */
import { z } from 'zod';

import { DEFAULT_COMPLEX_MODEL, DEFAULT_MODEL, EFFORTS } from '../claude/models.ts';
import { isNumberName } from '../words/number-name.ts';
import {
  bool,
  days,
  environmentName,
  integer,
  logLevel,
  oneOf,
  originsOrStar,
  phone,
  phonesOrStar,
  price,
  share,
  slackUsers,
  text,
  timeOfDay,
  timeZone,
  url,
  weekdays,
} from './variable-types.ts';

const http = () => url('http:', 'https:');
const postgres = () => url('postgres:', 'postgresql:');
const DAY_SECONDS = 86_400;

export const variables = z.object({
  // Process. RUN_MODE is compared exactly, in config.ts.
  RUN_MODE: text().optional(),
  ENVIRONMENT: environmentName().optional(),
  APP_ENV: environmentName().optional(),
  APP_NAME: text().default('Agente Julia'),
  APP_BASE_URL: http().optional(),
  NOME_EMPRESA: text().default('Revoluna'),
  DEBUG: bool().default(false),
  TZ: timeZone().default('America/Sao_Paulo'),
  GIT_SHA: text().optional(),
  RAILWAY_GIT_COMMIT_SHA: text().optional(),
  BUILD_TIME: text().optional(),
  SHUTDOWN_GRACE_MS: integer(0, 600_000).default(25_000),

  // HTTP
  PORT: integer(1, 65_535).optional(),
  OPS_PORT: integer(1, 65_535).optional(),
  BIND_HOST: text().default('0.0.0.0'),
  CORS_ORIGINS: originsOrStar().default([]),
  MAX_WEBHOOK_MB: integer(1, 512).default(16),
  API_DOCS: bool().default(true),
  HEALTH_DETAILS: oneOf(['token', 'public']).default('token'),
  METRICS_TOKEN: text().optional(),
  API_RATE_LIMIT: integer(0, 1_000_000).default(600),
  WEBHOOK_RATE_LIMIT: integer(0, 1_000_000).default(0),
  WEBHOOK_REFUSED_RATE_LIMIT: integer(0, 1_000_000).default(60),
  TRUSTED_PROXY_HOPS: integer(0, 10).default(0),
  JWT_SECRET_KEY: text().optional(),
  JWT_SECRET_KEY_PREVIOUS: text().optional(),
  TOKEN_MAX_DAYS: integer(1, 3_650).default(90),

  // Log
  LOG_LEVEL: logLevel().default('INFO'),
  LOG_PRETTY: bool().default(false),

  // Traces
  OTEL_EXPORTER_OTLP_ENDPOINT: http().optional(),
  OTEL_EXPORTER_OTLP_HEADERS: text().optional(),
  OTEL_TRACES_SAMPLER_ARG: share().default(1),

  // Database and queue
  DATABASE_URL: postgres().optional(),
  // Of the owner of the tables, where the product itself comes with fewer rights: for migrations, backups and restores.
  MIGRATE_DATABASE_URL: postgres().optional(),
  SUPABASE_URL: http().optional(),
  SUPABASE_SERVICE_KEY: text().optional(),
  SUPABASE_DB_URL: postgres().optional(),
  SUPABASE_PROJECT_REF: text().optional(),
  REDIS_URL: url('redis:', 'rediss:').optional(),
  DATABASE_BREAKER_FAILURES: integer(1, 1000).default(5),
  DATABASE_BREAKER_RESET_SECONDS: integer(1, DAY_SECONDS).default(30),
  DATABASE_BREAKER_MAX_RESET_SECONDS: integer(1, DAY_SECONDS).default(120),

  // WhatsApp
  EVOLUTION_API_URL: http().optional(),
  EVOLUTION_API_KEY: text().optional(),
  EVOLUTION_INSTANCE: text().refine(isNumberName, 'must be a name without / \\ % ? # ;').optional(),
  EVOLUTION_WEBHOOK_SECRET: text().optional(),
  EVOLUTION_WEBHOOK_SECRET_PREVIOUS: text().optional(),
  EVOLUTION_BREAKER_FAILURES: integer(1, 1000).default(5),
  EVOLUTION_BREAKER_RESET_SECONDS: integer(1, DAY_SECONDS).default(300),
  EVOLUTION_BREAKER_MAX_RESET_SECONDS: integer(1, DAY_SECONDS).default(1800),
  EVOLUTION_AUTO_RESTART: bool().default(true),
  MULTI_CHIP_ENABLED: bool().default(true),
  OUTBOUND_ALLOWLIST: phonesOrStar().default([]),
  GESTOR_WHATSAPP: phone().optional(),
  GESTOR_PAUSAR_SEM_CODIGO: bool().default(true),

  // Limits
  HORARIO_INICIO: timeOfDay().default('08:00'),
  HORARIO_FIM: timeOfDay().default('20:00'),
  HORARIO_DIAS: weekdays().default([1, 2, 3, 4, 5, 6]),
  HORARIO_FERIADOS: bool().default(false),
  MAX_MSGS_POR_HORA: integer(0, 100_000).default(20),
  MAX_MSGS_POR_DIA: integer(0, 1_000_000).default(100),
  MAX_RESPOSTAS_POR_HORA: integer(0, 1_000_000).default(2000),
  MAX_CAMPANHAS_POR_HORA: integer(0, 100_000).optional(),
  MAX_FOLLOW_UPS_POR_HORA: integer(0, 100_000).optional(),
  MAX_PROSPECCOES_POR_HORA: integer(0, 100_000).optional(),
  MAX_DESCONHECIDOS_POR_DIA: integer(0, 1_000_000).optional(),
  MAX_POR_CONTATO_HORA: integer(0, 10_000).default(3),
  MAX_POR_CONTATO_SEMANA: integer(0, 10_000).default(5),
  MAX_SEM_RESPOSTA: integer(1, 10_000).default(2),
  DIAS_ENTRE_CAMPANHAS: integer(0, 365).default(3),
  MIN_RESPOSTAS_PERCENT: integer(0, 100).default(0),
  RATE_LIMIT_INTERVALO_MIN: integer(0, DAY_SECONDS).default(45),
  RATE_LIMIT_INTERVALO_MAX: integer(0, DAY_SECONDS).default(180),

  // Conversation and turn
  DEBOUNCE_MS: integer(0, 60_000).default(3000),
  DEBOUNCE_MAX_MS: integer(0, 600_000).default(15_000),
  HUMAN_DELAY: bool().default(true),
  MAX_MESSAGE_AGE_MINUTES: integer(1, 43_200).default(120),
  WITHDRAW_UNSENT_PARTS: bool().default(true),
  TAKEOVER_MINUTES: integer(1, 10_080).default(30),
  TAKEOVER_FROM_API: bool().default(false),
  HANDOFF_REMINDER_MINUTES: integer(1, 10_080).default(10),
  HANDOFF_TIMEOUT_HOURS: integer(0, 8_760).default(24),
  ABUSE_GATES: bool().default(true),
  MAX_TURNOS_CONTATO_DIA: integer(1, 100_000).default(100),
  MAX_TOKENS_CONTATO_DIA: integer(1, 1_000_000_000).default(1_000_000),
  WORKER_CONCURRENCY: integer(1, 1000).optional(),
  PIPELINE_MAX_CONCURRENT: integer(1, 1000).optional(),

  // Retention, in days; 0 keeps for good. A message that is needed to know repeats by must not go too soon.
  RETENTION_WEBHOOKS_DAYS: integer(1, 365).default(7),
  RETENTION_JOBS_DAYS: integer(1, 3650).default(30),
  RETENTION_TRANSCRIPTS_DAYS: days(1, 3650).default(90),
  RETENTION_MESSAGES_DAYS: days(30, 36_500).default(0),
  RETENTION_AUDIT_DAYS: days(30, 36_500).default(730),

  // Seals secrets that are kept in the database.
  SECRETS_KEY: text().optional(),
  SECRETS_KEY_PREVIOUS: text().optional(),

  // Backups. PG_BIN_DIR: where pg_dump and pg_restore of the server's version are.
  BACKUP_DIR: text().optional(),
  BACKUP_KEEP_DAYS: integer(1, 3650).default(30),
  BACKUP_ENCRYPTION_KEY: text().optional(),
  BACKUP_VERIFY_URL: postgres().optional(),
  PG_BIN_DIR: text().optional(),

  // Claude
  ANTHROPIC_API_KEY: text().optional(),
  ANTHROPIC_BASE_URL: http().optional(),
  LLM_MODEL: text().default(DEFAULT_MODEL),
  LLM_MODEL_COMPLEX: text().default(DEFAULT_COMPLEX_MODEL),
  LLM_EFFORT: oneOf(EFFORTS).default('low'),
  LLM_MAX_TOKENS: integer(1, 64_000).default(300),
  LLM_MAX_TOOL_ITERATIONS: integer(0, 20).default(3),
  LLM_TIMEOUT_SEGUNDOS: integer(1, 600).default(30),
  LLM_LOOP_TIMEOUT_SEGUNDOS: integer(1, 1800).default(60),
  CLAUDE_BREAKER_FAILURES: integer(1, 1000).default(3),
  CLAUDE_BREAKER_RESET_SECONDS: integer(1, DAY_SECONDS).default(60),
  CLAUDE_BREAKER_MAX_RESET_SECONDS: integer(1, DAY_SECONDS).default(300),

  // Embeddings
  VOYAGE_API_KEY: text().optional(),
  VOYAGE_MODEL: text().default('voyage-3.5-lite'),

  // What the agent may begin by itself
  PILOT_MODE: bool().default(false),
  DISCOVERY_AUTOMATICO_ENABLED: bool().default(false),
  OFERTA_AUTOMATICA_ENABLED: bool().default(false),
  REATIVACAO_AUTOMATICA_ENABLED: bool().default(false),
  FEEDBACK_AUTOMATICO_ENABLED: bool().default(false),

  // Chatwoot
  CHATWOOT_URL: http().optional(),
  CHATWOOT_API_KEY: text().optional(),
  CHATWOOT_ACCOUNT_ID: integer(1, 2_147_483_647).optional(),
  CHATWOOT_INBOX_ID: integer(1, 2_147_483_647).optional(),

  // Slack
  SLACK_WEBHOOK_URL: http().optional(),
  SLACK_CHANNEL: text().default('#julia-gestao'),
  SLACK_BOT_TOKEN: text().optional(),
  SLACK_SIGNING_SECRET: text().optional(),
  SLACK_ALLOWED_USERS: slackUsers().default([]),
  SLACK_API_URL: http().default('https://slack.com/api'),

  // Google Docs
  GOOGLE_APPLICATION_CREDENTIALS: text().optional(),
  GOOGLE_BRIEFINGS_FOLDER_ID: text().optional(),
  GOOGLE_TEMPLATES_FOLDER_ID: text().optional(),

  // WhatsApp Cloud API of Meta
  META_ACCESS_TOKEN: text().optional(),
  META_PHONE_NUMBER_ID: text().optional(),
  META_WABA_ID: text().optional(),
  META_APP_SECRET: text().optional(),
  META_WEBHOOK_VERIFY_TOKEN: text().optional(),
  META_GRAPH_API_VERSION: z
    .string()
    .regex(/^v\d{1,3}\.\d{1,2}$/, 'must be a version such as v23.0')
    .default('v23.0'),
  META_MM_LITE_ENABLED: bool().default(false),
  META_PRICING_MARKETING_USD: price().default(0.0625),
  META_PRICING_UTILITY_USD: price().default(0.035),

  // Of other products' manuals: accepted, so that their files start here unchanged, and named in a warning (see NOT_USED).
  JULIA_API_URL: text().optional(),
  JWT_SECRET: text().optional(),
  WHATSAPP_WEBHOOK_API_KEY: text().optional(),
  WHATSAPP_WEBHOOK_HMAC_SECRET: text().optional(),
  WHATSAPP_WEBHOOK_ENFORCE_SIGNATURE: bool().optional(),
  WHATSAPP_BROKER_URL: http().optional(),
  WHATSAPP_BROKER_API_KEY: text().optional(),
  PLATFORM_ADMIN_TOKEN: text().optional(),
  OUTBOUND_TPS_DEFAULT: integer(1, 1000).optional(),
  OUTBOUND_TPS_BY_INSTANCE: text().optional(),
});

export type Variables = z.output<typeof variables>;
export type VariableName = keyof Variables;

/** Variables that hold a secret, or an address with a password in it. Each can be read from a file named by `<NAME>_FILE`. */
export const SECRET_VARIABLES = [
  'JWT_SECRET_KEY',
  'JWT_SECRET_KEY_PREVIOUS',
  'METRICS_TOKEN',
  'OTEL_EXPORTER_OTLP_HEADERS',
  'DATABASE_URL',
  'MIGRATE_DATABASE_URL',
  'SUPABASE_SERVICE_KEY',
  'SUPABASE_DB_URL',
  'REDIS_URL',
  'SECRETS_KEY',
  'SECRETS_KEY_PREVIOUS',
  'BACKUP_ENCRYPTION_KEY',
  'BACKUP_VERIFY_URL',
  'EVOLUTION_API_KEY',
  'EVOLUTION_WEBHOOK_SECRET',
  'EVOLUTION_WEBHOOK_SECRET_PREVIOUS',
  'ANTHROPIC_API_KEY',
  'VOYAGE_API_KEY',
  'CHATWOOT_API_KEY',
  'SLACK_WEBHOOK_URL',
  'SLACK_BOT_TOKEN',
  'SLACK_SIGNING_SECRET',
  'META_ACCESS_TOKEN',
  'META_APP_SECRET',
  'META_WEBHOOK_VERIFY_TOKEN',
  'JWT_SECRET',
  'WHATSAPP_WEBHOOK_API_KEY',
  'WHATSAPP_WEBHOOK_HMAC_SECRET',
  'WHATSAPP_BROKER_API_KEY',
  'PLATFORM_ADMIN_TOKEN',
] as const satisfies readonly VariableName[];

const PER_TENANT = 'ignored; it belongs to one tenant and is stored with that tenant';

/** Known variables that nothing here reads, and why. Setting one gives a warning. */
export const NOT_USED: Partial<Record<VariableName, string>> = {
  JULIA_API_URL: 'ignored; the scheduler runs its jobs itself and does not call the API',
  JWT_SECRET: PER_TENANT,
  WHATSAPP_WEBHOOK_API_KEY: PER_TENANT,
  WHATSAPP_WEBHOOK_HMAC_SECRET: PER_TENANT,
  WHATSAPP_WEBHOOK_ENFORCE_SIGNATURE: 'ignored; webhooks are always authenticated',
  WHATSAPP_BROKER_URL: PER_TENANT,
  WHATSAPP_BROKER_API_KEY: PER_TENANT,
  PLATFORM_ADMIN_TOKEN: 'ignored; administrators come with a JWT signed with JWT_SECRET_KEY',
  OUTBOUND_TPS_DEFAULT: 'ignored; the pace is set by RATE_LIMIT_INTERVALO_MIN and RATE_LIMIT_INTERVALO_MAX',
  OUTBOUND_TPS_BY_INSTANCE: 'ignored; the pace of a number is stored with its instance',
};
