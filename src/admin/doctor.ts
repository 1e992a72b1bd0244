/** doctor: everything that can be wrong with an installation, each with its fix. At the command line: it must work where the configuration is wrong too. */
import { z } from 'zod';
import { healthy } from '../watch/diagnosis.ts';
import { defineLocalCommand, flagArg } from './command.ts';

const doctor = defineLocalCommand({
  name: 'doctor',
  summary: 'checks everything that can be wrong with this installation, and says what mends it',
  details:
    'Variables, database, schema, queue, processes, Evolution with its key, numbers and webhooks, the key of Claude, clocks, disk, and what is switched off. ' +
    'Run it where the product runs, with the same environment: addresses are looked at from here. It changes nothing. Exit code 1 when something does not work. ' +
    '--live: also one real call of the model (a few tokens) and one harmless call of each service, with what came back; nothing is written to anybody.',
  args: z.object({ live: flagArg.describe('one real call of the model and of each service') }),
  flags: ['live'],
  async run(env, { live }) {
    // Loaded here: help needs none of what it brings.
    const { examine } = await import('./doctor-checks.ts');
    const findings = await examine(env, { live });
    return { ok: true, result: { healthy: healthy(findings), findings } };
  },
  failed: (result) => !result.healthy,
  text({ findings }) {
    const lines = findings.map(({ check, status, says, mend }) => {
      const mark = status === 'failed' ? 'FAILED' : status;
      return `${mark.padEnd(8)} ${check.padEnd(10)} ${says}${mend === null ? '' : `\n${' '.repeat(20)}-> ${mend}`}`;
    });
    const end = findings.some(({ check, status }) => check === 'database' && status === 'skipped')
      ? 'This is no installation yet: nothing is set up here. README.md, "Run it for real", says what is needed; at the machine of ./scripts/dev: set -a; . .data/dev/env'
      : healthy(findings)
        ? 'Nothing is broken.'
        : 'Something is broken; begin with the first FAILED.';
    return [...lines, '', end].join('\n');
  },
});

export const doctorCommands = [doctor];
