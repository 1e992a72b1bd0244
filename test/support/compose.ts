/** docker-compose.prod.yml as data. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { projectRoot } from '../../scripts/lib/tools.ts';

export type Service = {
  image: string;
  container_name?: string;
  command?: string[];
  profiles?: string[];
  environment?: Record<string, string>;
  env_file?: string[];
  ports?: string[];
  volumes?: string[];
  networks: string[] | Record<string, { aliases?: string[] } | null>;
  depends_on?: Record<string, { condition: string; required?: boolean }>;
  deploy?: { replicas?: number; resources: { limits: { cpus: string; memory: string; pids?: number } } };
  healthcheck?: { test?: string[]; disable?: boolean; interval?: string };
  restart?: string;
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  stop_grace_period?: string;
  logging?: object;
};
export type Compose = {
  name: string;
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
  volumes: Record<string, null>;
};

export function readProject(file: string): string {
  return readFileSync(path.join(projectRoot, file), 'utf8');
}

/** With YAML's merge keys (`<<`) done, as compose does. */
export function readCompose(): Compose {
  return parse(readProject('docker-compose.prod.yml'), { merge: true }) as Compose;
}

/** docker-compose.all.yml: what it changes of the other file. */
export function readComposeOfAll(): { services: Record<string, Partial<Service>> } {
  return parse(readProject('docker-compose.all.yml')) as { services: Record<string, Partial<Service>> };
}

/** `NAME=value` lines; comments and empty values left out. */
export function readEnvFile(file: string): Record<string, string> {
  const lines = readProject(file).matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm);
  return Object.fromEntries([...lines].map(([, name = '', value = '']) => [name, value]));
}
