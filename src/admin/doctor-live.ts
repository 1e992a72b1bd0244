/**
 * What `doctor --live` does beside the other checks: one real call of the model and one harmless call of each service that is configured, with what came
 * back in words. Contract: nothing is written anywhere, least of all to a contact; each call is bounded in time; nothing throws, nothing tells a secret.
 */
import { z } from 'zod';
import type { Claude } from '../config/features.ts';
import type { Config } from '../config.ts';
import type { openAdminContext } from '../context.ts';
import { failed, fine, skipped, warning } from '../watch/diagnosis.ts';
import type { Finding } from '../watch/diagnosis.ts';
import { settingsFor } from '../claude/models.ts';
import { schemaVersion } from '../db/server-calls.ts';
import { toError } from '../process/errors.ts';
import { createLlm } from '../claude/llm.ts';

type Found = Omit<Finding, 'check'>;
type Tools = Pick<Awaited<ReturnType<typeof openAdminContext>>, 'db' | 'queues' | 'whatsapp'>;

/** A model may think for a while before its one word. Milliseconds. */
const MODEL_MS = 30_000;
const SERVICE_MS = 8_000;

/** `tools` null: there is no database. All calls run at once. */
export async function lookLive(config: Config, tools: Tools | null): Promise<Found[]> {
  const { claude, slack, chatwoot, meta, google } = config;
  const calls: (Promise<Found> | null)[] = [
    claude === null ? null : callModel(claude),
    tools === null ? null : timed('the database', () => schemaVersion(tools.db)),
    tools === null ? null : timed('the queue', () => tools.queues.ping()),
    tools?.whatsapp == null ? null : timed('Evolution', () => askEvolution(tools.whatsapp)),
    slack === null ? null : askSlack(slack),
    chatwoot === null
      ? null
      : timed('Chatwoot', () =>
          get(`${chatwoot.url}/api/v1/accounts/${chatwoot.accountId}/inboxes`, { api_access_token: chatwoot.apiKey }),
        ),
    ...[google?.briefingsFolderId, google?.templatesFolderId].map((folder) =>
      google === null || folder == null ? null : timed('Google', () => askGoogle(google, folder)),
    ),
    meta === null
      ? null
      : timed('Meta', () =>
          get(`https://graph.facebook.com/${meta.graphApiVersion}/${meta.phoneNumberId}?fields=id`, {
            authorization: `Bearer ${meta.accessToken}`,
          }),
        ),
  ];
  return Promise.all(calls.filter((call) => call !== null));
}

/** One word, with the settings of a real turn. */
async function callModel({ apiKey, baseUrl, model, effort, maxTokens }: Claude): Promise<Found> {
  const started = performance.now();
  const answer = await createLlm({ apiKey, baseUrl }).call(
    {
      model,
      settings: settingsFor(model, { effort, answerTokens: Math.min(maxTokens, 64) }),
      system: [{ type: 'text', text: 'Responda com uma palavra.' }],
      tools: [],
      messages: [{ role: 'user', content: 'Diga oi.' }],
    },
    { signal: new AbortController().signal, timeoutMs: MODEL_MS },
  );
  const ms = Math.round(performance.now() - started);
  if (!answer.ok)
    return failed(
      `${model} does not answer: ${answer.failure.kind} (${answer.failure.detail}) after ${ms} ms`,
      'ANTHROPIC_API_KEY, LLM_MODEL and ANTHROPIC_BASE_URL are what it was called with; docs/claude.md says what the kinds of failure mean',
    );
  const { usage, costUsd, stopReason, content, model: answered } = answer.reply;
  const price = costUsd === null ? 'no price is known for it' : `US$ ${costUsd.toFixed(6)}`;
  const read = usage.input + usage.cacheRead + usage.cacheWrite + usage.cacheWriteHour;
  const says =
    `${answered} answered in ${ms} ms (${stopReason ?? 'without a reason to stop'}): ${read} tokens in, ${usage.output} out, of them ${usage.thinking} thinking; ` +
    `cache: ${usage.cacheRead} read, ${usage.cacheWrite + usage.cacheWriteHour} written; ${price}`;
  return content.some((block) => block.type === 'text')
    ? fine(says)
    : warning(`${says}; it said no word`, 'LLM_EFFORT=low and more LLM_MAX_TOKENS leave room for words');
}

async function timed(name: string, work: () => Promise<unknown>): Promise<Found> {
  const started = performance.now();
  try {
    await work();
    return fine(`${name} answered in ${Math.round(performance.now() - started)} ms`);
  } catch (error) {
    return failed(`${name} does not answer: ${toError(error).message}`, 'the other findings say what to look at');
  }
}

async function askEvolution(whatsapp: Tools['whatsapp']): Promise<void> {
  const answer = await whatsapp?.version();
  if (answer?.kind === 'failed') throw new Error(answer.class);
}

/** A bot can ask who it is; an address that only takes messages cannot be tried without writing one. */
async function askSlack({ bot, apiUrl }: NonNullable<Config['slack']>): Promise<Found> {
  if (bot === null) return skipped('Slack: its incoming webhook takes messages only, so it was not tried');
  return timed('Slack', async () => {
    const response = await fetch(`${apiUrl}/auth.test`, {
      method: 'POST',
      headers: { authorization: `Bearer ${bot.token}` },
      signal: AbortSignal.timeout(SERVICE_MS),
    });
    // The Web API answers 200 to everything and says in the body what it means.
    const { ok, error } = z.object({ ok: z.boolean(), error: z.string().optional() }).parse(await response.json());
    if (!ok) throw new Error(error ?? 'it says no');
  });
}

async function askGoogle(google: NonNullable<Config['google']>, folder: string): Promise<void> {
  const { createDrive } = await import('../google/client.ts');
  const listed = await createDrive(google).list(folder, AbortSignal.timeout(SERVICE_MS));
  if (!listed.ok) throw new Error(listed.message);
}

async function get(url: string, headers: Record<string, string>): Promise<void> {
  const response = await fetch(url, { headers, redirect: 'manual', signal: AbortSignal.timeout(SERVICE_MS) });
  await response.body?.cancel();
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
}
