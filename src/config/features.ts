/** The optional parts: each is fully there or `null`, and half a set of variables is a problem. */
import { existsSync } from 'node:fs';

import { familyOf } from '../claude/models.ts';
import type { Effort } from '../claude/models.ts';
import { hasPrice } from '../claude/prices.ts';
import { accountOf } from '../google/account.ts';
import type { Report } from './environment.ts';
import type { Variables } from './variables.ts';

export type Evolution = {
  /** Without a trailing slash. */
  readonly url: string;
  readonly apiKey: string;
  /** The instance (number) used when a tenant names no other. */
  readonly instance: string;
  /** A number whose connection is dead behind an Evolution that answers is restarted by ourselves. */
  readonly autoRestart: boolean;
};

export type Claude = {
  readonly apiKey: string;
  /** null: the SDK's own address. */
  readonly baseUrl: string | null;
  readonly model: string;
  /** For turns that a routing rule finds difficult. */
  readonly complexModel: string;
  /** Room for an answer; where a model thinks anyway, the room for that comes on top (claude/models.ts). */
  readonly maxTokens: number;
  /** How hard a model tries, where it has such levels. */
  readonly effort: Effort;
  readonly maxToolRounds: number;
  /** US dollars, of each tenant; null: there is none. */
  readonly ceilings: { readonly contactDay: number | null; readonly day: number | null; readonly month: number | null } | null;
  readonly callTimeoutSeconds: number;
  readonly turnTimeoutSeconds: number;
};

export type Speech = {
  /** Without a trailing slash. */
  readonly baseUrl: string;
  /** null: a server of one's own that asks for none. */
  readonly apiKey: string | null;
  readonly model: string;
};

export type Chatwoot = { readonly url: string; readonly apiKey: string; readonly accountId: number; readonly inboxId: number };

export type Slack = {
  /** Where alerts go when there is no bot. */
  readonly webhookUrl: string | null;
  readonly channel: string;
  /** The Web API, without a trailing slash. */
  readonly apiUrl: string;
  /** Commands and mentions; null: alerts only. */
  readonly bot: Bot | null;
};

export type Bot = {
  readonly token: string;
  readonly signingSecret: string;
  /** Ids of the members who may give commands; empty: nobody. */
  readonly allowedUsers: readonly string[];
};

export type Google = {
  readonly credentials: { readonly path: string } | { readonly json: string };
  /** null: Google itself. */
  readonly baseUrl: string | null;
  readonly briefingsFolderId: string | null;
  readonly templatesFolderId: string | null;
};

export type Voyage = { readonly apiKey: string; readonly model: string; readonly baseUrl: string };

export type Meta = {
  readonly accessToken: string;
  readonly phoneNumberId: string;
  readonly wabaId: string;
  readonly appSecret: string;
  readonly verifyToken: string;
  readonly graphApiVersion: string;
  readonly marketingMessagesLite: boolean;
  /** US dollars a message. */
  readonly prices: { readonly marketingUsd: number; readonly utilityUsd: number };
};

/** Models that the older manuals name and that Anthropic no longer serves. */
const RETIRED_MODELS = ['claude-3-5-haiku-20241022', 'claude-sonnet-4-20250514'];

export function evolution(v: Variables, report: Report): Evolution | null {
  report.together(['EVOLUTION_API_URL', 'EVOLUTION_API_KEY', 'EVOLUTION_INSTANCE']);
  const { EVOLUTION_API_URL: url, EVOLUTION_API_KEY: apiKey, EVOLUTION_INSTANCE: instance } = v;
  return url && apiKey && instance ? { url, apiKey, instance, autoRestart: v.EVOLUTION_AUTO_RESTART } : null;
}

function ceilings({ MAX_USD_CONTATO_DIA: contactDay, MAX_USD_DIA: day, MAX_USD_MES: month }: Variables): Claude['ceilings'] {
  if (contactDay + day + month === 0) return null;
  return { contactDay: contactDay || null, day: day || null, month: month || null };
}

export function claude(v: Variables, report: Report): Claude | null {
  for (const name of ['LLM_MODEL', 'LLM_MODEL_COMPLEX'] as const) {
    if (RETIRED_MODELS.includes(v[name]))
      report.warn(`${name}: names a model that is retired; the provider will refuse it, name a current one`);
    else if (familyOf(v[name]) === null) report.warn(`${name}: ${v[name]} is not among the models known here, so it is asked with care`);
    if (!RETIRED_MODELS.includes(v[name]) && !hasPrice(v[name], new Date()))
      if (ceilings(v) === null) report.warn(`${name}: no price of ${v[name]} is known, so its calls are in no sum of money`);
      else report.problem(`${name}: no price of ${v[name]} is known, so with MAX_USD_* it would never be asked; name another one`);
  }
  if (v.LLM_LOOP_TIMEOUT_SEGUNDOS < v.LLM_TIMEOUT_SEGUNDOS) {
    report.problem('LLM_LOOP_TIMEOUT_SEGUNDOS: must not be shorter than LLM_TIMEOUT_SEGUNDOS; the whole turn holds at least one call');
  }
  if (!v.ANTHROPIC_API_KEY) {
    if (!report.isSet('ANTHROPIC_API_KEY')) {
      report.warn('ANTHROPIC_API_KEY: not set; the agent does not answer, inbound messages are stored and handed to a person');
    }
    return null;
  }
  return {
    apiKey: v.ANTHROPIC_API_KEY,
    baseUrl: v.ANTHROPIC_BASE_URL ?? null,
    model: v.LLM_MODEL,
    complexModel: v.LLM_MODEL_COMPLEX,
    maxTokens: v.LLM_MAX_TOKENS,
    effort: v.LLM_EFFORT,
    maxToolRounds: v.LLM_MAX_TOOL_ITERATIONS,
    ceilings: ceilings(v),
    callTimeoutSeconds: v.LLM_TIMEOUT_SEGUNDOS,
    turnTimeoutSeconds: v.LLM_LOOP_TIMEOUT_SEGUNDOS,
  };
}

export function chatwoot(v: Variables, report: Report): Chatwoot | null {
  report.together(['CHATWOOT_URL', 'CHATWOOT_API_KEY', 'CHATWOOT_ACCOUNT_ID', 'CHATWOOT_INBOX_ID']);
  const { CHATWOOT_URL: url, CHATWOOT_API_KEY: apiKey, CHATWOOT_ACCOUNT_ID: accountId, CHATWOOT_INBOX_ID: inboxId } = v;
  return url && apiKey && accountId !== undefined && inboxId !== undefined ? { url, apiKey, accountId, inboxId } : null;
}

/** SLACK_CHANNEL has a default, so it alone is a setting without effect rather than half of a pair. */
export function slack(v: Variables, report: Report): Slack | null {
  report.together(['SLACK_BOT_TOKEN', 'SLACK_SIGNING_SECRET']);
  const { SLACK_BOT_TOKEN: token, SLACK_SIGNING_SECRET: signingSecret, SLACK_WEBHOOK_URL: webhookUrl, SLACK_CHANNEL: channel } = v;
  const bot = token && signingSecret ? { token, signingSecret, allowedUsers: v.SLACK_ALLOWED_USERS } : null;
  if (bot !== null && bot.allowedUsers.length === 0) report.warn('SLACK_ALLOWED_USERS: is empty, so nobody may give commands in Slack');
  if (bot !== null || webhookUrl) return { webhookUrl: webhookUrl ?? null, channel, apiUrl: v.SLACK_API_URL, bot };
  if (report.isSet('SLACK_CHANNEL') && !report.isSet('SLACK_WEBHOOK_URL') && !report.isSet('SLACK_BOT_TOKEN')) {
    report.warn('SLACK_CHANNEL: has no effect without SLACK_WEBHOOK_URL or SLACK_BOT_TOKEN');
  }
  return null;
}

/** Credentials without a folder are no problem: many machines have that variable set for other programs. */
export function google(v: Variables, report: Report): Google | null {
  const { GOOGLE_APPLICATION_CREDENTIALS: path, GOOGLE_CREDENTIALS_JSON: json } = v;
  const folders = (['GOOGLE_BRIEFINGS_FOLDER_ID', 'GOOGLE_TEMPLATES_FOLDER_ID'] as const).filter((name) => v[name] !== undefined);
  if (folders.length === 0) return null;
  const common = {
    baseUrl: v.GOOGLE_BASE_URL ?? null,
    briefingsFolderId: v.GOOGLE_BRIEFINGS_FOLDER_ID ?? null,
    templatesFolderId: v.GOOGLE_TEMPLATES_FOLDER_ID ?? null,
  };
  if (json !== undefined) {
    const account = accountOf(json);
    if (!account.ok) report.problem(`GOOGLE_CREDENTIALS_JSON: ${account.message}`);
    return account.ok ? { credentials: { json }, ...common } : null;
  }
  if (path === undefined) {
    report.problem(
      `GOOGLE_APPLICATION_CREDENTIALS: must be set too (or GOOGLE_CREDENTIALS_JSON) when ${folders.join(', ')} ${folders.length === 1 ? 'is' : 'are'} set`,
    );
    return null;
  }
  if (!existsSync(path)) {
    report.problem(`GOOGLE_APPLICATION_CREDENTIALS: the file ${path} does not exist`);
    return null;
  }
  return { credentials: { path }, ...common };
}

export function speech(v: Variables, report: Report): Speech | null {
  if (!v.STT_BASE_URL) {
    if (v.STT_API_KEY) report.problem('STT_BASE_URL: STT_API_KEY is set without an address; set both, or neither');
    return null;
  }
  return { baseUrl: v.STT_BASE_URL, apiKey: v.STT_API_KEY ?? null, model: v.STT_MODEL };
}

export function voyage(v: Variables): Voyage | null {
  return v.VOYAGE_API_KEY ? { apiKey: v.VOYAGE_API_KEY, model: v.VOYAGE_MODEL, baseUrl: v.VOYAGE_BASE_URL } : null;
}

export function meta(v: Variables, report: Report): Meta | null {
  report.together(['META_ACCESS_TOKEN', 'META_PHONE_NUMBER_ID', 'META_WABA_ID', 'META_APP_SECRET', 'META_WEBHOOK_VERIFY_TOKEN']);
  const { META_ACCESS_TOKEN: accessToken, META_PHONE_NUMBER_ID: phoneNumberId, META_WABA_ID: wabaId } = v;
  const { META_APP_SECRET: appSecret, META_WEBHOOK_VERIFY_TOKEN: verifyToken } = v;
  if (!accessToken || !phoneNumberId || !wabaId || !appSecret || !verifyToken) return null;
  return {
    accessToken,
    phoneNumberId,
    wabaId,
    appSecret,
    verifyToken,
    graphApiVersion: v.META_GRAPH_API_VERSION,
    marketingMessagesLite: v.META_MM_LITE_ENABLED,
    prices: { marketingUsd: v.META_PRICING_MARKETING_USD, utilityUsd: v.META_PRICING_UTILITY_USD },
  };
}
