// The answer of the Messages API look-alike: what the persona or the script says, with the thinking, the limits and the refusals around it.

import { blocksOf, type ApiMessage, type Block, type Checked } from './claude-check.ts';
import { cited } from './claude-citations.ts';
import { diagnose, fingerprintOf, rememberFingerprint, type Fingerprints } from './claude-diagnosis.ts';
import { redacted, rememberAnswer, think, thinkingBlock, type Answers } from './claude-thinking.ts';
import { accountUsage, billOf, promptTokens, tokensOf, type PromptCache } from './claude-usage.ts';
import type { Core } from './core.ts';
import { personaReply } from './persona.ts';
import { textField, type ClaudeMode, type Fault, type Json, type ScriptTurn } from './types.ts';

export type ClaudeState = {
  mode: ClaudeMode;
  baseMode: ClaudeMode;
  turns: ScriptTurn[];
  cache: PromptCache;
  answers: Answers;
  fingerprints: Fingerprints;
  /** Words that a model has refused: it goes on refusing while they are in the request. */
  refused: { model: string; words: string; details: Json }[];
};

/** Categories whose refusals before any output are not billed (refusals-and-fallback, release notes of 2026-09-24). */
const FREE_CATEGORIES: readonly unknown[] = ['cyber', 'general_harms', null];
/** From here on, what is written beside a tool call is a progress update; characters. */
const LONG_NOTE = 160;

/** The message and what it costs in US dollars. `at`: when the request began, in milliseconds. */
export function buildMessage(
  core: Core,
  { body, checked, at }: { body: Json; checked: Checked; at: number },
  { refusal, turn, fault }: { refusal: Written | null; turn: ScriptTurn | null; fault: Fault | null },
): { message: Json; usd: number } {
  const written = refusal ?? scriptedRefusal(core, body, turn) ?? write(core, body, checked, turn, fault);
  const floor = core.options.cacheMinTokens ?? checked.model.cacheFloor;
  const usage = accountUsage(core.claude.cache, body, checked, { at, floor, output: written.output, thinking: written.thinking });
  const id = `msg_${core.random.hex(24)}`;
  const fingerprint = fingerprintOf(body, promptTokens(body, checked));
  const diagnostics = diagnose(core.claude.fingerprints, body, fingerprint);
  rememberFingerprint(core.claude.fingerprints, id, fingerprint);
  rememberAnswer(core.claude.answers, checked.model.id, written.content);
  const message: Json = {
    id,
    type: 'message',
    role: 'assistant',
    model: body['model'],
    content: written.content,
    stop_reason: written.stopReason,
    stop_sequence: null,
    stop_details: written.details,
    usage,
    ...(diagnostics === undefined ? {} : { diagnostics }),
  };
  return { message, usd: isFree(message) ? 0 : billOf(checked.model, usage) };
}

type Written = { content: Block[]; stopReason: string; details: Json | null; output: number; thinking: number };

function write(core: Core, body: Json, checked: Checked, turn: ScriptTurn | null, fault: Fault | null): Written {
  const reply = turn ? { text: turn.text ?? '', tools: turn.tools ?? [] } : personaReply(body);
  const tools = textField((body['tool_choice'] as Json | undefined)?.['type']) === 'none' ? [] : reply.tools;
  const thought = think(body, checked, turn?.thinkTokens, tools.length > 0);
  const content: Block[] = [];
  if (thought !== null) content.push(turn?.redactedThinking === true ? redacted(thought.block) : thought.block);
  // Beside a tool call the persona stays silent: its text comes with the next round, when the tool has answered.
  if (reply.text !== '' && (turn !== null || tools.length === 0)) {
    const note = noteOf(body, checked, reply.text, tools.length > 0);
    content.push(...(note.type === 'text' ? cited(body['messages'] as ApiMessage[], reply.text) : [note]));
  }
  for (const { name, input } of tools) content.push({ type: 'tool_use', id: `toolu_${core.random.hex(24)}`, name, input });
  const stopReason = turn?.stop_reason ?? (tools.length > 0 ? 'tool_use' : 'end_turn');
  if (fault?.kind === 'no-text') return { content: [], stopReason: 'end_turn', details: null, output: 2, thinking: 0 };
  return fit(content, stopReason, { checked, thinking: thought?.tokens ?? 0, room: Number(body['max_tokens']), fault });
}

/** On Sonnet 5.5 a long note beside a tool call is a progress update; with `between_tools` it comes back as text. */
function noteOf(body: Json, checked: Checked, text: string, besideTool: boolean): Block {
  const isUpdate = besideTool && checked.thinking === 'adaptive' && checked.model.thinking.includes('between_tools');
  return isUpdate && text.length > LONG_NOTE ? thinkingBlock(body, checked, '') : { type: 'text', text };
}

/** Cuts what is longer than the room: thinking first, then the blocks in their order. */
function fit(
  content: Block[],
  stopReason: string,
  { checked, thinking, room, fault }: { checked: Checked; thinking: number; room: number; fault: Fault | null },
): Written {
  const { model } = checked;
  if (thinking >= room) return { content: content.slice(0, 1), stopReason: 'max_tokens', details: null, output: room, thinking: room };
  let left = room - thinking;
  const kept: Block[] = [];
  for (const block of content) {
    const isText = block.type === 'text';
    const whole = textField(block['text']);
    const needed = isText ? tokensOf(whole, model) : block.type === 'tool_use' ? tokensOf(JSON.stringify(block), model) : 0;
    const isCut = needed > left || (fault?.kind === 'truncated' && isText);
    if (!isCut) {
      left -= needed;
      kept.push(block);
      continue;
    }
    const length = Math.floor(Math.min(left * model.charsPerToken, fault?.kind === 'truncated' ? whole.length / 2 : Infinity));
    // Of a call that does not fit, its beginning comes: its input is not there.
    kept.push(isText ? { ...block, text: whole.slice(0, Math.max(1, length)).toWellFormed() } : { ...block, input: {} });
    return {
      content: kept,
      stopReason: 'max_tokens',
      details: null,
      output: isText ? room - left + tokensOf(whole.slice(0, length), model) : room,
      thinking,
    };
  }
  return { content: kept, stopReason, details: null, output: Math.max(1, room - left), thinking };
}

/** What was refused once is refused again while its words are in the request, and so is what a fault names. Null: nothing of that. */
export function standingRefusal(core: Core, body: Json): Written | null {
  const model = String(body['model']);
  const words = allWords(body).toLowerCase();
  const fault = core.faults.list().find((each) => each.kind === 'refuse' && fits(each, model, words));
  if (fault !== undefined) {
    core.faults.use(fault.id);
    return refuseWith({ category: fault['category'] ?? null }, textField(fault['partial']));
  }
  const known = core.claude.refused.find((each) => each.model === model && words.includes(each.words.toLowerCase()));
  return known === undefined ? null : refuseWith(known.details, '');
}

function scriptedRefusal(core: Core, body: Json, turn: ScriptTurn | null): Written | null {
  const model = String(body['model']);
  if (turn?.stop_reason !== 'refusal') return null;
  const newest = newestWords(body);
  if (newest !== '') core.claude.refused.push({ model, words: newest, details: { category: null } });
  return refuseWith({ category: null }, turn.text ?? '');
}

function refuseWith(details: Json, partial: string): Written {
  return {
    content: partial === '' ? [] : [{ type: 'text', text: partial }],
    stopReason: 'refusal',
    details: { type: 'refusal', category: details['category'] ?? null, explanation: null },
    output: partial === '' ? 0 : Math.ceil(partial.length / 3),
    thinking: 0,
  };
}

function fits(fault: Fault, model: string, words: string): boolean {
  const { text, model: only } = fault.match ?? {};
  return (only === undefined || only === model) && (text === undefined || words.includes(text.toLowerCase()));
}

function isFree(message: Json): boolean {
  const details = message['stop_details'] as Json | null;
  const isEmpty = (message['content'] as Block[]).length === 0;
  return message['stop_reason'] === 'refusal' && isEmpty && FREE_CATEGORIES.includes(details?.['category'] ?? null);
}

function allWords(body: Json): string {
  return (body['messages'] as ApiMessage[]).flatMap(wordsOf).join('\n');
}

/** What the user said last, without what the runtime adds. */
function newestWords(body: Json): string {
  const last = (body['messages'] as ApiMessage[]).findLast((message) => message.role === 'user');
  return last === undefined ? '' : (wordsOf(last).findLast((text) => !text.startsWith('[sistema')) ?? '');
}

function wordsOf(message: ApiMessage): string[] {
  return blocksOf(message).flatMap((block) => {
    if (block.type === 'text') return textField(block['text']);
    return block.type === 'tool_result' ? textField(block['content']) : [];
  });
}
