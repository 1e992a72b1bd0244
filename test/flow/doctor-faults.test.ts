/** Each thing that goes wrong at night, planted: the first cure that doctor names is the one that cures, and /health/deep and `status` see the same trouble. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { DEFAULT_VERSION } from '../../simulator/version.ts';
import type { Finding } from '../../src/watch/diagnosis.ts';
import { openContext } from '../../src/context.ts';
import { syncNumbersJob } from '../../src/crons/sync-numbers.ts';
import { createGatewayWatch } from '../../src/watch/gateway.ts';
import { emptyDatabase } from '../support/database.ts';
import { startProgram } from '../support/process.ts';
import { startSite } from '../support/site.ts';
import type { Site } from '../support/site.ts';
import { configOf, testLogger } from '../support/system.ts';

type Env = Record<string, string>;
type Fault = {
  name: string;
  options?: Parameters<typeof startSite>[1];
  /** Whose signs of life there are. An api runs anyway, and gives its own a moment later. */
  alive?: string;
  /** Breaks something; what it returns is set for api, doctor and status, as when the environment is what is wrong. */
  plant: (site: Site, t: TestContext) => Promise<Env | void>;
  /** What would keep the processes waiting at the end. */
  heal?: (site: Site) => Promise<unknown>;
  /** The first finding that is FAILED, else the first warning. */
  says: RegExp;
  cure: RegExp;
  health: RegExp;
  status: RegExp;
};

const RUN = { tick: new Date(), signal: new AbortController().signal };

/** What the scheduler sees of Evolution in one look, and of the webhooks at Evolution. */
async function look(site: Site, env: Env = {}): Promise<void> {
  const log = testLogger([], new EventEmitter());
  await using ctx = await openContext(configOf({ ...site.env, ...env, RUN_MODE: 'scheduler' }), log);
  await createGatewayWatch(ctx)();
  await syncNumbersJob.run({ ...ctx, process: { id: 'test' } }, RUN);
}

const waiting = `select enqueue_message('{"instance": "julia-dev", "phone": "5511912345678", "text": "x", "kind": "manual", "send_after": "2099-01-01"}')`;
const deferred = (reason: string) =>
  `update conversations set deferred_since = now(), deferred_until = now() + interval '1 hour', deferred_reason = '${reason}'`;
const closed = (status: string, more = '') => `update instances set status = '${status}', status_at = now() - interval '5 minutes'${more}`;

const FAULTS: readonly Fault[] = [
  {
    name: 'Postgres is down',
    plant: (site) => site.databaseDoor(false),
    heal: (site) => site.databaseDoor(true),
    says: /^DATABASE_URL: /,
    cure: /^is the database running/,
    health: /the database does not answer/,
    status: /database/i,
  },
  {
    name: 'Postgres takes connections and says nothing',
    async plant(site) {
      await site.query(
        `create or replace function schema_version() returns jsonb language sql as $$ select to_jsonb(pg_sleep(20)::text) $$`,
      );
    },
    says: /./,
    cure: /^is the database running/,
    health: /the database does not answer/,
    status: /^DOWN: the database does not answer/m,
  },
  {
    name: 'nobody has migrated',
    plant: async (_, t) => ({ DATABASE_URL: (await emptyDatabase(t)).url }),
    says: /^the tables of this product are not there/,
    cure: /^npm run migrate$/,
    health: /npm run migrate/,
    status: /npm run migrate/,
  },
  {
    name: 'the schema is behind',
    async plant(site) {
      await site.query(
        `create or replace function schema_version() returns jsonb language sql immutable as $$ select to_jsonb('20200101000000'::text) $$`,
      );
    },
    says: /^it is at 20200101000000, this version needs/,
    cure: /^npm run migrate$/,
    health: /the database schema is behind this version: run `npm run migrate`/,
    status: /^DOWN: the database schema is behind/m,
  },
  {
    name: 'the database is of another project',
    async plant(site) {
      await site.query(`insert into installation (key, value) values ('project_ref', 'theirs')`);
      return { SUPABASE_PROJECT_REF: 'ours' };
    },
    says: /^SUPABASE_PROJECT_REF: the database says that it belongs to another project/,
    cure: /^set SUPABASE_PROJECT_REF/,
    health: /belongs to another project/,
    status: /SUPABASE_PROJECT_REF/,
  },
  {
    name: 'Redis is down',
    options: { queue: 'redis' },
    plant: async ({ redis }) => redis?.kill(),
    says: /^REDIS_URL: Redis does not answer/,
    cure: /up -d redis/,
    health: /Redis does not answer/,
    status: /^DOWN: Redis does not answer/m,
  },
  {
    name: 'no worker runs',
    alive: 'api scheduler',
    plant: async () => {},
    says: /^no worker has shown a sign of life/,
    cure: /up -d worker; without containers RUN_MODE=worker npm start$/,
    health: /no worker is running/,
    status: /missing: worker$/m,
  },
  {
    name: 'no scheduler runs',
    alive: 'api worker',
    plant: async () => {},
    says: /^no scheduler has shown/,
    cure: /up -d scheduler;/,
    health: /no scheduler is running/,
    status: /missing: scheduler$/m,
  },
  {
    name: 'Evolution is down',
    async plant(site) {
      const env = { EVOLUTION_API_URL: 'http://127.0.0.1:1' };
      await look(site, env);
      return env;
    },
    says: /^Evolution does not answer at EVOLUTION_API_URL/,
    cure: /^docker compose -f docker-compose\.prod\.yml up -d evolution;/,
    health: /Evolution does not answer at EVOLUTION_API_URL/,
    status: /^NUMBER: Evolution does not answer/m,
  },
  {
    name: "Evolution's key is wrong",
    async plant(site) {
      const env = { EVOLUTION_API_KEY: 'wrong' };
      await look(site, env);
      return env;
    },
    says: /^Evolution refuses EVOLUTION_API_KEY/,
    cure: /AUTHENTICATION_API_KEY/,
    health: /Evolution refuses the key of the number julia-dev/,
    status: /^NUMBER: Evolution refuses the key/m,
  },
  {
    name: 'only sends are refused with 401',
    async plant(site) {
      await site.query(
        `update instances set held_reason = 'number_unauthorized', held_since = now(), held_until = now() + interval '5 minutes'`,
      );
    },
    says: /^the number julia-dev is connected, and all the same: sends of the number julia-dev are refused/,
    cure: /AUTHENTICATION_API_KEY/,
    health: /sends of the number julia-dev are refused/,
    status: /^NUMBER: sends of the number julia-dev are refused/m,
  },
  {
    name: 'Evolution does not know the number',
    async plant(site) {
      await site.query(`update instances set name = 'other'`);
      const env = { EVOLUTION_INSTANCE: 'other' };
      await look(site, env);
      return env;
    },
    says: /^Evolution does not know the number other/,
    cure: /^npm run admin -- instance connect other$/,
    health: /Evolution does not know the number other/,
    status: /^NUMBER: Evolution does not know the number other/m,
  },
  {
    name: 'somebody removed the linked device',
    async plant(site) {
      site.simulator.connection('close', { reason: 401 });
      await site.query(closed('close', ', status_reason = 401'));
    },
    says: /^the number julia-dev is not connected \(close\): 401: its pairing is gone/,
    cure: /^npm run admin -- instance qr julia-dev/,
    health: /disconnected \(401: its pairing is gone/,
    status: /^NUMBER: .*401: its pairing is gone/m,
  },
  {
    name: 'WhatsApp has banned the number',
    async plant(site) {
      site.simulator.connection('close', { reason: 403 });
      await site.query(closed('close', ', status_reason = 403'));
    },
    says: /403: WhatsApp has banned or restricted it/,
    cure: /^do not pair it again and do not restart it.*pause instance julia-dev/,
    health: /403: WhatsApp has banned/,
    status: /^NUMBER: .*403: WhatsApp has banned/m,
  },
  {
    name: 'a number that was connected never ends connecting',
    async plant(site) {
      site.simulator.connection('connecting');
      await site.query(closed('connecting', ', paired = true'));
    },
    says: /^the number julia-dev is not connected \(connecting\)$/,
    cure: /^nothing, it is restarted by itself; at once: npm run admin -- instance restart julia-dev$/,
    health: /has been connecting for/,
    status: /^NUMBER: .*has been connecting for/m,
  },
  {
    name: 'a number is deaf',
    async plant(site) {
      await site.query(`update instances set status = 'open', deaf_since = now()`);
    },
    says: /hears nothing/,
    cure: /instance restart julia-dev$/,
    health: /hears nothing/,
    status: /^NUMBER: .*hears nothing/m,
  },
  {
    name: 'Evolution 2.4 wants a licence',
    options: { simulator: { version: '2.4', licensed: false } },
    plant: (site) => look(site),
    says: /^Evolution wants its licence to be activated/,
    cure: /^open that page and activate it/,
    health: /Evolution wants its licence to be activated/,
    status: /^NUMBER: Evolution wants its licence/m,
  },
  {
    name: 'the webhook at Evolution carries another secret',
    async plant(site) {
      site.simulator.setWebhook('http://127.0.0.1:1/webhook/evolution', 'another-secret-of-16');
      await look(site);
    },
    says: /^julia-dev: its webhook carries another secret than EVOLUTION_WEBHOOK_SECRET/,
    cure: /^npm run admin -- instance connect julia-dev$/,
    health: /the webhook of the number julia-dev at Evolution is wrong/,
    status: /^NUMBER: the webhook of the number julia-dev/m,
  },
  {
    name: "Claude's key is refused",
    async plant(site) {
      site.simulator.fault({ target: 'claude', kind: 'status', status: 401, times: null });
      await site.query(waiting);
      await site.query(deferred('model_unauthorized'));
    },
    says: /^(?:Claude refuses ANTHROPIC_API_KEY|the model is unavailable: 1 conversation waits)/,
    cure: /ANTHROPIC_API_KEY|make a new key/,
    health: /the model is unavailable: 1 conversation waits for it/,
    status: /^MODEL: the model is unavailable/m,
  },
  {
    name: 'the model is gone',
    async plant(site) {
      await site.query(waiting);
      await site.query(deferred('model_model_gone'));
      return { LLM_MODEL: 'gpt-9' };
    },
    says: /^there is no model gpt-9$/,
    cure: /^set LLM_MODEL or LLM_MODEL_COMPLEX to a model that exists$/,
    health: /the model is unavailable/,
    status: /^MODEL: the model is unavailable/m,
  },
  {
    name: 'the model is overloaded',
    async plant(site) {
      await site.query(waiting);
      await site.query(deferred('model_overloaded'));
    },
    says: /^the model is unavailable: 1 conversation waits/,
    cure: /^nothing, the agent goes on by itself/,
    health: /the model is unavailable/,
    status: /^MODEL: the model is unavailable/m,
  },
  {
    name: 'somebody waits for a person, and no channel is set',
    async plant(site) {
      await site.query(waiting);
      await site.query(
        `insert into handoffs (tenant_id, conversation_id, reason, controls, status) select 'default', id, 'x', true, 'notified' from conversations;
         insert into notices (tenant_id, key, kind, text, urgent, due_at, created_at, status, error)
           select 'default', 'handoff-' || id || '-told', 'handoff', 'x', true, now(), now(), 'failed', 'no_channel' from handoffs`,
      );
      return { SLACK_WEBHOOK_URL: '' };
    },
    says: /^1 conversation waits for a person, and nobody could be told/,
    cure: /^set SLACK_WEBHOOK_URL, or GESTOR_WHATSAPP/,
    health: /nobody could be told/,
    status: /^UNHEARD: 1 conversation waits/m,
  },
  {
    name: 'everything is paused',
    async plant(site) {
      await site.query(`insert into julia_status (status) values ('pausado')`);
    },
    says: /^everything is paused/,
    cure: /npm run admin -- resume$/,
    health: /everything is paused/,
    status: /^PAUSED:$/m,
  },
];

for (const { name, options, alive = 'api worker scheduler', plant, heal, says, cure, health, status } of FAULTS) {
  test(`A11 H2 doctor: ${name}: its first cure cures, and health and status see it`, async (t) => {
    const site = await startSite(t, { ...options, simulator: { version: DEFAULT_VERSION, ...options?.simulator } });
    site.env['SLACK_WEBHOOK_URL'] = `${site.simulator.slackUrl}/hook`;
    await site.query(`select ensure_instance('julia-dev', null); update instances set status = 'open'`);
    for (const mode of alive.split(' '))
      await site.query(`insert into process_status (id, mode, version, started_at, seen_at) values ($1, $1, '1', now(), now())`, [mode]);
    // What breaks while the api runs is planted then; an environment that is wrong is so from its start.
    const before = await site.startReady('api');
    const changed = await plant(site, t);
    let api = before;
    if (changed) {
      before.signal('SIGTERM');
      await before.ended;
      api = await site.start('api', changed);
      const { url } = api;
      await site.until(async () => (await fetch(`${url}/health`).catch(() => null))?.ok === true, 'the api listens');
    }
    const env = { ...site.env, ...changed };

    // Real commands: what waits for a server that is away ends with its process.
    const doctor = startProgram(t, 'src/admin/cli.ts', { args: ['doctor', '--json'], env });
    await doctor.ended;
    const { findings } = JSON.parse(doctor.stdout.join('\n')) as { findings: Finding[] };
    const first =
      findings.find((each) => each.status === 'failed') ??
      findings.find(({ status: is, check }) => is === 'warning' && check !== 'gateway');
    assert.ok(first, JSON.stringify(findings));
    assert.match(first.says, says, JSON.stringify(findings, null, 1));
    assert.match(first.mend ?? '', cure);

    const deep = async () => ((await (await fetch(`${api.url}/health/deep`)).json()) as { reasons: string[] }).reasons.join('\n');
    await site.until(async () => health.test(await deep()), `health says ${String(health)}; it said: ${await deep()}`, 20_000);
    const told = startProgram(t, 'src/admin/cli.ts', { args: ['status'], env });
    await told.ended;
    assert.match([...told.stdout, ...told.stderr].join('\n'), status);
    await heal?.(site);
  });
}
