/** Every command that a page tells to run is run: as it is written, on a database that has what the page talks about. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { checkArguments, COMMANDS, runCommand } from '../../src/admin/all.ts';
import type { Outcome } from '../../src/admin/command.ts';
import { commandOf, parse, readFiles } from '../../src/admin/command-line.ts';
import { openAdminContext } from '../../src/context.ts';
import { timeFormat } from '../../src/admin/why.ts';
import { codeBlocks, PAGES, read } from '../support/pages.ts';
import { SEED } from '../support/pages-seed.ts';
import { configOf, startSystem, testEnvironment } from '../support/system.ts';
import type { System } from '../support/system.ts';

type Hooks = { after(hook: () => Promise<void>): void };

/** What the pages say in the state that the database is in: refusals that are no mistake of the page. */
const STATES = ['not_found', 'conflict', 'upstream'];

/** The command lines of a page, in its order, each once. `COMMAND` and the like stand for any. */
function commandLines(page: string): string[] {
  const found = [...read(page).matchAll(/(?:npm run (?:--silent )?admin -- |\bexec (?:-\w+ )*\w+ admin )([^`\n|]+)/g)].map(
    ([, line = '']) => line.replace(/\s+(?:#|>).*$/, '').trim(),
  );
  return [...new Set(found)].filter((line) => !/^(?:[A-Z]|-)/.test(line));
}

/** As a shell splits them; quotes keep words together. */
function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, double, single, plain]) => double ?? single ?? plain ?? '');
}

test('D9 commands: the pages name some, and the extraction finds those in blocks and in sentences', () => {
  const all = PAGES.flatMap(commandLines);
  assert.ok(all.length > 60, String(all.length));
  assert.ok(codeBlocks('docs/commands.md').length > 5);
  for (const line of ['status', 'pause --reason "preços errados"']) assert.ok(all.includes(line), line);
  assert.deepEqual(wordsOf(`dlq retry 42 --reason "não está" 'a b'`), ['dlq', 'retry', '42', '--reason', 'não está', 'a b']);
});

for (const page of PAGES.filter((each) => commandLines(each).length > 0)) {
  describe(`D9 A11 commands of ${page}`, () => {
    const hooks: (() => Promise<void>)[] = [];
    const shared: Hooks = { after: (hook) => void hooks.unshift(hook) };
    let system: System;
    let ctx: Awaited<ReturnType<typeof openAdminContext>>;
    let env: Record<string, string>;

    before(async () => {
      system = await startSystem(shared, { workers: 0, simulator: { instances: ['julia-dev', 'julia-prod'] } });
      await system.query(SEED);
      // What these commands are to change is not in that state already.
      await system.query(
        `update opt_outs set revoked_at = now(); update messages set status = 'failed', reason = 'bad_request' where id = 43`,
      );
      env = {
        ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator }),
        APP_BASE_URL: system.url,
        RUN_MODE: 'api',
      };
      ctx = await openAdminContext(configOf(env), system.ctx.log);
      shared.after(async () => ctx[Symbol.asyncDispose]());
    });
    after(async () => {
      for (const hook of hooks) await hook();
    });

    for (const line of commandLines(page)) {
      test(`D9 A11 E9 npm run admin -- ${line}`, async () => {
        const words = wordsOf(line).map((word) => word.replace(/^\$([A-Z_]+)$/, (whole, name: string) => env[name] ?? whole));
        const found = commandOf(words);
        assert.ok(found, `there is no such command`);
        const { command, rest } = found;
        const given = parse(command, rest);
        if (given.help) return;
        assert.equal(await readFiles(command, given), null);
        const checked = checkArguments(command, given.args);
        assert.ok(checked.ok, checked.ok ? '' : checked.message);
        const rows = async () => Number((await system.query<{ n: string }>('select count(*) as n from audit_log'))[0]?.n);
        const before = await rows();
        let outcome: Outcome<unknown>;
        if ('role' in command) outcome = await runCommand(command, ctx, given.args, { id: 'cli:ana', tenant: given.tenant });
        else outcome = await command.run(env, checked.args);
        if (!outcome.ok) {
          assert.ok(STATES.includes(outcome.kind), `${outcome.kind}: ${outcome.message}`);
          return;
        }
        const told = 'role' in command ? command.text(outcome.result, timeFormat('America/Sao_Paulo')) : command.text(outcome.result);
        assert.ok(told.length > 0);
        // Who changed what is in the audit, whatever the command is.
        if ('role' in command && !command.readOnly) assert.ok((await rows()) > before, 'it left nothing in audit_log');
      });
    }
  });
}

test('E9 every command that changes something is on a page, so that the tests above look for its line in the audit', () => {
  const documented = new Set(PAGES.flatMap(commandLines).map((line) => commandOf(wordsOf(line))?.command.name));
  assert.deepEqual(
    COMMANDS.filter((command) => !command.readOnly && !documented.has(command.name)).map((command) => command.name),
    [],
  );
});
