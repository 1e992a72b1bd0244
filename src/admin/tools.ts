/** tool add, list, show, test, remove, secret: what the agent may look up and do in the company's own systems. */
import { z } from 'zod';
import { listTools, removeTool, saveTool, setTenantSecret } from '../tools/calls.ts';
import type { ListedTool } from '../tools/calls.ts';
import { secretOwner } from '../tools/client.ts';
import { readAnswer, requestOf } from '../tools/decide.ts';
import type { Args } from '../tools/decide.ts';
import { inputOf, readDefinition, secretName } from '../tools/definition-words.ts';
import type { ToolDefinition } from '../tools/definition-words.ts';
import { recordAudit } from '../people/audit-calls.ts';
import { sealSecret } from '../process/secrets.ts';
import { TOOLS } from '../turns/tools/all.ts';
import { oneLine } from '../words/foreign-text.ts';
import { jsonOf } from '../words/json.ts';
import { defineCommand, fileArg, noSecretsKey, refused, wordsArg } from './command.ts';
import type { AdminContext, Outcome } from './command.ts';

const nameArg = wordsArg.max(48).describe('name of the tool, as tool list shows it');
/** More would fill every prompt. */
const MOST_TOOLS = 30;

const add = defineCommand({
  name: 'tool add',
  summary: 'gives the agent a tool of your own: something to look up, or to do',
  details:
    'A JSON file, see docs/tools.md: name, description, class (read, write, outside), origin, method, path, secret by name, and for each argument where it comes from (runtime, contact, list, model). ' +
    'The same name again replaces it; what waits for a yes keeps what it was asked with. Private addresses are refused unless HTTP_ALLOW_PRIVATE names them. In force at once, a first tool within 5 s. ' +
    'Over HTTP a file as {"name", "base64"}, or {"tool": {...}}. Audited.',
  args: z.object({
    file: fileArg.optional().describe('the JSON file'),
    tool: z.record(z.string(), z.unknown()).optional().describe('the tool itself, instead of a file'),
    origin: wordsArg.optional().describe('where its service is, instead of the origin in the file'),
  }),
  positional: ['file'],
  files: ['file'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { file, tool, origin }, { id, tenant }) {
    const given = file === undefined ? tool : jsonOf(Buffer.from(file.base64, 'base64').toString());
    if (typeof given !== 'object' || given === null)
      return refused('bad_request', file === undefined ? 'file: is needed, or tool' : `file: ${file.name} is no JSON`);
    const read = readDefinition(
      { ...given, ...(origin === undefined ? {} : { origin }) },
      TOOLS.map(({ name }) => name),
    );
    if (!read.ok) return refused('bad_request', read.faults.join('\n'));
    const { definition } = read;
    const place = await ctx.tools.client.fault(definition.origin);
    if (place !== null) return refused('bad_request', `origin: ${definition.origin} is refused: ${place}`);
    const { outcome, version } = await saveTool(ctx.db, tenant, definition, MOST_TOOLS, id);
    if (outcome === 'full') return refused('conflict', `there are ${MOST_TOOLS} tools already: tool remove takes one away`);
    const { name, class: kind, secret } = definition;
    const [kept] = (await listTools(ctx.db, tenant)).filter((each) => each.name === name);
    return {
      ok: true,
      result: { name, class: kind, outcome, version, missing_secret: kept?.secret === false ? (secret?.name ?? null) : null },
    };
  },
  text: ({ name, class: kind, outcome, version, missing_secret: missing }) =>
    [
      `${name} (${kind}) is ${outcome === 'unchanged' ? 'there already, and the same' : outcome}, version ${version}.`,
      ...(missing === null ? [] : [`Its secret is missing: tool secret ${missing} VALUE`]),
    ].join('\n'),
});

const list = defineCommand({
  name: 'tool list',
  summary: 'the tools that the agent has of your own, and what they did in 24 hours',
  details: "By name. The agent's own tools (handoff_to_human, opt_out, remember, react) are not among them.",
  args: z.object({}),
  readOnly: true,
  role: 'operator',
  async run(ctx, _args, { tenant }) {
    const tools = await listTools(ctx.db, tenant);
    return {
      ok: true,
      result: {
        tools: tools.map(({ definition: { origin, method, path, description }, ...each }) => ({
          ...each,
          origin,
          method,
          path,
          description,
        })),
      },
    };
  },
  text: ({ tools }) =>
    tools.length === 0
      ? 'There is none: tool add FILE.'
      : tools
          .map(
            ({ name, class: kind, version, origin, method, path, calls, failed, writes, secret }) =>
              `${name}  ${kind}  version ${version}  ${method} ${origin}${path}\n  in 24 h: ${calls} calls, ${failed} refused or failed${writesOf(writes)}${secret === false ? '; its secret is MISSING' : ''}`,
          )
          .join('\n'),
});

function writesOf(writes: ListedTool['writes']): string {
  const all = Object.entries(writes).map(([status, count]) => `${count} ${status}`);
  return all.length === 0 ? '' : `; writes: ${all.join(', ')}`;
}

const show = defineCommand({
  name: 'tool show',
  summary: 'a tool as it is kept',
  details: 'The whole definition; its secret is never shown.',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: true,
  role: 'operator',
  async run(ctx, { name }, { tenant }) {
    const tool = await toolNamed(ctx, tenant, name);
    return tool === null ? refused('not_found', missing(name)) : { ok: true, result: tool };
  },
  text: ({ definition, version, added_by: by }) => `version ${version}, by ${by}\n${JSON.stringify(definition, null, 2)}`,
});

type Tested = {
  name: string;
  class: string;
  request: { method: string; url: string; body: string | null };
  made: boolean;
  ok: boolean;
  says: string;
  ms: number;
};

const test = defineCommand({
  name: 'tool test',
  summary: 'calls a tool that reads once; of one that writes it shows the call and makes none',
  details:
    'With all arguments by hand, those that the runtime binds too, so their sources are not asked for. Shows what the agent would read. Audited. ' +
    'For example: tool test consultar_pedido --input \'{"pedido": "56781", "telefone": "5511912345678"}\'',
  args: z.object({
    name: nameArg,
    input: z.string().max(5_000).default('{}').describe('the arguments, as JSON'),
  }),
  positional: ['name', 'input'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, input }, { id, tenant }): Promise<Outcome<Tested>> {
    const tool = await toolNamed(ctx, tenant, name);
    if (tool === null) return refused('not_found', missing(name));
    const args = argsOf(tool.definition, jsonOf(input));
    if (typeof args === 'string') return refused('bad_request', `input: ${args}`);
    const request = requestOf(tool.definition, args);
    if (request === null) return refused('bad_request', 'input: an argument of the path leads elsewhere');
    const shown = { name, class: tool.class, request };
    if (tool.class !== 'read')
      return { ok: true, result: { ...shown, made: false, ok: true, says: 'a tool that writes is not called by a test', ms: 0 } };
    await recordAudit(ctx.db, { tenant, actor: id, action: 'tool.test', subject: name, details: {} });
    const started = performance.now();
    const end = await ctx.tools.client.call(tenant, tool.definition, request, {});
    const ms = Math.round(performance.now() - started);
    if (!end.ok) return { ok: true, result: { ...shown, made: true, ok: false, says: `${end.fault}: ${oneLine(end.detail, 300)}`, ms } };
    const read = readAnswer(tool.definition, args, end.answer);
    return { ok: true, result: { ...shown, made: true, ok: read.ok, says: read.ok ? read.output : read.why, ms } };
  },
  text: ({ request, made, ok, says, ms }) =>
    `${request.method} ${request.url}${request.body === null ? '' : ` ${request.body}`}\n${made ? (ok ? `answered in ${ms} ms: ` : `FAILED after ${ms} ms: `) : ''}${says}`,
});

/** Every argument by its type, the bound ones as texts; or what is wrong. */
function argsOf(definition: ToolDefinition, given: unknown): Args | string {
  const bound = Object.entries(definition.args).flatMap(([name, { source }]) =>
    source === 'runtime' ? [[name, z.string().min(1).max(200)] as const] : [],
  );
  const parsed = inputOf(definition).extend(Object.fromEntries(bound)).safeParse(given);
  // every field of such a schema is a text, a number, or yes or no
  return parsed.success ? parsed.data : parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'it'}: ${message}`).join('; ');
}

const remove = defineCommand({
  name: 'tool remove',
  summary: 'takes a tool from the agent',
  details: 'At once. What waits for a yes can still be approved or refused. Audited.',
  args: z.object({ name: nameArg }),
  positional: ['name'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name }, { id, tenant }) {
    return (await removeTool(ctx.db, tenant, name, id)) ? { ok: true, result: { name } } : refused('not_found', missing(name));
  },
  text: ({ name }) => `${name} is removed: the agent answers without it.`,
});

const secret = defineCommand({
  name: 'tool secret',
  summary: 'keeps a secret that tools name; without VALUE it is taken away',
  details: "Sealed with SECRETS_KEY, sent to the tool's own origin only, shown to nobody. In force at once. Audited without it.",
  args: z.object({
    name: secretName.describe('its name, as the tool has it'),
    value: wordsArg.optional().describe('the secret'),
  }),
  positional: ['name', 'value'],
  readOnly: false,
  role: 'admin',
  async run(ctx, { name, value }, { id, tenant }) {
    const { secrets } = ctx.config;
    if (secrets === null && value !== undefined) return noSecretsKey();
    const sealed = value === undefined || secrets === null ? null : sealSecret(secrets, value, secretOwner(tenant, name));
    const was = await setTenantSecret(ctx.db, tenant, name, sealed, id);
    return { ok: true, result: { name, kept: sealed !== null, was } };
  },
  text: ({ name, kept, was }) =>
    kept ? `${name} is ${was ? 'replaced' : 'kept'}.` : was ? `${name} is taken away.` : `There was no ${name}.`,
});

async function toolNamed(ctx: AdminContext, tenant: string, name: string): Promise<ListedTool | null> {
  return (await listTools(ctx.db, tenant)).find((each) => each.name === name) ?? null;
}

function missing(name: string): string {
  return `there is no tool ${name}; tool list shows what there is`;
}

export const toolCommands = [add, list, show, test, remove, secret];
