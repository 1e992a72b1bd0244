/** From the environment's text to typed variables: empty means unset, secrets may lie in files, every bad value is named once. */
import { readFileSync } from 'node:fs';

import { SECRET_VARIABLES, variables } from './variables.ts';
import type { VariableName, Variables } from './variables.ts';

export type Environment = Record<string, string | undefined>;

/** Collects what is wrong while the configuration is built; every rule may ask what was set. */
export type Report = {
  problem(message: string): void;
  warn(message: string): void;
  /** Set to something, valid or not. */
  isSet(name: VariableName): boolean;
  /** A problem when some of `names` are set and others are not; true when all are set. */
  together(names: readonly VariableName[]): boolean;
};

/** All names that the product reads, `<NAME>_FILE` included. */
export const knownVariables: readonly string[] = [...Object.keys(variables.shape), ...SECRET_VARIABLES.map((name) => `${name}_FILE`)];

/** Reads every known variable. A bad value becomes a problem and counts as set, with its default in `values`. */
export function readVariables(env: Environment): { values: Variables; report: Report; problems: string[]; warnings: string[] } {
  const problems: string[] = [];
  const warnings: string[] = [];
  const raw = withFiles(trimmed(env), problems);
  // A secret whose file cannot be read is set: that problem has been told, "must be set" would be a second one for the same cause.
  const isSet = (name: VariableName) => raw[name] !== undefined || raw[`${name}_FILE`] !== undefined;
  const report: Report = {
    problem: (message) => void problems.push(message),
    warn: (message) => void warnings.push(message),
    isSet,
    together(names) {
      const missing = names.filter((name) => !isSet(name));
      if (missing.length > 0 && missing.length < names.length) {
        const present = names.filter(isSet);
        problems.push(`${missing.join(', ')}: must be set too when ${present.join(', ')} ${present.length === 1 ? 'is' : 'are'} set`);
      }
      return missing.length === 0;
    },
  };
  const parsed = variables.safeParse(raw);
  if (parsed.success) return { values: parsed.data, report, problems, warnings };

  const valid = { ...raw };
  for (const issue of parsed.error.issues) {
    const name = String(issue.path[0]);
    if (valid[name] === undefined) continue;
    problems.push(`${name}: ${issue.message}`);
    delete valid[name];
  }
  return { values: variables.parse(valid), report, problems, warnings };
}

/** RUN_MODE stays as it is: ` api` is not `api`. */
function trimmed(env: Environment): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const name of knownVariables) {
    const value = name === 'RUN_MODE' ? env[name] : env[name]?.trim();
    if (value !== undefined && value !== '') kept[name] = value;
  }
  return kept;
}

function withFiles(raw: Record<string, string>, problems: string[]): Record<string, string> {
  const merged = { ...raw };
  for (const name of SECRET_VARIABLES) {
    const path = raw[`${name}_FILE`];
    if (path === undefined) continue;
    if (raw[name] !== undefined) problems.push(`${name}: set either ${name} or ${name}_FILE, not both`);
    else {
      const secret = readSecret(path);
      if (secret.ok) merged[name] = secret.value;
      else problems.push(`${name}_FILE: the file ${path} ${secret.why}`);
    }
  }
  return merged;
}

function readSecret(path: string): { ok: true; value: string } | { ok: false; why: string } {
  try {
    const value = readFileSync(path, 'utf8').trim();
    return value === '' ? { ok: false, why: 'is empty' } : { ok: true, value };
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    return { ok: false, why: missing ? 'does not exist' : 'cannot be read' };
  }
}
