/**
 * Every environment variable that the product knows. Its kind, its default and the sentence about it stand in fields/. What is required when,
 * and which variables go together, is said in config.ts and config/features.ts: here all are optional, so that one bad value does not hide
 * the next problem.
 */
import { z } from 'zod';

import { AUTONOMOUS, CLAUDE, CONVERSATION, EMBEDDINGS, SLACK, SPEECH, TOOLS } from './fields/conversation.ts';
import { IGNORED } from './fields/ignored.ts';
import { CHATWOOT, GOOGLE, META } from './fields/later.ts';
import { HTTP, LOG, PROCESS, TRACES } from './fields/process.ts';
import { BACKUPS, DATABASE, RETENTION, SECRETS } from './fields/storage.ts';
import { LIMITS, WHATSAPP } from './fields/whatsapp.ts';
import { wordsOf } from './told.ts';
import type { Subject } from './told.ts';

/** In the order in which they are told. */
export const SUBJECTS: readonly Subject[] = [
  PROCESS,
  HTTP,
  LOG,
  TRACES,
  DATABASE,
  WHATSAPP,
  LIMITS,
  CONVERSATION,
  CLAUDE,
  SPEECH,
  EMBEDDINGS,
  TOOLS,
  AUTONOMOUS,
  SLACK,
  RETENTION,
  SECRETS,
  BACKUPS,
  CHATWOOT,
  GOOGLE,
  META,
  IGNORED,
];

export const variables = z.object({
  ...PROCESS.fields,
  ...HTTP.fields,
  ...LOG.fields,
  ...TRACES.fields,
  ...DATABASE.fields,
  ...WHATSAPP.fields,
  ...LIMITS.fields,
  ...CONVERSATION.fields,
  ...CLAUDE.fields,
  ...SPEECH.fields,
  ...EMBEDDINGS.fields,
  ...TOOLS.fields,
  ...AUTONOMOUS.fields,
  ...SLACK.fields,
  ...RETENTION.fields,
  ...SECRETS.fields,
  ...BACKUPS.fields,
  ...CHATWOOT.fields,
  ...GOOGLE.fields,
  ...META.fields,
  ...IGNORED.fields,
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
  'STT_API_KEY',
  'VOYAGE_API_KEY',
  'GOOGLE_CREDENTIALS_JSON',
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

/** Known variables that nothing here reads, and why. Setting one gives a warning. */
export const NOT_USED: readonly (readonly [VariableName, string])[] = Object.entries(IGNORED.fields).map(([name, field]) => [
  // Object.entries widens the keys to string; they are keys of `variables`.
  name as VariableName,
  wordsOf(name, field).en,
]);
