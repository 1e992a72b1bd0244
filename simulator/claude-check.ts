// What the real Messages API refuses: the same checks, statuses and texts, as far as a client can run into them. What each model takes
// stands in claude-models.ts, the sources in docs/claude.md.

import { modelOf, type ClaudeModel, type Effort } from './claude-models.ts';
import { checkMedia } from './claude-media.ts';
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

/** A request that the API would take, with what its defaults come to. */
export type Checked = {
  model: ClaudeModel;
  thinking: 'off' | 'adaptive' | 'between_tools' | 'enabled';
  effort: Effort;
  /** The text of thinking blocks is shown, not only their signature. */
  showsThinking: boolean;
};

const TOOL_NAME = /^[a-zA-Z0-9_-]{1,128}$/;
const TOOL_USE_ID = /^[a-zA-Z0-9_-]+$/;
const MAX_BREAKPOINTS = 4;
/** Bytes. */
const MAX_REQUEST = 32 * 1024 * 1024;
const LEVELS: readonly unknown[] = ['low', 'medium', 'high', 'xhigh', 'max'];

/** Without a beta header: `context_management`, `mcp_servers`, `fallbacks` and others need one, and are unknown without it. */
const FIELDS = new Set([
  'model',
  'max_tokens',
  'messages',
  'system',
  'tools',
  'tool_choice',
  'thinking',
  'output_config',
  'metadata',
  'stop_sequences',
  'stream',
  'temperature',
  'top_p',
  'top_k',
  'service_tier',
  'cache_control',
  'container',
  'inference_geo',
  'diagnostics',
]);
/** Fields of each kind of block. A kind that is missing here is refused. */
const BLOCK_FIELDS: Record<string, readonly string[]> = {
  text: ['text', 'cache_control', 'citations'],
  image: ['source', 'cache_control'],
  document: ['source', 'cache_control', 'title', 'context', 'citations'],
  search_result: ['source', 'title', 'content', 'cache_control', 'citations'],
  thinking: ['thinking', 'signature'],
  redacted_thinking: ['data'],
  tool_use: ['id', 'name', 'input', 'cache_control', 'caller'],
  tool_result: ['tool_use_id', 'content', 'is_error', 'cache_control'],
};

/** The body as JSON; throws what the API would answer. */
export function parseRequest(text: string): Json {
  if (Buffer.byteLength(text) > MAX_REQUEST) throw new ClaudeError(413, 'request_too_large', 'Request exceeds the maximum size');
  const body = parsed(text);
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return refuse('The request body is not valid JSON');
  // JSON.parse takes half a surrogate pair, the API does not.
  if (/\\u[dD]/.test(text) && !isWellFormed(body))
    refuse('The request body is not valid JSON: no low surrogate in string: line 1 column 1 (char 0)');
  return body as Json;
}

/** Throws the ClaudeError that the API would answer. `kind` `count` is the endpoint that counts tokens: no `max_tokens`. */
export function checkRequest(body: Json, kind: 'create' | 'count' = 'create'): Checked {
  const needed = kind === 'create' ? ['model', 'max_tokens', 'messages'] : ['model', 'messages'];
  for (const name of needed) if (body[name] === undefined) refuse(`${name}: Field required`);
  for (const name of Object.keys(body)) if (!FIELDS.has(name)) refuse(`${name}: Extra inputs are not permitted`);
  if (typeof body['model'] !== 'string' || body['model'] === '') refuse('model: Input should be a valid string');
  const messages = body['messages'];
  if (!Array.isArray(messages)) refuse('messages: Input should be a valid array');
  if (messages.length === 0) refuse('messages: at least one message is required');
  const model = modelOf(body['model']);
  if (model === null) throw new ClaudeError(404, 'not_found_error', `model: ${body['model']}`);
  if (kind === 'create') checkRoom(body['max_tokens'], model);
  checkSampling(body, model);
  const settings = checkThinking(body, model);
  checkSystem(body['system']);
  checkMessages(messages as ApiMessage[], model, body['tools'] !== undefined);
  checkCitations(messages as ApiMessage[]);
  checkTools(body['tools'], body['tool_choice'], model);
  checkBreakpoints(body);
  checkDiagnostics(body['diagnostics']);
  checkMedia(messages as ApiMessage[], model, refuse);
  return { model, ...settings };
}

/** The blocks of a message; a string is one text block. */
export function blocksOf(message: ApiMessage): Block[] {
  return typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;
}

export function refuse(message: string): never {
  throw new ClaudeError(400, 'invalid_request_error', message);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === 'string') return value.isWellFormed();
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, inner]) => key.isWellFormed() && isWellFormed(inner));
}

function checkRoom(maxTokens: unknown, model: ClaudeModel): void {
  if (!Number.isInteger(maxTokens)) refuse('max_tokens: Input should be a valid integer');
  if (Number(maxTokens) < 1) refuse('max_tokens: Input should be greater than or equal to 1');
  if (Number(maxTokens) > model.maxOutput) {
    refuse(`max_tokens: ${Number(maxTokens)} > ${model.maxOutput}, which is the maximum allowed number of output tokens for ${model.id}`);
  }
}

function checkSampling(body: Json, model: ClaudeModel): void {
  const { temperature, top_p: topP, top_k: topK } = body;
  if (temperature !== undefined && !(Number(temperature) >= 0 && Number(temperature) <= 1)) refuse('temperature: range: 0..1');
  if (model.sampling) return;
  if (temperature !== undefined && temperature !== 1) refuse('`temperature` is deprecated for this model.');
  if (topP !== undefined && topP !== 0.99) refuse('`top_p` is deprecated for this model.');
  if (topK !== undefined) refuse('`top_k` is deprecated for this model.');
  if (temperature !== undefined && topP !== undefined) {
    refuse('`temperature` and `top_p` cannot both be specified for this model. Please use only one.');
  }
}

function checkThinking(body: Json, model: ClaudeModel): Omit<Checked, 'model'> {
  const effort = checkEffort(body['output_config'], model);
  const thinking = body['thinking'] as Json | undefined;
  if (thinking === undefined) return { thinking: model.thinksByDefault ? 'adaptive' : 'off', effort, showsThinking: false };
  const type = textField(thinking['type']) as ClaudeModel['thinking'][number];
  if (!['adaptive', 'disabled', 'between_tools', 'enabled'].includes(type)) {
    refuse(`thinking: Input tag '${type}' found using 'type' does not match any of the expected tags`);
  }
  if (!model.thinking.includes(type)) refuse(refusedThinking(type, model));
  const allowed = { adaptive: ['display'], enabled: ['display', 'budget_tokens'], disabled: [], between_tools: [] }[type];
  for (const field of Object.keys(thinking)) {
    if (field !== 'type' && !allowed.includes(field as never)) refuse(`thinking.${type}.${field}: Extra inputs are not permitted`);
  }
  const isOff = type === 'disabled' || type === 'between_tools';
  if (isOff && (effort === 'xhigh' || effort === 'max')) {
    refuse(
      `output_config.effort '${effort}' is not supported when thinking is disabled on this model. Use effort 'high' or below, or enable thinking.`,
    );
  }
  if (type === 'enabled') checkBudget(thinking['budget_tokens'], body['max_tokens']);
  return { thinking: type === 'disabled' ? 'off' : type, effort, showsThinking: thinking['display'] === 'summarized' };
}

function refusedThinking(type: ClaudeModel['thinking'][number], model: ClaudeModel): string {
  if (type === 'adaptive') return 'adaptive thinking is not supported on this model';
  if (type === 'between_tools') return '"thinking.type.between_tools" is not supported for this model.';
  if (type === 'disabled' && model.thinking.includes('between_tools')) {
    return (
      'To turn thinking off on this model, send "thinking": {"type": "between_tools"} instead of {"type": "disabled"}. ' +
      'The model does not think before responding. The short updates it writes between tool calls come back as thinking blocks.'
    );
  }
  return `"thinking.type.${type}" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control thinking behavior.`;
}

function checkEffort(config: unknown, model: ClaudeModel): Effort {
  if (config === undefined || config === null) return model.defaultEffort;
  for (const field of Object.keys(config)) {
    if (field !== 'effort' && field !== 'format') refuse(`output_config.${field}: Extra inputs are not permitted`);
  }
  const effort = (config as Json)['effort'];
  if (effort === undefined || effort === null) return model.defaultEffort;
  if (!LEVELS.includes(effort)) refuse("output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'");
  if (model.efforts.length === 0) refuse('This model does not support the effort parameter.');
  if (!model.efforts.includes(effort as Effort)) {
    refuse(`This model does not support effort level '${effort as Effort}'. Supported levels: ${[...model.efforts].sort().join(', ')}.`);
  }
  return effort as Effort;
}

function checkBudget(budget: unknown, maxTokens: unknown): void {
  if (budget === undefined) refuse('thinking.enabled.budget_tokens: Field required');
  if (!(Number(budget) >= 1_024)) refuse('thinking.enabled.budget_tokens: Input should be greater than or equal to 1024');
  if (maxTokens !== undefined && !(Number(maxTokens) > Number(budget))) {
    refuse('`max_tokens` must be greater than `thinking.budget_tokens`.');
  }
}

function checkSystem(system: unknown): void {
  if (system === undefined || typeof system === 'string') return;
  if (!Array.isArray(system)) refuse('system: Input should be a valid list');
  for (const [index, block] of (system as Block[]).entries()) {
    if (block.type !== 'text') refuse(`system.${index}.type: Input should be 'text'`);
    checkFields(block, `system.${index}`);
    if (textField(block['text']) === '') refuse('system: text content blocks must be non-empty');
  }
}

function checkMessages(messages: ApiMessage[], model: ClaudeModel, hasTools: boolean): void {
  let previous: ApiMessage | null = null;
  for (const [index, message] of messages.entries()) {
    checkRole(messages, index, model);
    if (typeof message.content !== 'string' && !Array.isArray(message.content)) {
      refuse(`messages.${index}.content: Input should be a valid list`);
    }
    for (const field of Object.keys(message)) {
      if (field !== 'role' && field !== 'content') refuse(`messages.${index}.${field}: Extra inputs are not permitted`);
    }
    const isLastAssistant = index === messages.length - 1 && message.role === 'assistant';
    if (message.content.length === 0 && !isLastAssistant) {
      refuse(`messages.${index}: all messages must have non-empty content except for the optional final assistant message`);
    }
    checkBlocks(message, index, hasTools);
    checkToolResults(previous, message, index);
    previous = message;
  }
  const last = messages[messages.length - 1];
  if (last && toolUseIds(last).length > 0) missingResults(messages.length - 1, toolUseIds(last));
  if (last?.role === 'assistant' && !model.prefill) {
    refuse('This model does not support assistant message prefill. The conversation must end with a user message.');
  }
}

function checkRole(messages: ApiMessage[], index: number, model: ClaudeModel): void {
  const role = messages[index]?.role;
  if (role !== 'user' && role !== 'assistant' && role !== 'system') {
    refuse(`messages.${index}.role: Input should be 'user', 'assistant' or 'system'`);
  }
  if (index === 0 && role === 'system') refuse("messages.0: use the top-level 'system' parameter for the initial system prompt");
  if (index === 0 && role === 'assistant') refuse('messages: first message must use the "user" role');
  if (role !== 'system') return;
  if (!model.systemMessages) refuse("role 'system' is not supported on this model");
  // Several in a row are one section.
  const before = messages.slice(0, index).findLast((message) => message.role !== 'system')?.role;
  const after = messages.slice(index + 1).find((message) => message.role !== 'system')?.role;
  if (before !== 'user') {
    refuse(`messages.${index}: role 'system' must follow a 'user' message or an 'assistant' message ending in a server tool result`);
  }
  if (after === 'user') refuse(`messages.${index}: role 'system' must precede an 'assistant' message or end the array`);
}

function checkBlocks(message: ApiMessage, index: number, hasTools: boolean): void {
  for (const [at, block] of blocksOf(message).entries()) {
    const place = `messages.${index}.content.${at}`;
    if (typeof block.type !== 'string') refuse(`${place}.type: Field required`);
    checkFields(block, place);
    if (block.type === 'text') checkText(block, place);
    if (block.type === 'search_result') checkSearchResult(block, place);
    if (message.role === 'system' && block.type !== 'text') refuse(`${place}: role 'system' supports text blocks only`);
    const isOfAssistant = block.type === 'tool_use' || block.type === 'thinking' || block.type === 'redacted_thinking';
    if (isOfAssistant && message.role !== 'assistant') {
      refuse(`messages.${index}: \`${block.type}\` blocks can only be in \`assistant\` messages`);
    }
    const isOfUser = block.type === 'tool_result' || block.type === 'image' || block.type === 'document' || block.type === 'search_result';
    if (isOfUser && message.role !== 'user') refuse(`messages.${index}: \`${block.type}\` blocks can only be in \`user\` messages`);
    if (block.type === 'tool_use' && !TOOL_USE_ID.test(textField(block['id']))) {
      refuse(`${place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'`);
    }
    if ((block.type === 'tool_use' || block.type === 'tool_result') && !hasTools) {
      refuse('Requests which include `tool_use` or `tool_result` blocks must define tools.');
    }
    if (block.type === 'tool_result' && Array.isArray(block['content'])) {
      checkBlocks({ role: 'user', content: block['content'] as Block[] }, index, hasTools);
    }
  }
}

function checkText(block: Block, place: string): void {
  const text = block['text'];
  if (typeof text !== 'string') refuse(`${place}.text.text: Input should be a valid string`);
  if (text === '' && block['cache_control']) refuse(`${place}.text: cache_control cannot be set for empty text blocks`);
  if (text === '') refuse('messages: text content blocks must be non-empty');
  if (text.trim() === '') refuse('messages: text content blocks must contain non-whitespace text');
}

/** Text only, at least one block of it, none empty (build-with-claude/search-results). */
function checkSearchResult(block: Block, place: string): void {
  for (const field of ['source', 'title', 'content']) {
    if (block[field] === undefined) refuse(`${place}.search_result.${field}: Field required`);
  }
  for (const field of ['source', 'title']) {
    if (typeof block[field] !== 'string') refuse(`${place}.search_result.${field}: Input should be a valid string`);
  }
  const content = block['content'];
  if (!Array.isArray(content)) refuse(`${place}.search_result.content: Input should be a valid list`);
  if (content.length === 0) refuse(`${place}.search_result.content: List should have at least 1 item after validation, not 0`);
  for (const [at, inner] of (content as Block[]).entries()) {
    if (inner.type !== 'text') refuse(`${place}.search_result.content.${at}.type: Input should be 'text'`);
    checkText(inner, `${place}.search_result.content.${at}`);
  }
}

/** All sources of a request are citable, or none is (build-with-claude/citations and search-results). The API's words for it are not known. */
function checkCitations(messages: ApiMessage[]): void {
  const sources = messages.flatMap(sourcesIn);
  const citable = sources.filter(({ citations }) => (citations as Json | undefined)?.['enabled'] === true);
  if (citable.length > 0 && citable.length < sources.length)
    refuse('messages: citations must be enabled for all documents and search results, or for none');
}

/** The documents and search results of a message, in their order, those in results of tools too. */
export function sourcesIn(message: ApiMessage): Block[] {
  return blocksOf(message).flatMap((block) => {
    if (block.type === 'tool_result' && Array.isArray(block['content']))
      return sourcesIn({ role: 'user', content: block['content'] as Block[] });
    return block.type === 'document' || block.type === 'search_result' ? [block] : [];
  });
}

function checkFields(block: Block, place: string): void {
  const known = BLOCK_FIELDS[block.type];
  if (known === undefined) {
    refuse(
      `${place}: Input tag '${block.type}' found using 'type' does not match any of the expected tags: ${Object.keys(BLOCK_FIELDS).join(', ')}`,
    );
  }
  for (const field of Object.keys(block)) {
    if (field !== 'type' && !known.includes(field)) refuse(`${place}.${block.type}.${field}: Extra inputs are not permitted`);
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
  const twice = answered.find((id, at) => answered.indexOf(id) !== at);
  if (twice !== undefined)
    refuse(`messages.${index}.content: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${twice}`);
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

function checkTools(tools: unknown, choice: unknown, model: ClaudeModel): void {
  if (choice !== undefined && (typeof choice !== 'object' || choice === null)) refuse('tool_choice: Input should be an object');
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
  checkChoice(choice as Json | undefined, names, model);
}

function checkChoice(choice: Json | undefined, names: Set<string>, model: ClaudeModel): void {
  const type = choice?.['type'];
  if (choice === undefined || type === 'auto' || type === 'none') return;
  if (type !== 'any' && type !== 'tool')
    refuse(
      `tool_choice: Input tag '${textField(type)}' found using 'type' does not match any of the expected tags: 'any', 'auto', 'none', 'tool'`,
    );
  if (!model.forcedTools) refuse('tool_choice: type "tool" and "any" are not supported for this model.');
  if (type === 'tool' && !names.has(textField(choice['name']))) {
    refuse(`tool_choice.name: Tool '${textField(choice['name'])}' not found in provided tools`);
  }
}

function checkBreakpoints(body: Json): void {
  const marks = [...JSON.stringify([body['tools'], body['system'], body['messages']]).matchAll(/"cache_control":(\{[^}]*\})/g)];
  const found = marks.length + (body['cache_control'] ? 1 : 0);
  if (found > MAX_BREAKPOINTS) {
    refuse(`A maximum of ${MAX_BREAKPOINTS} blocks with cache_control may be provided. Found ${found}.`);
  }
  const lives = marks.map(([, mark]) => (mark?.includes('"1h"') === true ? 1 : 0));
  if (lives.some((life, at) => life === 1 && lives.slice(0, at).includes(0))) {
    refuse(
      "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. Note that blocks are processed in the following order: `tools`, `system`, `messages`.",
    );
  }
}

function checkDiagnostics(diagnostics: unknown): void {
  if (diagnostics === undefined || diagnostics === null) return;
  const id = (diagnostics as Json)['previous_message_id'];
  if (id !== undefined && id !== null && !/^msg_\w+$/.test(textField(id))) {
    refuse("diagnostics.previous_message_id: String should match pattern '^msg_'");
  }
}
