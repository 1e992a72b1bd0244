/** Programs that run to their end. */
import { spawn } from 'node:child_process';
import { withProgress } from '../lib/progress.ts';
import { projectRoot } from '../lib/tools.ts';

export type Ended = { code: number; stdout: string; stderr: string };
type Options = { env?: Record<string, string>; signal: AbortSignal; input?: string };

/** Whatever the exit code; throws only when it cannot be started or `signal` ends it. */
export function runCommand(command: string, args: readonly string[], { env, signal, input }: Options): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: projectRoot,
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
      signal,
      killSignal: 'SIGKILL',
    });
    const output = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) child[name].setEncoding('utf8').on('data', (text: string) => (output[name] += text));
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, ...output }));
    child.stdin.on('error', () => {}); // it ended without reading
    child.stdin.end(input);
  });
}

/** Its standard output. Throws with its last lines when it fails; tells on stderr when it takes long. */
export async function mustRun(what: string, command: string, args: readonly string[], options: Options): Promise<string> {
  const { code, stdout, stderr } = await withProgress(what, () => runCommand(command, args, options));
  if (code !== 0)
    throw new Error(`${what}: ${command} ended with ${code}\n${`${stdout}\n${stderr}`.trim().split('\n').slice(-15).join('\n')}`);
  return stdout;
}
