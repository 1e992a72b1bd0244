/** D5: a number with a key of its own, kept sealed; the key is used, rotated while everything works, and stands nowhere in clear. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ownerOf } from '../../src/numbers/keys.ts';
import { sealSecret } from '../../src/process/secrets.ts';
import { startProgram } from '../support/process.ts';
import { startRecorder } from '../support/recorder.ts';
import { INSTANCE } from '../support/system.ts';
import { openStage, sendDue, turnsUntilDone } from '../support/turns.ts';

const FIRST = 'the-first-key-of-tests-0123456789abcdef';
const SECOND = 'the-second-key-of-tests-0123456789abcdef';
/** As the simulator names the token of an instance. */
const TOKEN = `${INSTANCE}-token`;

test('D5 a number with its own key at Evolution: sealed in the database, used for its sends, rotated to another SECRETS_KEY, taken away again', async (t) => {
  // The key of the environment opens nothing: what is sent was sent with the number's own.
  const stage = await openStage(t, { env: { EVOLUTION_API_KEY: 'a-wrong-key', SECRETS_KEY: FIRST } });
  const { system } = stage;
  const admin = async (env: Record<string, string>, ...args: string[]) => {
    const program = startProgram(t, 'src/admin/cli.ts', { args, env: { USER: 'ana', DATABASE_URL: system.databaseUrl, ...env } });
    const code = await program.ended;
    return { code, out: program.stdout.join('\n'), err: program.stderr.join('\n') };
  };
  const sealed = async () =>
    (await system.query<{ key: string | null }>('select evolution_key as key from instances where name = $1', [INSTANCE]))[0]?.key ?? null;

  assert.match((await admin({}, 'instance', 'key', INSTANCE, TOKEN)).err, /^SECRETS_KEY: must be set/);
  const set = await admin({ SECRETS_KEY: FIRST }, 'instance', 'key', INSTANCE, TOKEN);
  assert.deepEqual([set.code, set.out], [0, `${INSTANCE} has a key of its own.`], set.err);
  assert.equal((await admin({ SECRETS_KEY: FIRST }, 'instance', 'key', 'nobody', 'x')).code, 1);
  const first = await sealed();
  assert.ok(first?.startsWith('v1.') && !first.includes(TOKEN));
  assert.deepEqual(await system.query(`select from audit_log where details::text like '%' || $1 || '%'`, [TOKEN]), []);

  const conversation = await stage.hear('Oi!');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.equal(system.simulator.sends().length, 1, 'sent with its own key');

  const both = { SECRETS_KEY: SECOND, SECRETS_KEY_PREVIOUS: FIRST };
  const [one, other] = await Promise.all([admin(both, 'secrets', 'rotate'), admin(both, 'secrets', 'rotate')]);
  assert.deepEqual([one.code, other.code], [0, 0], one.err + other.err);
  const rotated = await sealed();
  assert.notEqual(rotated, first);
  const again = await admin({ SECRETS_KEY: SECOND }, 'secrets', 'rotate');
  assert.equal(again.out, '0 secrets are sealed anew, 1 were already.\nNone is left of the previous key.');
  const lost = await admin({ SECRETS_KEY: FIRST }, 'secrets', 'rotate');
  assert.match(lost.out, new RegExp(`Of neither key, so they must be set again \\(instance key\\): ${INSTANCE}$`));
  assert.equal(await sealed(), rotated, 'what cannot be opened stays as it is');
  assert.equal((await admin({ SECRETS_KEY: SECOND }, 'instance', 'key', INSTANCE)).out, `${INSTANCE} uses EVOLUTION_API_KEY.`);
  assert.equal(await sealed(), null);
});

test('D5 A5 a half-done rotation: a number whose own key cannot be opened waits, and EVOLUTION_API_KEY does not stand in for it', async (t) => {
  const evolution = await startRecorder(t);
  const stage = await openStage(t, { env: { SECRETS_KEY: SECOND, EVOLUTION_API_URL: evolution.url } });
  const { system } = stage;
  await system.query('update instances set evolution_key = $1 where name = $2', [
    sealSecret({ current: FIRST, previous: null }, TOKEN, ownerOf(INSTANCE)),
    INSTANCE,
  ]);
  evolution.forwardTo(system.simulator.evolutionUrl);
  const conversation = await stage.hear('Oi!');
  await turnsUntilDone(stage.ctx, conversation);
  await sendDue(stage.ctx, conversation);
  assert.equal(system.simulator.sends().length, 0);
  assert.deepEqual(evolution.calls, [], 'no call leaves for this number, with whatever key');
  const [row] = await system.query<{ status: string; reason: string }>(`select status, reason from messages where direction = 'out'`);
  assert.deepEqual(row, { status: 'queued', reason: 'unauthorized' });
});
