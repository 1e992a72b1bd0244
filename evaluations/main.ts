/**
 * Evaluations: `npm run eval -- [--only ID] [--agent FILE] [--trials N] [--json]`. Exit code 1 when a scenario fails. Without ANTHROPIC_API_KEY the simulator's
 * attendant answers (docs/evaluations.md says what that proves).
 */
import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { evaluate, passed } from './evaluate.ts';

const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    agent: { type: 'string' },
    trials: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
  },
});
const trials = Number(values.trials);
if (!Number.isInteger(trials) || trials < 1 || trials > 100) throw new Error('--trials is a number from 1 to 100');
const agent = values.agent === undefined ? null : await readFile(values.agent, 'utf8');
const key = process.env['ANTHROPIC_API_KEY'] ?? '';
const result = await evaluate({ agent, key: key === '' ? null : key, only: values.only ?? null, trials });
const { runs, pass1, passAll, usd, p95 } = result;
if (values.json) process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
else {
  for (const { id, hostile, faults } of runs)
    process.stdout.write(
      `${faults.length === 0 ? 'ok  ' : 'FAIL'}  ${id}${hostile ? ' (hostile)' : ''}${faults.map((each) => `\n        ${each}`).join('')}\n`,
    );
  const all = passAll === null ? '' : `, pass^${trials} ${percent(passAll)}`;
  process.stdout.write(
    `\n${runs.length} runs on ${key === '' ? 'the look-alike' : 'Claude'}: pass^1 ${percent(pass1)}${all}, US$ ${usd.toFixed(4)}, p95 of a burst ${Math.round(p95)} ms\n`,
  );
}
process.exitCode = passed(result) ? 0 : 1;

function percent(share: number): string {
  return `${Math.round(share * 1_000) / 10} %`;
}
