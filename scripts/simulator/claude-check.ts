// What the real Messages API refuses: the same checks, statuses and texts, as far as a client can run into them.

import { textField, type Json } from './types.ts';

export type Block = { type: string; [field: string]: unknown };
export type ApiMessage = { role: string; content: string | Block[] };

export class ClaudeError extends Error {
  readonly status: number;
  readonly type: string;

  constructor(status: number, type: string, message: string) {
    super(message);
    this.status = status;
    this.type = type;
  }
}

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,128}$/;
const MAX_BREAKPOINTS = 4;

/** Throws the ClaudeError that the API would answer. */
export function checkRequest(body: Json): void {
  for (const name of ['model', 'max_tokens', 'messages']) {
    if (body[name] === undefined) refuse(`${name}: Field required`);
  }
  if (typeof body['model'] !== 'string' || body['model'] === '') refuse('model: Input should be a valid string');
  const maxTokens = body['max_tokens'];
  if (!Number.isInteger(maxTokens)) refuse('max_tokens: Input should be a valid integer');
  if (Number(maxTokens) < 1) refuse('max_tokens: Input should be greater than or equal to 1');
  const temperature = body['temperature'];
  if (temperature !== undefined && !(Number(temperature) >= 0 && Number(temperature) <= 1)) {
    refuse('temperature: range: 0..1');
  }
  const messages = body['messages'];
  if (!Array.isArray(messages)) refuse('messages: Input should be a valid array');
  if (messages.length === 0) refuse('messages: at least one message is required');
  checkMessages(messages as ApiMessage[]);
  checkTools(body['tools'], body['tool_choice']);
  checkBreakpoints(body);
  const model = textField(body['model']);
  if (model.startsWith('claude-gone')) {
    throw new ClaudeError(404, 'not_found_error', `model: ${model}`);
  }
}

/** The blocks of a message; a string is one text block. */
export function blocksOf(message: ApiMessage): Block[] {
  return typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;
}

function refuse(message: string): never {
  throw new ClaudeError(400, 'invalid_request_error', message);
}

function checkMessages(messages: ApiMessage[]): void {
  let previous: ApiMessage | null = null;
  for (const [index, message] of messages.entries()) {
    if (message.role !== 'user' && message.role !== 'assistant') {
      refuse(`messages.${index}.role: Input should be 'user' or 'assistant'`);
    }
    if (index === 0 && message.role !== 'user') refuse('messages: first message must use the "user" role');
    if (typeof message.content !== 'string' && !Array.isArray(message.content)) {
      refuse(`messages.${index}.content: Input should be a valid list`);
    }
    const isLastAssistant = index === messages.length - 1 && message.role === 'assistant';
    if (message.content.length === 0 && !isLastAssistant) {
      refuse(`messages.${index}: all messages must have non-empty content except for the optional final assistant message`);
    }
    checkBlocks(message, index);
    checkToolResults(previous, message, index);
    previous = message;
  }
  const last = messages[messages.length - 1];
  if (last && toolUseIds(last).length > 0) missingResults(messages.length - 1, toolUseIds(last));
}

function checkBlocks(message: ApiMessage, index: number): void {
  for (const block of blocksOf(message)) {
    if (typeof block.type !== 'string') refuse(`messages.${index}.content.0.type: Field required`);
    if (block.type === 'text' && textField(block['text']).trim() === '' && typeof message.content !== 'string') {
      refuse('messages: text content blocks must contain non-whitespace text');
    }
    if (block.type === 'tool_result' && message.role === 'assistant') {
      refuse(`messages.${index}: \`tool_result\` blocks can only be in \`user\` messages`);
    }
    if (block.type === 'tool_use' && message.role === 'user') {
      refuse(`messages.${index}: \`tool_use\` blocks can only be in \`assistant\` messages`);
    }
  }
}

function checkToolResults(previous: ApiMessage | null, message: ApiMessage, index: number): void {
  const asked = previous ? toolUseIds(previous) : [];
  const answered = blocksOf(message)
    .filter((block) => block.type === 'tool_result')
    .map((block) => String(block['tool_use_id']));
  const missing = asked.filter((id) => !answered.includes(id));
  if (missing.length > 0) missingResults(index - 1, missing);
  const stray = answered.find((id) => !asked.includes(id));
  if (stray !== undefined) {
    refuse(
      `messages.${index}.content.0: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. ` +
        'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.',
    );
  }
}

function missingResults(index: number, ids: string[]): never {
  return refuse(
    `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids.join(', ')}. ` +
      'Each `tool_use` block must have a corresponding `tool_result` block in the next message.',
  );
}

function toolUseIds(message: ApiMessage): string[] {
  if (message.role !== 'assistant') return [];
  return blocksOf(message)
    .filter((block) => block.type === 'tool_use')
    .map((block) => String(block['id']));
}

function checkTools(tools: unknown, choice: unknown): void {
  if (tools === undefined) {
    if (choice !== undefined) refuse('tool_choice may only be specified while providing `tools`');
    return;
  }
  if (!Array.isArray(tools)) refuse('tools: Input should be a valid list');
  const names = new Set<string>();
  for (const [index, tool] of (tools as Json[]).entries()) {
    const name = textField(tool['name']);
    if (!TOOL_NAME.test(name)) {
      refuse(`tools.${index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'`);
    }
    if (names.has(name)) refuse('tools: Tool names must be unique.');
    names.add(name);
    const isCustom = tool['type'] === undefined || tool['type'] === 'custom';
    const schema = tool['input_schema'] as Json | undefined;
    if (isCustom && schema === undefined) refuse(`tools.${index}.custom.input_schema: Field required`);
    if (isCustom && schema?.['type'] !== 'object') {
      refuse(`tools.${index}.custom.input_schema.type: Input should be 'object'`);
    }
  }
}

function checkBreakpoints(body: Json): void {
  const found = JSON.stringify([body['tools'], body['system'], body['messages']]).split('"cache_control":{').length - 1;
  if (found > MAX_BREAKPOINTS) {
    refuse(`A maximum of ${MAX_BREAKPOINTS} blocks with cache_control may be provided. Found ${found}.`);
  }
}
