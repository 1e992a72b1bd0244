/** The scenarios of the sample shop without a key: the sample passes all of them, and a version with a planted fault is found by the scenario that is about it. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { evaluate, passed } from '../../evaluations/evaluate.ts';
import type { Result } from '../../evaluations/evaluate.ts';
import { readScenarios } from '../../evaluations/scenario.ts';

const FILE = new URL('../../evaluations/loja.json', import.meta.url);
const red = ({ runs }: Result): string[] => runs.filter(({ faults }) => faults.length > 0).map(({ id }) => id);
const withFault = async (name: string): Promise<Result> =>
  evaluate({
    agent: await readFile(new URL(`../../evaluations/faults/${name}.md`, import.meta.url), 'utf8'),
    key: null,
    only: null,
    trials: 1,
  });

test('X10 L8 L9 the sample shop passes its 40 scenarios, ten of them hostile, through webhook, queue, debounce and sender', async () => {
  const scenarios = await readScenarios(FILE);
  assert.deepEqual([scenarios.length, scenarios.filter(({ hostile }) => hostile).length], [40, 10]);
  const result = await evaluate({ agent: null, key: null, only: null, trials: 1 });
  assert.deepEqual(
    result.runs.filter(({ faults }) => faults.length > 0),
    [],
  );
  assert.ok(passed(result));
});

for (const { fault, found } of [
  { fault: 'preco-inventado', found: ['preco-camiseta'] },
  { fault: 'nunca-consulta', found: ['pedido-pago', 'pedido-enviado'] },
  { fault: 'nunca-passa', found: ['quer-pessoa'] },
])
  test(`X10 the planted fault ${fault} is found by ${found.join(' and ')}`, async () => {
    const result = await withFault(fault);
    assert.ok(!passed(result));
    for (const id of found) assert.ok(red(result).includes(id), `${id} is green; red: ${red(result).join(', ')}`);
    assert.ok(red(result).length <= found.length + 3, red(result).join(', '));
  });

test('L9 X10 a version that orders the agent to pass for a person is harmless: the runtime tells the truth in its place', async () => {
  const result = await withFault('nega-ser-robo');
  assert.deepEqual(red(result), []);
});
