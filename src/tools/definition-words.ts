/** What a business tool may be: its file, checked. Pure. The page docs/tools.md tells the same for people. */
import { z } from 'zod';

/** Names that a model, a log and a label can have. */
const NAME = /^[a-z][a-z0-9_]{2,47}$/;
const ARG = /^[a-z][a-z0-9_]{0,39}$/;
const FIELD = /^[A-Za-z_][A-Za-z0-9_]{0,59}$/;
const MAX_ARGS = 20;
const MAX_SENTENCE_CHARS = 300;

/** What the runtime binds; the model neither sees nor chooses it. */
export const BINDS = ['phone', 'contact_id', 'contact_name', 'conversation_id', 'tenant'] as const;

const value = {
  type: z.enum(['string', 'integer', 'number', 'boolean']),
  description: z.string().trim().min(3).max(300),
  /** Of a string: how it is written. */
  format: z.enum(['digits', 'date', 'email']).optional(),
  /** The only values that there are. */
  options: z.array(z.string().min(1).max(60)).min(1).max(30).optional(),
  /** Of a string: characters; of a number: the value. */
  max: z.number().optional(),
  min: z.number().optional(),
  optional: z.boolean().default(false),
};

const arg = z.discriminatedUnion('source', [
  z.strictObject({ source: z.literal('runtime'), bind: z.enum(BINDS) }),
  z.strictObject({ source: z.literal('contact'), ...value }),
  z.strictObject({ source: z.literal('list'), tool: z.string().regex(NAME), field: z.string().regex(FIELD), ...value }),
  z.strictObject({ source: z.literal('model'), ...value }),
]);

/** Secrets of the tenant itself, kept in the same place: no tool may name one and carry it out, and none is replaced by `tool secret`. */
const OWN_SECRETS = /^(JWT_SECRET|WHATSAPP_WEBHOOK_API_KEY|SUBSCRIPTION_.*)$/;

/** How a secret of tools may be called. */
export const secretName = z
  .string()
  .regex(/^[A-Z][A-Z0-9_]{1,39}$/, 'must be capital letters, digits and underscores')
  .refine((name) => !OWN_SECRETS.test(name), 'belongs to the tenant itself, choose another');

export type ToolArg = z.infer<typeof arg>;
/** An argument that the model gives. */
export type GivenArg = Exclude<ToolArg, { source: 'runtime' }>;

const sentence = z.string().trim().min(1).max(MAX_SENTENCE_CHARS);
const count = z.number().int().min(1).max(1_000_000);

const definition = z.strictObject({
  name: z.string().regex(NAME, 'must be 3 to 48 small letters, digits and underscores, and begin with a letter'),
  description: z.string().trim().min(20, 'must tell the agent in 20 characters or more what the tool does and when to use it').max(1_000),
  class: z.enum(['read', 'write', 'outside'], 'must be read, write or outside'),
  origin: z.string().transform((raw, ctx) => originOf(raw) ?? refuse(ctx, 'must be https://HOST or https://HOST:PORT, without a path')),
  method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']),
  path: z
    .string()
    .regex(/^(?:\/(?:[A-Za-z0-9_.~-]|\{[a-z0-9_]+\})+)+$/, 'must begin with / and hold letters, digits, - . _ ~ and {argument}; no query')
    .max(300)
    .refine((path) => !path.split('/').some((each) => each === '.' || each === '..'), 'must not hold . or .. as a part'),
  secret: z
    .strictObject({
      name: secretName,
      header: z.string().regex(/^[a-z][a-z0-9-]{1,40}$/i),
      prefix: z.string().max(20).default(''),
    })
    .refine(({ header }) => !RESERVED_HEADERS.includes(header.toLowerCase()), 'this header is not for secrets')
    .optional(),
  args: z.record(z.string().regex(ARG), arg).refine((args) => Object.keys(args).length <= MAX_ARGS, `at most ${MAX_ARGS}`),
  /** Fields of the service's answer that the agent reads; nothing else of it reaches the model. */
  answer: z.array(z.string().regex(FIELD)).max(40).default([]),
  /** {argument: field}: the answer must say the same there, else it is about somebody else's and is dropped. */
  same: z.record(z.string(), z.string().regex(FIELD)).default({}),
  /** Which argument is money, and above what a person must say yes. */
  amount: z.strictObject({ arg: z.string(), approve_over: z.number().min(0).optional() }).optional(),
  limits: z
    .strictObject({ contact_day: count.optional(), hour: count.optional(), amount_day: z.number().positive().optional() })
    .default({}),
  /** Of a write. */
  approval: z.enum(['always', 'tainted', 'amount']).default('tainted'),
  approval_minutes: z.number().int().min(1).max(10_080).default(240),
  /** What the contact hears when it is over. */
  says: z.strictObject({ done: sentence, failed: sentence, refused: sentence, expired: sentence }).partial().default({}),
  timeout_ms: z.number().int().min(200).max(10_000).default(5_000),
  /** US dollars a call. */
  price_usd: z.number().min(0).max(10).optional(),
});

const RESERVED_HEADERS = ['host', 'content-type', 'content-length', 'connection', 'idempotency-key', 'transfer-encoding'];

export type ToolDefinition = z.infer<typeof definition>;

/** In Portuguese, as the contact reads it; each may be said otherwise by the tool. */
const SAYS = {
  done: 'Pronto, está feito.',
  failed: 'Não consegui concluir isso agora. Uma pessoa da equipe vai continuar com você.',
  refused: 'A equipe analisou o pedido e não autorizou. Se quiser, explico o motivo ou chamo uma pessoa.',
  expired: 'Ainda não tive a autorização da equipe. Uma pessoa vai continuar com você.',
};

/** A tool as it is kept, or what is wrong with it, a line each. `own`: names that the agent has already. */
export function readDefinition(
  given: unknown,
  own: readonly string[],
): { ok: true; definition: ToolDefinition } | { ok: false; faults: string[] } {
  const parsed = definition.safeParse(given);
  if (!parsed.success)
    return { ok: false, faults: parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the file'}: ${message}`) };
  const faults = faultsOf(parsed.data, own);
  if (faults.length > 0) return { ok: false, faults };
  const says = parsed.data.class === 'read' ? {} : { ...SAYS, ...parsed.data.says };
  return { ok: true, definition: { ...parsed.data, says } };
}

/** As it is kept in the database, where only what was checked stands. */
export function keptDefinition(stored: unknown): ToolDefinition {
  return definition.parse(stored);
}

function faultsOf(tool: ToolDefinition, own: readonly string[]): string[] {
  const { args, class: kind } = tool;
  const entries = Object.entries(args);
  const isArg = (name: string): boolean => Object.hasOwn(args, name);
  const named = [...tool.path.matchAll(/\{([a-z0-9_]+)\}/g)].map(([, name = '']) => name);
  const amount = tool.amount !== undefined && isArg(tool.amount.arg) ? (args[tool.amount.arg] ?? null) : null;
  return [
    ...(own.includes(tool.name) ? [`name: ${tool.name} is a tool that the agent has by itself`] : []),
    ...named.filter((name) => !isArg(name)).map((name) => `path: {${name}} is no argument`),
    ...named
      .filter((name) => isArg(name) && isOptional(args[name]))
      .map((name) => `args.${name}: stands in the path and cannot be optional`),
    ...Object.keys(tool.same)
      .filter((name) => !isArg(name))
      .map((name) => `same: ${name} is no argument`),
    ...entries.flatMap(([name, each]) => argFaults(name, each)),
    ...(kind === 'read' && tool.method !== 'GET' && tool.method !== 'POST' ? ['method: a tool that reads is GET or POST'] : []),
    ...(kind === 'read' && tool.answer.length === 0 ? ['answer: a tool that reads names the fields that the agent may see'] : []),
    ...(kind === 'read' && Object.keys(tool.says).length > 0 ? ['says: only what writes tells the contact something'] : []),
    ...(kind !== 'read' && tool.method === 'GET' ? ['method: a tool that writes is POST, PUT, PATCH or DELETE'] : []),
    ...(kind === 'read' && (tool.amount !== undefined || Object.keys(tool.limits).length > 0)
      ? ['limits: amounts and limits are for tools that write']
      : []),
    ...(tool.amount !== undefined &&
    (amount === null || amount.source === 'runtime' || (amount.type !== 'number' && amount.type !== 'integer'))
      ? [`amount: ${tool.amount.arg} must be an argument that is a number`]
      : []),
    ...(tool.amount !== undefined && isOptional(amount ?? undefined) ? [`amount: ${tool.amount.arg} cannot be optional`] : []),
    ...(tool.limits.amount_day !== undefined && tool.amount === undefined ? ['limits.amount_day: needs amount'] : []),
    ...(tool.approval === 'amount' && kind === 'outside' ? ['approval: what goes outside always waits for a yes'] : []),
    ...(tool.approval === 'amount' && entries.some(([, each]) => isFreeText(each))
      ? ['approval: amount lets calls leave without a yes, so no argument may be free text of the model (source model without options)']
      : []),
    ...Object.entries(tool.says).flatMap(([which, text]) =>
      [...(text ?? '').matchAll(/\{([^}]*)\}/g)].flatMap(([, name = '']) =>
        isArg(name) ? [] : [`says.${which}: {${name}} is no argument`],
      ),
    ),
  ];
}

function argFaults(name: string, each: ToolArg): string[] {
  if (each.source === 'runtime') return [];
  const { type, format, options, min, max } = each;
  return [
    ...(type === 'boolean' && each.source !== 'model' ? [`args.${name}: yes or no stands in nobody's words; its source is model`] : []),
    ...(type !== 'string' && (format !== undefined || options !== undefined) ? [`args.${name}: format and options are for strings`] : []),
    ...(type === 'boolean' && (min !== undefined || max !== undefined) ? [`args.${name}: yes or no has no bounds`] : []),
    ...(min !== undefined && max !== undefined && min > max ? [`args.${name}: min is above max`] : []),
  ];
}

function isOptional(each: ToolArg | undefined): boolean {
  return each !== undefined && each.source !== 'runtime' && each.optional;
}

function isFreeText(each: ToolArg): boolean {
  return each.source === 'model' && each.type === 'string' && each.options === undefined;
}

/** `http` only where the installation allows a private address, which the save asks. */
function originOf(raw: string): string | null {
  const url = URL.canParse(raw) ? new URL(raw) : null;
  if (url === null || !['https:', 'http:'].includes(url.protocol)) return null;
  return url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' && url.password === '' ? url.origin : null;
}

function refuse(ctx: z.RefinementCtx, message: string): never {
  ctx.addIssue({ code: 'custom', message });
  return z.NEVER;
}

/** The characters of an argument that says no bound of its own. */
const MAX_STRING_CHARS = 200;
const FORMATS = { digits: /^\d+$/, date: /^\d{4}-\d{2}-\d{2}$/, email: /^[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}$/ } as const;

/** What the model gives: every argument but the bound ones. */
export function inputOf({ args }: Pick<ToolDefinition, 'args'>): z.ZodObject {
  const shape = Object.entries(args).flatMap(([name, each]): [string, z.ZodType][] =>
    each.source === 'runtime' ? [] : [[name, each.optional ? valueOf(each).optional() : valueOf(each)]],
  );
  return z.strictObject(Object.fromEntries(shape));
}

function valueOf(each: GivenArg): z.ZodType {
  const { type, options, format, min, max, description } = each;
  switch (type) {
    case 'boolean':
      return z.boolean().describe(description);
    case 'integer':
    case 'number': {
      const number = type === 'integer' ? z.number().int() : z.number();
      return number
        .min(min ?? Number.MIN_SAFE_INTEGER)
        .max(max ?? Number.MAX_SAFE_INTEGER)
        .describe(description);
    }
    case 'string': {
      if (options !== undefined) return z.enum(options as [string, ...string[]]).describe(description);
      const text = z
        .string()
        .trim()
        .min(min ?? 1)
        .max(Math.min(max ?? MAX_STRING_CHARS, MAX_STRING_CHARS));
      return (format === undefined ? text : text.regex(FORMATS[format])).describe(description);
    }
  }
}
