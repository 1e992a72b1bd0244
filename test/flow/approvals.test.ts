/** Who may say yes, by which door, and what is left when processes die around it. */
import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { slackSignature } from '../../src/routes/slack.ts';
import { sweepWrites } from '../../src/tools/writes.ts';
import { atConsole, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { loggedIn } from '../support/console.ts';
import { ask, command as manage, shown } from '../support/manager.ts';
import { startProgram } from '../support/process.ts';
import { addTools, answers, cancel, done, fresh, KEY, look, newCustomer, say, writes } from '../support/shop.ts';
import type { Customer } from '../support/shop.ts';
import { SLACK_SECRET, startSystem, testEnvironment } from '../support/system.ts';
import type { System } from '../support/system.ts';

const MANAGER = '5511987650000';
const ANA = 'U02ANA';
/** Real deaths; CI takes a few, and TOOL_KILLS=100 all of the issue. */
const KILLS = Number(process.env['TOOL_KILLS'] ?? 5);

const cancels = (system: System) => system.simulator.wire().orders.filter(({ method }) => method === 'POST');

async function asked(system: System, customer: Customer): Promise<number> {
  const { paid } = customer;
  await say(system, customer.id, `quero cancelar o pedido ${paid}`, [look(paid), cancel(paid)], `Pedi a autorização do ${paid}.`);
  const { approvals } = (await done(system, 'approval list', {})) as { approvals: { id: number }[] };
  assert.equal(approvals.length, 1);
  return approvals[0]?.id ?? 0;
}

describe('X12 doors of a yes', () => {
  const hooks: (() => Promise<void>)[] = [];
  let system: System;
  let maria: Customer;
  let manager: string;
  let events = 0;
  before(async () => {
    system = await startSystem(
      { after: (hook) => void hooks.unshift(hook) },
      { slack: 'bot', env: { SECRETS_KEY: KEY, GESTOR_WHATSAPP: MANAGER, SLACK_ALLOWED_USERS: ANA } },
    );
    await addTools(system);
  });
  after(async () => {
    for (const hook of hooks) await hook();
  });
  beforeEach(async () => {
    await fresh(system);
    maria = newCustomer(system);
    manager = system.simulator.addContact({ name: 'Gestora', phone: MANAGER }).id;
  });

  async function slack(user: string, text: string): Promise<string> {
    const body = JSON.stringify({
      type: 'event_callback',
      event_id: `Ev${++events}`,
      event: { type: 'app_mention', user, channel: 'C0OPS', text: `<@U0BOT> ${text}`, ts: '1.2' },
    });
    const at = String(Math.floor(Date.now() / 1000));
    const before = system.simulator.slackTexts().length;
    const headers = {
      'content-type': 'application/json',
      'x-slack-request-timestamp': at,
      'x-slack-signature': slackSignature(SLACK_SECRET, at, body),
    };
    assert.equal((await fetch(`${system.url}/webhook/slack`, { method: 'POST', headers, body })).status, 200);
    return system.until(
      () =>
        system.simulator
          .slackTexts()
          .slice(before)
          .find((each) => !each.includes('*Autorização')),
      `an answer to ${text}`,
    );
  }

  test('X12: in Slack: who is on the list says yes, once; who is not says nothing that counts', async () => {
    const id = await asked(system, maria);
    assert.match(await slack('U02NOBODY', `autorizar ${id}`), /não está em SLACK_ALLOWED_USERS/);
    assert.deepEqual(cancels(system), []);
    assert.match(await slack(ANA, 'autorizações'), new RegExp(`${id}: cancelar_pedido.*pedido ${maria.paid}`));
    assert.match(await slack(ANA, `autorizar ${id}`), /dada\. Feito\./);
    assert.match(await slack(ANA, `autorizar ${id}`), /já tinha o seu sim/);
    assert.equal(cancels(system).length, 1);
  });

  test('X12: on WhatsApp the manager’s yes needs the word that was told; a customer’s yes, or a forged one, is talk', async () => {
    const id = await asked(system, maria);
    await say(system, maria.id, `autorizar ${id}`, [], 'Só a equipe pode autorizar.');
    await say(system, maria.id, 'confirmar 12345678', [], 'Isso não é comigo.');
    assert.deepEqual(cancels(system), []);
    assert.match(await ask(system, manager, `autorizar ${id}`), /confirmar \d{8}/, 'an address proves nothing');
    assert.match(await ask(system, manager, 'confirmar 00000000'), /./);
    assert.deepEqual(cancels(system), []);
    assert.match(await manage(system, manager, `autorizar ${id}`), /dada\. Feito\./);
    assert.equal(cancels(system).length, 1);
    assert.ok(!shown(system, maria.id).some((text) => /\d{8}\*/.test(text)), 'no word for the customer');
  });

  test('X12: the manager says no', async () => {
    const id = await asked(system, maria);
    assert.match(await manage(system, manager, `negar ${id}`), /negada/);
    assert.deepEqual([cancels(system), (await writes(system)).map(({ status }) => status)], [[], ['refused']]);
  });

  test('X12: at the console, as a person; a second yes is told that it came too late', async () => {
    const id = await asked(system, maria);
    const [ana, bia] = [await loggedIn(system, 'ana@example.com'), await loggedIn(system, 'bia@example.com')];
    const { text } = await ana.get('/console/approvals');
    assert.match(text, new RegExp(`autorização ${id}[^]*pedido: ${maria.paid}`));
    assert.equal((await ana.post('/console/approvals/approve', { id: String(id), _csrf: '' })).status, 403);
    await bia.get('/console/approvals');
    const both = await Promise.all([ana, bia].map((person) => person.post('/console/approvals/approve', { id: String(id) })));
    assert.deepEqual(
      both.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 422],
    );
    assert.equal(cancels(system).length, 1);
    const [decided] = await system.query<{ decided_by: string }>('select decided_by from approvals');
    assert.match(decided?.decided_by ?? '', /^console:(ana|bia)@example\.com$/);
  });

  test('X12: the page in a browser, on a phone, without a violation that axe knows', async (t) => {
    const id = await asked(system, maria);
    const browser = await startBrowser(t);
    const { page, errors } = await atConsole(system, browser, { email: 'eva@example.com', role: 'operator', viewport: PHONE });
    await page.goto(`${system.url}/console/approvals`);
    await isAccessible(page, 'approvals');
    await page.getByRole('button', { name: `Negar ${id}` }).click();
    await page.getByRole('status').filter({ hasText: 'nada sai' }).waitFor();
    assert.deepEqual(errors, []);
  });
});

/** Where its process dies: at the look-up, before the commit, after it, in the call before and after it was carried out. */
const MOMENTS = ['look', 'answer', 'committed', 'calling', 'done outside'] as const;

test(`X12: kills: ${KILLS} workers die around a lookup, a commit and a call outside: each cancellation is made at most once, what is said to be done was done, and every customer hears how it ended`, async (t) => {
  const system = await startSystem(t, { workers: 0, env: { SECRETS_KEY: KEY } });
  await addTools(system, { approval: 'amount', amount: { arg: 'total' }, limits: {}, timeout_ms: 5_000 });
  const env = {
    ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator }),
    SECRETS_KEY: KEY,
    RUN_MODE: 'worker',
  };
  const worker = async () => {
    const program = startProgram(t, 'src/main.ts', { env });
    await program.line('Worker started');
    return program;
  };
  let program = await worker();
  for (let index = 0; index < KILLS; index++) {
    const moment = MOMENTS[index % MOMENTS.length];
    const customer = newCustomer(system);
    const of = () => system.simulator.wire().orders.filter(({ path }) => path.includes(customer.paid));
    const script = () =>
      system.simulator.script([
        look(customer.paid),
        cancel(customer.paid),
        { text: `Pedindo o cancelamento do ${customer.paid}.` },
      ] as never);
    const row = async () =>
      (await system.query<{ status: string }>(`select status from tool_writes where input ->> 'pedido' = $1`, [customer.paid]))[0] ?? null;
    script();
    if (moment === 'look') system.simulator.fault({ target: 'orders', kind: 'hang' } as never);
    if (moment === 'calling' || moment === 'done outside')
      system.simulator.fault({ target: 'orders', kind: moment === 'calling' ? 'hang' : 'stuck', match: { text: 'cancelamento' } } as never);
    const calls = system.simulator.wire().claude.length;
    system.simulator.inbound({ contactId: customer.id, text: `cancele o pedido ${customer.paid}` });
    await system.until(async () => {
      if (moment === 'look') return of().length > 0;
      if (moment === 'answer') return system.simulator.wire().claude.length >= calls + 3;
      if (moment === 'committed') return (await row()) !== null;
      return of().some(({ method }) => method === 'POST');
    }, `${moment} of ${customer.paid}`);
    program.signal('SIGKILL');
    await program.ended;
    // half a minute later
    await system.query(`update turns set lease_until = now() - interval '1 second' where status = 'open'`);
    await system.query(`update tool_writes set lease_until = now() - interval '1 second' where status = 'sending'`);
    if ((await row()) === null) script();
    program = await worker();
    const [{ id: conversation } = { id: 0 }] = await system.query<{ id: string }>('select max(id) as id from conversations');
    await system.ctx.queues.wakeTurn(Number(conversation), 0);
    const end = await system.until(async () => {
      await sweepWrites(system.ctx);
      const found = await row();
      return found !== null && !['queued', 'sending'].includes(found.status) ? found.status : null;
    }, `the end of ${customer.paid}`);
    const posts = of().filter(({ method }) => method === 'POST');
    assert.ok(posts.length <= 1, `${moment}: ${posts.length} calls`);
    assert.ok(end === 'done' || end === 'uncertain', `${moment}: ${end}`);
    if (end === 'done') assert.equal(posts[0]?.status, 200, moment);
    if (moment === 'look' || moment === 'answer') assert.equal(end, 'done', moment);
    const told =
      end === 'done' ? `Pronto: o pedido ${customer.paid} foi cancelado.` : `Não consegui cancelar o pedido ${customer.paid} agora.`;
    await system.until(() => answers(system).some((text) => text.startsWith(told)), `${moment}: ${told}`);
    assert.equal(answers(system).filter((text) => text.startsWith(told)).length, 1);
  }
});

test('X12: kills: who says yes dies in the middle of it, and says it again: one call', async (t) => {
  const system = await startSystem(t, { env: { SECRETS_KEY: KEY } });
  await addTools(system);
  const env = {
    ...testEnvironment({ databaseUrl: system.databaseUrl, redisUrl: null, simulator: system.simulator }),
    SECRETS_KEY: KEY,
    USER: 'ana',
  };
  for (const [index, kind] of ['hang', 'stuck', null].entries()) {
    const customer = newCustomer(system);
    const id = await asked(system, customer);
    if (kind !== null) system.simulator.fault({ target: 'orders', kind, match: { text: 'cancelamento' } } as never);
    const first = startProgram(t, 'src/admin/cli.ts', { args: ['approval', 'approve', String(id)], env });
    await system.until(() => cancels(system).length > index, 'the call');
    first.signal('SIGKILL');
    await first.ended;
    const again = startProgram(t, 'src/admin/cli.ts', { args: ['approval', 'approve', String(id)], env });
    assert.equal(await again.ended, 0);
    assert.match(again.stdout.join('\n'), /you had given it already/);
    await system.query(`update tool_writes set lease_until = now() - interval '1 second' where status = 'sending'`);
    await sweepWrites(system.ctx);
    assert.equal(cancels(system).length, index + 1, 'once');
    await system.query(`update approvals set status = 'approved' where status = 'waiting'`);
  }
});
