/** Environments for tests of the configuration, and what they must lead to. */
import assert from 'node:assert/strict';

import { loadConfig } from '../../src/config.ts';
import type { Config } from '../../src/config.ts';

type Env = Record<string, string | undefined>;

export const JWT_KEY = 'a'.repeat(64);
const EVOLUTION = {
  EVOLUTION_API_URL: 'https://evolution.example.com',
  EVOLUTION_API_KEY: 'evolution-key-1',
  EVOLUTION_INSTANCE: 'julia-prod',
};
export const PRODUCTION: Env = {
  RUN_MODE: 'api',
  ENVIRONMENT: 'production',
  NOME_EMPRESA: 'Clínica Sul',
  GESTOR_WHATSAPP: '5511900000000',
  JWT_SECRET_KEY: JWT_KEY,
  DATABASE_URL: 'postgres://app:pass-word-1@db.example.com:5432/app',
  EVOLUTION_WEBHOOK_SECRET: 'webhook-secret-16',
  ANTHROPIC_API_KEY: 'anthropic-key-1',
  ...EVOLUTION,
};

/** The config of development with `env` on top. */
export function dev(env: Env = {}): Config {
  return loaded({ RUN_MODE: 'api', ...env }).config;
}

export function production(env: Env = {}): Config {
  return loaded({ ...PRODUCTION, ...env }).config;
}

export function loaded(env: Env): { config: Config; warnings: string[] } {
  const result = loadConfig(env);
  assert.ok(result.ok, `expected a config, got ${JSON.stringify(result)}`);
  return result;
}

export function problemsOf(env: Env): string[] {
  const result = loadConfig(env);
  return result.ok ? [] : result.problems;
}

/** Exactly one problem, and it names the variable. */
function assertProblem(env: Env, name: string, matching = /./): void {
  const problems = problemsOf(env);
  assert.equal(problems.length, 1, `${name}: ${JSON.stringify(problems)}`);
  assert.match(problems[0] ?? '', new RegExp(`(^|[ ,])${name}(:|,)`));
  assert.match(problems[0] ?? '', matching);
}

export const devProblem = (env: Env, name: string, matching?: RegExp) => assertProblem({ RUN_MODE: 'api', ...env }, name, matching);
export const productionProblem = (env: Env, name: string, matching?: RegExp) => assertProblem({ ...PRODUCTION, ...env }, name, matching);

export function assertWarns(env: Env, matching: RegExp): void {
  assert.ok(
    loaded(env).warnings.some((warning) => matching.test(warning)),
    String(matching),
  );
}
