/** Postgres, the queue, and what is kept, sealed and backed up. */
import { days, integer, text, url } from '../variable-types.ts';
import { told } from '../told.ts';

const DAY_SECONDS = 86_400;

export const DATABASE = {
  title: { en: 'Database and queue', pt: 'Banco e fila' },
  fields: {
    DATABASE_URL: told(url('postgres:', 'postgresql:').optional(), {
      en: 'Postgres. Without it and without Supabase: an embedded one, refused in production',
      pt: 'Postgres. Sem ela e sem Supabase: um embutido, recusado em produção',
      example: 'postgres://postgres:postgres@localhost:5432/whats_agents',
    }),
    MIGRATE_DATABASE_URL: told(url('postgres:', 'postgresql:').optional(), {
      en: "the owner's address, where `DATABASE_URL` is that of a user with [fewer rights](security.md): for migrations, backups and restores only",
      pt: 'o endereço do dono, quando `DATABASE_URL` é a de um usuário com [menos direitos](security.pt-BR.md): só para migrações, backups e restaurações',
      example: 'postgres://whats_agents_owner:change-me@localhost:5432/whats_agents',
    }),
    SUPABASE_URL: told(url('http:', 'https:').optional(), {
      en: 'with `SUPABASE_SERVICE_KEY`: Supabase through its API, when `DATABASE_URL` is not set',
      pt: 'com `SUPABASE_SERVICE_KEY`: Supabase pela API dele, quando `DATABASE_URL` não está definida',
      example: 'https://example.supabase.co',
    }),
    SUPABASE_SERVICE_KEY: told(text().optional(), {
      en: "the service role's key; with `SUPABASE_URL`, and `REDIS_URL` beside them",
      pt: 'a chave do service role; com `SUPABASE_URL`, e `REDIS_URL` ao lado delas',
      example: 'change-me-service-key',
    }),
    SUPABASE_DB_URL: told(url('postgres:', 'postgresql:').optional(), {
      en: 'address for `npm run migrate`, when neither `MIGRATE_DATABASE_URL` nor `DATABASE_URL` is set',
      pt: 'endereço para `npm run migrate`, quando nem `MIGRATE_DATABASE_URL` nem `DATABASE_URL` está definida',
      example: 'postgres://postgres:change-me@db.example.supabase.co:5432/postgres',
    }),
    SUPABASE_PROJECT_REF: told(text().optional(), {
      en: 'the process refuses a database that says that it belongs to another project',
      pt: 'o processo recusa um banco que diz ser de outro projeto',
      example: 'example',
    }),
    REDIS_URL: told(url('redis:', 'rediss:').optional(), {
      en: 'the queue in Redis, a server or any node of a cluster; required with `SUPABASE_URL` alone. Not set: the queue lives in Postgres',
      pt: 'a fila no Redis, um servidor ou qualquer nó de um cluster; obrigatória quando só há `SUPABASE_URL`. Sem ela a fila fica no Postgres',
      example: 'redis://localhost:6379',
    }),
    INSTALLATION_ID: told(
      text()
        .regex(/^[a-z0-9][a-z0-9-]{0,31}$/, 'must be at most 32 of a-z, 0-9 and -, and begin with a letter or a digit')
        .optional(),
      {
        en: "the name of this installation's keys in Redis, at most 32 of `a-z 0-9 -`, the same in all processes. Not set: made of the database, so that a copy of it has another one",
        pt: 'o nome das chaves desta instalação no Redis, no máximo 32 de `a-z 0-9 -`, o mesmo em todos os processos. Sem ela é feito do banco, e uma cópia dele tem outro',
        example: 'shop-staging',
      },
    ),
    DATABASE_BREAKER_FAILURES: told(integer(1, 1000).default(5), {
      en: 'failures within a minute (and half of the calls) after which a process asks the database only by probes',
      pt: 'falhas em um minuto (e metade das chamadas) a partir das quais um processo só pergunta ao banco por sondagens',
    }),
    DATABASE_BREAKER_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(30), {
      en: "seconds to the first probe of the database's breaker",
      pt: 'segundos até a primeira sondagem do disjuntor do banco',
    }),
    DATABASE_BREAKER_MAX_RESET_SECONDS: told(integer(1, DAY_SECONDS).default(120), {
      en: 'longest wait between its probes, in seconds',
      pt: 'maior espera entre as sondagens dele, em segundos',
    }),
  },
};

export const RETENTION = {
  title: { en: 'Retention, in days', pt: 'Retenção, em dias' },
  note: {
    en: 'The scheduler deletes every hour what is older. `0` keeps for good.',
    pt: 'O scheduler apaga a cada hora o que é mais velho. `0` guarda para sempre.',
  },
  fields: {
    RETENTION_WEBHOOKS_DAYS: told(integer(1, 365).default(7), { en: 'raw webhooks, for a replay', pt: 'webhooks crus, para um replay' }),
    RETENTION_JOBS_DAYS: told(integer(1, 3650).default(30), {
      en: 'runs of jobs, transitions of breakers, notices',
      pt: 'execuções de jobs, transições dos breakers, avisos',
    }),
    RETENTION_TRANSCRIPTS_DAYS: told(days(1, 3650).default(90), {
      en: 'what the model read and wrote in each turn',
      pt: 'o que o modelo leu e escreveu em cada turno',
    }),
    RETENTION_MESSAGES_DAYS: told(days(30, 36_500).default(0), {
      en: 'messages that are over and calls of tools (30 or more); turns, tokens and money stay as figures',
      pt: 'mensagens encerradas e chamadas de ferramentas (30 ou mais); turnos, tokens e custos ficam como números',
    }),
    RETENTION_AUDIT_DAYS: told(days(30, 36_500).default(730), {
      en: 'the audit of what people did (30 or more)',
      pt: 'a auditoria do que as pessoas fizeram (30 ou mais)',
    }),
  },
};

export const SECRETS = {
  title: { en: 'Secrets at rest', pt: 'Segredos guardados' },
  fields: {
    SECRETS_KEY: told(text().optional(), {
      en: 'seals the keys and webhook secrets that numbers have of their own (`instance key`, `instance secret`); at least 32 characters',
      pt: 'cifra as chaves e os segredos de webhook próprios dos números (`instance key`, `instance secret`); ao menos 32 caracteres',
      example: 'change-me-change-me-change-me-change-me-secrets',
    }),
    SECRETS_KEY_PREVIOUS: told(text().optional(), {
      en: 'the key before it, still opens what it sealed, until `npm run admin -- secrets rotate`',
      pt: 'a chave anterior, ainda abre o que cifrou, até `npm run admin -- secrets rotate`',
      example: 'change-me-too-change-me-too-change-me-secrets',
    }),
  },
};

export const BACKUPS = {
  title: { en: 'Backups', pt: 'Backups' },
  fields: {
    BACKUP_DIR: told(text().optional(), {
      en: 'directory of the backups; set for the scheduler: one every day at 02:00. By hand without it: `./backups`',
      pt: 'diretório dos backups; definido para o scheduler: um por dia às 02:00. À mão sem ele: `./backups`',
      example: '/backups',
    }),
    BACKUP_KEEP_DAYS: told(integer(1, 3650).default(30), {
      en: 'days that a backup is kept; the newest proven one stays',
      pt: 'dias que um backup fica guardado; o último comprovado fica',
    }),
    BACKUP_ENCRYPTION_KEY: told(text().optional(), {
      en: 'encrypts backups, in the format of age, and proves them; at least 32 characters',
      pt: 'cifra os backups, no formato do age, e os comprova; ao menos 32 caracteres',
      example: 'change-me-change-me-change-me-change-me-backup',
    }),
    BACKUP_VERIFY_URL: told(url('postgres:', 'postgresql:').optional(), {
      en: 'another Postgres of the same version for the scratch database that proves a backup',
      pt: 'outro Postgres da mesma versão para o banco de rascunho que comprova um backup',
      example: 'postgres://postgres:change-me@localhost:5433/postgres',
    }),
    PG_BIN_DIR: told(text().optional(), {
      en: "folder of `pg_dump` and `pg_restore` of the server's version, where they are not in a usual place",
      pt: 'pasta do `pg_dump` e `pg_restore` da versão do servidor, quando não estão num lugar comum',
      example: '/usr/lib/postgresql/17/bin',
    }),
  },
};
