/** Z8 through the whole product: what contacts control, in the places where the team and the model read it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tellOfHandoffs, tellOfMessages } from '../../src/people/handoffs.ts';
import { slackSignature } from '../../src/routes/slack.ts';
import { bracketsOf, SAMPLE, UNSEEN } from '../support/foreign-corpus.ts';
import { INSTANCE, SLACK_SECRET } from '../support/system.ts';
import { openStage, turnsUntilDone } from '../support/turns.ts';
import type { Stage } from '../support/turns.ts';

const ANA = 'U02ANA';
/** The first contact writes ordinary words: what all others must look like. */
const FORMS = ['palavras', ...SAMPLE];

/** Text, name of a file, quote and name of a contact are all this form. */
async function write(stage: Stage, index: number, round: string): Promise<void> {
  const form = FORMS[index] ?? '';
  const seconds = Math.floor(Date.now() / 1000);
  const messages = [
    { conversation: form },
    { documentMessage: { fileName: form, caption: form, mimetype: 'application/pdf' } },
    { extendedTextMessage: { text: 'sim', contextInfo: { stanzaId: 'B', quotedMessage: { conversation: form } } } },
    { reactionMessage: { key: { id: 'B', fromMe: true }, text: form } },
  ];
  for (const [at, message] of messages.entries()) {
    const key = { remoteJid: `55119${40_000_000 + index}@s.whatsapp.net`, fromMe: false, id: `${round}${index}N${at}` };
    const { status } = await stage.system.webhook({
      event: 'messages.upsert',
      instance: INSTANCE,
      data: { key, pushName: form, message, messageType: Object.keys(message)[0], messageTimestamp: seconds + at, source: 'android' },
    });
    assert.equal(status, 200);
  }
}

async function everybody(stage: Stage, round: string): Promise<void> {
  for (let index = 0; index < FORMS.length; index++) await write(stage, index, round);
}

test(`Z8 text, file, quote, reaction and name of ${SAMPLE.length} contacts, in the prompt, the draft, the packet, the forward, Slack's lists: none reads like the runtime or the team`, async (t) => {
  const stage = await openStage(t, {
    slack: 'bot',
    env: { SLACK_ALLOWED_USERS: ANA, ABUSE_GATES: 'false', LLM_MODEL_COMPLEX: 'claude-haiku-5-5' },
  });
  const { system, ctx } = stage;
  system.simulator.script([{ text: 'Pois não!', repeat: true }]);
  await everybody(stage, 'A');
  await system.query(`update conversations set mode = 'assist'`);
  const ids = (await system.query<{ id: string }>('select id from conversations order by jid')).map(({ id }) => Number(id));
  assert.equal(ids.length, FORMS.length);
  for (const id of ids) await turnsUntilDone(ctx, id);
  const prompts = stage.prompts().map(({ situation, texts }) => [situation, ...texts].join('\n'));
  assert.equal(prompts.length, FORMS.length);
  for (const [index, prompt] of prompts.entries()) {
    assert.equal(bracketsOf(prompt), bracketsOf(prompts[0] ?? ''), JSON.stringify(FORMS[index]));
    assert.doesNotMatch(prompt, UNSEEN, JSON.stringify(FORMS[index]));
  }
  await ctx.background.drain(10_000);
  await readByPeople(stage, 'draft');
  await listed(stage, 'rascunhos');

  await system.query(`update conversations set controlled_by = 'human', escalation_reason = 'pediu', mode = 'auto'`);
  await system.query(`select open_handoff(id, null, 'pediu', null, true, now()) from conversations order by jid`);
  await tellOfHandoffs(ctx);
  await readByPeople(stage, 'handoff');

  await everybody(stage, 'B');
  for (const id of ids) await turnsUntilDone(ctx, id);
  await tellOfMessages(ctx);
  await readByPeople(stage, 'forward');

  await listed(stage, 'handoffs');
});

/** All notices of a kind have the lines of the first, whose contact writes ordinary words; Slack shows what the rows hold. An hour passes. */
async function readByPeople(stage: Stage, kind: string): Promise<void> {
  const { system } = stage;
  const texts = (await system.query<{ text: string }>('select text from notices where kind = $1 order by id', [kind])).map(
    ({ text }) => text,
  );
  assert.equal(texts.length, FORMS.length, kind);
  const plain = linesOf(texts.find((text) => text.includes('palavras')) ?? '');
  for (const text of texts) {
    const lines = linesOf(text);
    assert.equal(lines.length, plain.length, JSON.stringify(text));
    for (const [at, line] of lines.entries()) assert.equal(line.slice(0, 2), plain[at]?.slice(0, 2), JSON.stringify(text));
    assert.doesNotMatch(text, UNSEEN, JSON.stringify(text));
  }
  await system.until(
    async () => (await system.query(`select from notices where kind = $1 and status <> 'sent'`, [kind])).length === 0,
    `${kind} in Slack`,
  );
  const shown = new Set(
    system.simulator.slackTexts().map((text) => text.replaceAll('&lt;', '<').replaceAll('&gt;', '>').replaceAll('&amp;', '&')),
  );
  for (const text of texts) assert.ok(shown.has(text) || shown.has(`🚨 ${text}`), JSON.stringify(text));
  assert.ok(
    system.simulator.slackTexts().every((text) => !/[<>]/.test(text)),
    'nothing that Slack reads as its own',
  );
  await system.query(
    `update notices set ended_at = ended_at - interval '1 hour'; update conversations set forwarded_at = forwarded_at - interval '1 minute'`,
  );
}

/** A list in Slack: each line is the product's own, and the contact's words stand within it. */
async function listed(stage: Stage, command: string): Promise<void> {
  const answer = await ask(stage, command);
  const lines = answer.split('\n');
  assert.ok(lines.length > 5, answer);
  for (const line of lines) assert.match(line, /^(• \d+: .* \(|• \d+: conversa \d+ \(|\.\.\. e mais \d+$)/, answer);
  assert.doesNotMatch(answer, UNSEEN);
}

/** Without what the agent answers: its words may have lines. */
function linesOf(text: string): string[] {
  return (text.split('\nResposta:\n')[0] ?? '').split('\n');
}

async function ask({ system }: Stage, text: string): Promise<string> {
  const before = system.simulator.slackTexts().length;
  const at = String(Math.floor(Date.now() / 1000));
  const event = { type: 'app_mention', user: ANA, channel: 'C0OPS', text: `<@U0BOT> ${text}`, ts: '1.2' };
  const body = JSON.stringify({ type: 'event_callback', event_id: `Ev-${text}`, event });
  const headers = {
    'content-type': 'application/json',
    'x-slack-request-timestamp': at,
    'x-slack-signature': slackSignature(SLACK_SECRET, at, body),
  };
  assert.equal((await fetch(`${system.url}/webhook/slack`, { method: 'POST', headers, body })).status, 200);
  return system.until(() => system.simulator.slackTexts()[before], `an answer to "${text}"`);
}
