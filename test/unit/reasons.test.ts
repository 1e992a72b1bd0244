/** X11: every reason that SQL and TypeScript can write has a sentence. They are read from the sources, so that a new one is noticed. */
import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';
import { HANDOFF_REASONS, isTechnical } from '../../src/people/packet.ts';
import { asideBecause, because, knownReason, PUT_ASIDE, REASONS } from '../../src/words/reasons.ts';

const ROOT = path.join(import.meta.dirname, '../..');

async function textOf(file: string): Promise<string> {
  return readFile(path.join(ROOT, file), 'utf8');
}

/** The current text of every function, and the tables, without comments and line breaks. */
async function sql(): Promise<string> {
  const schemas = (await readdir(path.join(ROOT, 'supabase/schemas'))).map((name) => `supabase/schemas/${name}`);
  const texts = await Promise.all(['supabase/migrations/20261123000000_tables.sql', ...schemas.toSorted()].map(textOf));
  return texts.join('\n').replaceAll(/--.*$/gm, '').replaceAll(/\s+/g, ' ');
}

function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map((match) => match[1] ?? '');
}

/** The quoted words of a piece of source. */
function quoted(text: string): string[] {
  return all(text, /'([^']+)'/g);
}

async function writtenBySql(): Promise<string[]> {
  const text = await sql();
  const scopes = quoted(/scope in \(([^)]*)\)/.exec(text)?.[1] ?? '');
  assert.ok(scopes.length >= 5, 'the scopes of julia_status');
  const holder = /create or replace function conversation_holder[\s\S]*?\$\$;/.exec(text)?.[0] ?? '';
  const stops = /create or replace function answer_stop[\s\S]*?\$\$;/.exec(text)?.[0] ?? '';
  const silenced = /create or replace function silenced_by[\s\S]*?\$\$;/.exec(text)?.[0] ?? '';
  assert.match(silenced, /select 'opted_out'/);
  const chosen = all(text, /reason = (case[\s\S]*?end)\b/g).join('\n');
  return [
    ...all(text, /\b(?:v_)?reason\s*:?=\s*'([^']+)'/g),
    ...all(text, /reason in \(([^)]*)\)/g).flatMap(quoted),
    ...all(text, /\b(?:ends|waits|looks)\('([^']+)'/g),
    ...all(text, /fail_send\([^,()]+,\s*'([^']+)'/g),
    ...all(text, /give_up_send\([^,()]+,\s*'([^']+)'/g),
    ...all(text, /end_tool_write\([^,()]+,\s*'\w+',\s*'([^']+)'/g),
    ...all(text, /end_send\([^,()]+,\s*'\w+',\s*'([^']+)'/g),
    ...all(text, /'deduped' end,\s*case when [^']*then '(\w+)'/g),
    ...all(text, /open_handoff\([^,()]+,[^,()]+,\s*'([^']+)'/g),
    ...all(text, /'reason', '([^']+)'/g),
    ...all(/create or replace function incident[\s\S]*?\$\$;/.exec(text)?.[0] ?? '', /\('\w+', '(\w+)'/g),
    ...all(text, /coalesce\([^()]*reason'?,\s*'([^']+)'\)/g),
    ...all(silenced, /select '(\w+)'/g),
    ...all(`${holder}\n${stops}\n${chosen}`, /(?:then|else) '([^']+)'/g).filter((word) => word !== 'agent'),
    ...all(all(text, /(nullif\(p_judged ->> 'verdict'[\s\S]*?\bend\b)/g).join('\n'), /then '([^']+)'/g),
    ...all(/create or replace function follow_up_over[\s\S]*?\$\$;/.exec(text)?.[0] ?? '', /then '([^']+)'/g),
    ...all(text, /cancel_reminders\([^()]+,\s*'([^']+)'/g),
    ...all(text, /case when v_many then '(too_\w+)'/g),
    ...all(/create or replace function judge_own[\s\S]*?\$\$;/.exec(text)?.[0] ?? '', /then '([^']+)'/g),
    ...all(/create or replace function campaign_audience[\s\S]*?\$\$;/.exec(text)?.[0] ?? '', /then '(\w+)'/g),
    ...all(/create or replace function order_notice_row[\s\S]*?\$\$;/.exec(text)?.[0] ?? '', /then '(\w+)'/g),
    ...scopes.map((scope) => `paused_${scope}`),
    // a literal that ends in _ is a prefix; what follows it is among the scopes
  ].filter((reason) => !reason.endsWith('_'));
}

async function writtenByTypescript(): Promise<string[]> {
  const outcome = await textOf('src/whatsapp/send-outcome.ts');
  const notSent = quoted(/type NotSentClass =([^;]*);/.exec(outcome)?.[1] ?? '');
  const ambiguous = quoted(/type AmbiguousClass =([^;]*);/.exec(outcome)?.[1] ?? '');
  const model = quoted(/type ModelFailureKind =([^;]*);/.exec(await textOf('src/claude/model-failure.ts'))?.[1] ?? '');
  assert.ok(notSent.length >= 9 && ambiguous.length >= 5 && model.length >= 9, 'the classes of failures');
  const abuse = quoted(/type AbuseReason =([^;]*);/.exec(await textOf('src/turns/checks/abuse.ts'))?.[1] ?? '');
  assert.ok(abuse.length >= 5, 'the kinds of abuse');
  const media = quoted(/type MediaFailure =([^;]*);/.exec(await textOf('src/inbox/media/decide.ts'))?.[1] ?? '');
  const speech = quoted(/type SpeechFailure =([^;]*);/.exec(await textOf('src/speech/client.ts'))?.[1] ?? '');
  assert.ok(media.length >= 9 && speech.length >= 5, 'why media is not read');
  const tools = quoted(/type CallFault =([^;]*);/.exec(await textOf('src/tools/client.ts'))?.[1] ?? '');
  assert.ok(tools.length >= 9, 'why a tool has no answer');
  const decision = all(await textOf('src/turns/decide.ts'), /\breason: ((?:'[^']+'(?: \| )?)+)/g).flatMap(quoted);
  const steps = (
    await Promise.all(['src/turns/turn.ts', 'src/turns/result.ts', 'src/turns/agent.ts', 'src/outbox/send.ts'].map(textOf))
  ).join('\n');
  return [
    ...notSent,
    ...notSent.map((failure) => `max_attempts_${failure}`),
    ...ambiguous,
    ...model.map((kind) => `model_${kind}`),
    ...decision,
    ...abuse,
    ...media,
    ...speech,
    ...tools,
    ...all(await textOf('src/whatsapp/incidents.ts'), /\breason: '([^']+)'/g),
    ...all(steps, /\b(?:reason|class): (?:[^,;\n]*\? \w+ : )?'([^']+)'/g),
    ...all(steps, /const SHUTDOWN = '([^']+)'/g),
  ];
}

test('X11 every reason that SQL can write has a sentence', async () => {
  const reasons = new Set(await writtenBySql());
  for (const expected of [
    'cap_hour',
    'paused_all',
    'takeover',
    'allowlist',
    'reaction',
    'scheduled',
    'contact_wrote_again',
    'lease_ran_out',
    'opted_out',
    'send_failed',
  ])
    assert.ok(reasons.has(expected), `the search finds ${expected}`);
  assert.deepEqual(
    [...reasons].filter((reason) => knownReason(reason) === null),
    [],
  );
});

test('X11 every reason that TypeScript can write has a sentence', async () => {
  const reasons = new Set(await writtenByTypescript());
  for (const expected of [
    'too_old',
    'shutdown',
    'answer_not_wanted',
    'model_empty_answer',
    'model_timeout',
    'max_attempts_unavailable',
    'breaker_open',
  ])
    assert.ok(reasons.has(expected), `the search finds ${expected}`);
  assert.deepEqual(
    [...reasons].filter((reason) => knownReason(reason) === null),
    [],
  );
});

test('X11 no sentence is left of a reason that nobody writes', async () => {
  const written = new Set([...(await writtenBySql()), ...(await writtenByTypescript())]);
  // `operator` and the uncertain state are written by hand as the runbook says
  const byHand = all(await textOf('docs/runbook.md'), /reason = '([^']+)'/g);
  const dead = Object.keys(REASONS).filter((reason) => !written.has(reason) && !byHand.includes(reason));
  assert.deepEqual(dead, []);
});

test('X11 W9 every reason of the reader has a sentence of its own, and each is given', async () => {
  const readers = await Promise.all(['src/whatsapp/payload.ts', 'src/whatsapp/message-content.ts', 'src/words/phone.ts'].map(textOf));
  const given = new Set(all(readers.join('\n'), /'([a-z_]+)'/g));
  assert.deepEqual(
    Object.keys(PUT_ASIDE).filter((reason) => !given.has(reason)),
    [],
  );
  assert.match(asideBecause('broadcast'), /list/, 'not that of the same words to several people');
  assert.equal(asideBecause('no_instance'), because('no_instance'));
  assert.equal(asideBecause('toString'), '"toString"');
  for (const [reason, sentence] of Object.entries(PUT_ASIDE)) assert.ok(!sentence.endsWith('.') && sentence.length > 15, reason);
});

test('Z6 the codes that stay in the audit when a contact is erased are those that a packet explains', async () => {
  const kept = quoted(
    /p_reason in \(([^)]*)\)/.exec(/create or replace function handoff_code[\s\S]*?\$\$;/.exec(await sql())?.[0] ?? '')?.[1] ?? '',
  );
  const technical = (reason: string): boolean => isTechnical(reason);
  assert.deepEqual(kept.toSorted(), [...[...HANDOFF_REASONS.keys()].filter((reason) => !technical(reason)), 'erased'].toSorted());
});

test('X11 sentences read well after "because", and words of a person are quoted', () => {
  assert.equal(because('o cliente pediu uma pessoa'), '"o cliente pediu uma pessoa"');
  assert.equal(because(null), 'no reason was recorded');
  assert.equal(because('max_attempts_unavailable'), 'every attempt failed, the last one because Evolution could not be reached');
  assert.equal(knownReason('max_attempts_of_something_else'), null);
  assert.equal(knownReason('paused_for_lunch'), null);
  for (const [reason, sentence] of Object.entries(REASONS)) assert.ok(!sentence.endsWith('.') && sentence.length > 15, reason);
});

test('X11 a reason is a code, and its sentence stands in one place', async () => {
  const reasons = [...Object.keys(REASONS), ...Object.keys(PUT_ASIDE), ...(await writtenBySql()), ...(await writtenByTypescript())];
  assert.deepEqual(
    reasons.filter((reason) => !/^[a-z]+(?:_[a-z0-9]+)*$/.test(reason)),
    [],
  );
});
