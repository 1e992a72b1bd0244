/**
 * The verbs of Railway's command line that a deploy needs, as version 5 has them. There is no `railway rollback`: what the manuals call so is the
 * mutation deploymentRollback of Railway's API, which `railway api` sends. It starts the image of an earlier deployment again, with that
 * deployment's variables and without a build, as long as Railway keeps the image (hours to days, by plan).
 */
import { execFile } from 'node:child_process';
import { z } from 'zod';

export const SERVICES = ['whats-agents-api', 'whats-agents-worker', 'whats-agents-scheduler'] as const;
export type Service = (typeof SERVICES)[number];

const deployment = z.object({ id: z.string(), status: z.string() });
export type Deployment = z.infer<typeof deployment>;

/** It runs. */
export const SUCCESS = 'SUCCESS';
/** Nothing more will come of it. */
export const OVER = new Set([SUCCESS, 'FAILED', 'CRASHED', 'REMOVED', 'SKIPPED']);

/** A verb that says nothing for so long hangs: uploading takes longest. Milliseconds. */
const VERB_MS = 300_000;

/** The newest first. */
export async function deployments(service: Service): Promise<Deployment[]> {
  const text = await railway(['deployment', 'list', '--service', service, '--limit', '20', '--json', ...place()]);
  return z.array(deployment).parse(JSON.parse(text));
}

/** Uploads this directory and queues its build; the new deployment's id. */
export async function upload(service: Service, message: string): Promise<string> {
  const text = await railway(['up', '--detach', '--json', '--service', service, '--message', message, ...place()]);
  // The result is the last line; what comes before it, if anything, is progress.
  const last = text.trim().split('\n').at(-1) ?? '';
  return z.object({ deploymentId: z.string() }).parse(JSON.parse(last)).deploymentId;
}

/** Without a deploy of its own: the upload that follows brings them in. */
export async function setVariables(service: Service, variables: Record<string, string>): Promise<void> {
  const pairs = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  await railway(['variable', 'set', ...pairs, '--service', service, '--skip-deploys', ...place()]);
}

/** Starts that deployment's image again. */
export async function rollBack(id: string): Promise<void> {
  const variables = ['--raw-var', `id=${id}`];
  try {
    await railway(['api', 'mutation rollback($id: String!) { deploymentRollback(id: $id) }', ...variables]);
  } catch (error) {
    // The schema says that it answers with a boolean, the manual that it answers with the deployment.
    if (!String(error).includes('selection')) throw error;
    await railway(['api', 'mutation rollback($id: String!) { deploymentRollback(id: $id) { id status } }', ...variables]);
  }
}

/** A project token knows its project and environment; who has another token names them. */
function place(): string[] {
  const project = process.env['RAILWAY_PROJECT_ID'] ?? '';
  return project === '' ? [] : ['--project', project, '--environment', process.env['RAILWAY_ENVIRONMENT'] || 'production'];
}

function railway(args: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('railway', args, { timeout: VERB_MS, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      // What it prints holds no secret: tokens are never arguments, and the variables that are set are not secret.
      else reject(new Error(`railway ${args.slice(0, 2).join(' ')} failed: ${(stderr || stdout || error.message).trim().slice(-2_000)}`));
    });
  });
}
