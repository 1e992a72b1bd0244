// Thinking: how much a model thinks, the blocks in which it comes back, and the check of the blocks that a request brings back. A block is
// bound to its model and to everything that was sent before it; its signature tells that, as the real one does.

import { createHash, createHmac } from 'node:crypto';
import { blocksOf, refuse, type ApiMessage, type Block, type Checked } from './claude-check.ts';
import type { Effort } from './claude-models.ts';
import { textField, type Json } from './types.ts';

/** Tokens that a question of a chat is thought about. No page tells a number: the order is what counts, and that `medium` fills 300 tokens. */
const TOKENS: Record<Effort, number> = { low: 150, medium: 600, high: 1_500, xhigh: 5_000, max: 12_000 };
const ENABLED_TOKENS = 1_024;
/** A progress update before another tool call, where there is no thinking up front. */
const UPDATE_TOKENS = 20;
const KEPT_ANSWERS = 5_000;

/** Of an answer that calls tools, by the id of each call: how its message must look when it comes back. */
export type Answers = Map<string, { model: string; shape: string[] }>;

type Bound = { model: string; prefix: string; text: string; previous: string | null };

/** The thinking block that an answer begins with, and its tokens; null when the model answers at once. */
export function think(
  body: Json,
  checked: Checked,
  wanted: number | undefined,
  callsTools: boolean,
): { block: Block; tokens: number } | null {
  const forced = ['any', 'tool'].includes(textField((body['tool_choice'] as Json | undefined)?.['type']));
  if (checked.thinking === 'off' || forced) return null;
  if (checked.thinking === 'between_tools') {
    const isUpdate = callsTools && bringsResults(body['messages'] as ApiMessage[]);
    return isUpdate ? { block: thinkingBlock(body, checked, 'Anotei o que a ferramenta respondeu.'), tokens: UPDATE_TOKENS } : null;
  }
  const tokens = wanted ?? (checked.thinking === 'enabled' ? ENABLED_TOKENS : TOKENS[checked.effort]);
  if (tokens === 0) return null;
  const shown = checked.showsThinking || checked.thinking === 'enabled';
  return { block: thinkingBlock(body, checked, shown ? 'O contato quer uma resposta curta.' : ''), tokens };
}

/** What was written beside a tool call, as a block that is not shown. */
export function thinkingBlock(body: Json, checked: Checked, text: string): Block {
  const messages = body['messages'] as ApiMessage[];
  const previous = messages.flatMap(thoughtsOf).at(-1) ?? null;
  const bound: Bound = { model: checked.model.id, prefix: prefixHash(body, messages.length), text: hash(text), previous };
  return { type: 'thinking', thinking: text, signature: sign(bound) };
}

/** The same thought as the API returns it when it is encrypted as a whole. */
export function redacted(block: Block): Block {
  return { type: 'redacted_thinking', data: block['signature'] };
}

/** Keeps in mind how an answer looks that calls tools. */
export function rememberAnswer(answers: Answers, model: string, content: Block[]): void {
  const shape = content.map(shapeOf);
  for (const block of content) if (block.type === 'tool_use') answers.set(textField(block['id']), { model, shape });
  for (const id of answers.keys()) {
    if (answers.size <= KEPT_ANSWERS) break;
    answers.delete(id);
  }
}

/** Throws what the API answers to thinking blocks that are not as it gave them. */
export function checkThoughts(body: Json, checked: Checked, answers: Answers): void {
  const messages = body['messages'] as ApiMessage[];
  let previous: string | null = null;
  for (const [index, message] of messages.entries()) {
    for (const [at, block] of blocksOf(message).entries()) {
      const signature = thoughtOf(block);
      if (signature === null) continue;
      const place = `messages.${index}.content.${at}`;
      const bound = read(signature);
      if (bound === null) refuse(`${place}: Invalid \`signature\` in \`thinking\` block`);
      if (bound.model !== checked.model.id) refuse(boundElsewhere(place, 'The block was produced by another model.'));
      if (block.type === 'thinking' && bound.text !== hash(textField(block['thinking']))) refuse(modified(place));
      // Those at the front of the history may be left out; one from the middle may not.
      const isOutOfPlace = previous !== null && bound.previous !== previous;
      if (isOutOfPlace || bound.prefix !== prefixHash(body, index)) refuse(boundElsewhere(place, 'Something before it has changed.'));
      previous = signature;
    }
  }
  const latest = messages.findLastIndex((message) => message.role === 'assistant');
  const message = messages[latest];
  if (message !== undefined) checkShape(message, latest, checked, answers);
}

/** In a tool loop the answer goes back whole and in its order. */
function checkShape(message: ApiMessage, index: number, checked: Checked, answers: Answers): void {
  const blocks = blocksOf(message);
  const call = blocks.find((block) => block.type === 'tool_use');
  const answer = answers.get(textField(call?.['id']));
  if (answer === undefined || answer.model !== checked.model.id) return;
  const isThought = (shape: string): boolean => shape.startsWith('thinking') || shape.startsWith('redacted_thinking');
  if (!answer.shape.some(isThought)) return;
  const shape = blocks.map(shapeOf);
  const at = answer.shape.findIndex((expected, place) => shape[place] !== expected);
  if (at >= 0 || shape.length !== answer.shape.length) refuse(modified(`messages.${index}.content.${Math.max(0, at)}`));
}

function modified(place: string): string {
  return (
    `${place}: \`thinking\` or \`redacted_thinking\` blocks in the latest assistant message cannot be modified. ` +
    'These blocks must remain as they were in the original response.'
  );
}

function boundElsewhere(place: string, why: string): string {
  return (
    `${place}: Invalid \`signature\` in \`thinking\` block. The block is bound to a different conversation. Remove the block, or set ` +
    `\`thinking.block_binding.prefix_mismatch_behavior\` to "drop_block". That setting requires the \`thinking-binding-controls-2026-08-01\` ` +
    `value in the \`anthropic-beta\` header. ${why}`
  );
}

function bringsResults(messages: ApiMessage[]): boolean {
  const last = messages.findLast((message) => message.role === 'user');
  return last !== undefined && blocksOf(last).some((block) => block.type === 'tool_result');
}

function thoughtsOf(message: ApiMessage): string[] {
  return blocksOf(message).flatMap((block) => thoughtOf(block) ?? []);
}

function thoughtOf(block: Block): string | null {
  if (block.type === 'thinking') return textField(block['signature']);
  return block.type === 'redacted_thinking' ? textField(block['data']) : null;
}

function shapeOf(block: Block): string {
  switch (block.type) {
    case 'thinking':
    case 'redacted_thinking':
      return `${block.type} ${thoughtOf(block) ?? ''}`;
    case 'tool_use':
      return `tool_use ${textField(block['id'])}`;
    default:
      return `${block.type} ${textField(block['text'])}`;
  }
}

/** Everything before the message at `end`, without cache marks and thoughts. */
function prefixHash(body: Json, end: number): string {
  const tools = ((body['tools'] ?? []) as Json[]).map((tool) => JSON.stringify(tool, withoutMarks)).toSorted();
  const messages = (body['messages'] as ApiMessage[])
    .slice(0, end)
    .map((message) => [message.role, blocksOf(message).filter((block) => thoughtOf(block) === null)] as const);
  return hash(JSON.stringify([body['system'] ?? null, tools, messages], withoutMarks));
}

function withoutMarks(key: string, value: unknown): unknown {
  return key === 'cache_control' ? undefined : value;
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, 22);
}

function sign(bound: Bound): string {
  const text = Buffer.from(JSON.stringify(bound)).toString('base64url');
  return `${text}.${seal(text)}`;
}

function read(signature: string): Bound | null {
  const [text = '', mark] = signature.split('.');
  return mark === seal(text) ? (JSON.parse(Buffer.from(text, 'base64url').toString()) as Bound) : null;
}

function seal(text: string): string {
  return createHmac('sha256', 'the look-alike of the Messages API').update(text).digest('base64url').slice(0, 22);
}
