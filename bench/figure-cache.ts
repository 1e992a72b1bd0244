/** What the model's cache has of a long conversation, at each floor below which a model caches nothing. */
import { setTimeout as delay } from 'node:timers/promises';

import { traitsOf } from '../src/claude/models.ts';
import { openConnection } from './load.ts';
import { CACHE_BAR, cacheShare, longTalk, TALK_ENVIRONMENT, TURNS } from './long-talk.ts';
import { jidOf, personBody, phoneOf, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import type { Row } from './report.ts';
import { ownRow } from './rows.ts';
import type { Stand } from './stand.ts';

/** One model of each floor. */
const MODELS = ['claude-haiku-5-5', 'claude-sonnet-5', 'claude-opus-4-7', 'claude-haiku-4-5'] as const;
/** Of the agent's instructions: as much of it as makes them longer than the floor. */
const INSTRUCTIONS =
  ' Atendemos com hora marcada, de segunda a sexta das 8h às 19h e aos sábados das 8h às 13h. Para remarcar, peça que avisem com um dia de antecedência.';
/** An answer that takes longer has failed. Milliseconds. */
const PATIENCE_MS = 20_000;
const LOOK_MS = 10;

export async function measureCache(stand: Stand): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [index, model] of MODELS.slice(0, stand.options.size.floors).entries()) rows.push(await measureFloor(stand, model, index));
  return rows;
}

async function measureFloor(stand: Stand, model: string, index: number): Promise<Row> {
  const { cacheFloor, charsPerToken } = traitsOf(model);
  const databaseUrl = await stand.database();
  const onRedis = stand.options.queues.includes('redis');
  const own = { ...TALK_ENVIRONMENT, LLM_MODEL: model, LLM_MODEL_COMPLEX: model };
  const api = await stand.product('api', databaseUrl, onRedis, 0, own);
  const worker = await stand.product('worker', databaseUrl, onRedis, 0, own);
  const query = (sql: string) => stand.query(databaseUrl, sql);
  const times = Math.ceil((cacheFloor * charsPerToken) / INSTRUCTIONS.length);
  await query(`insert into agents (name, tone, instructions, promises)
    select name, tone, instructions || repeat('${INSTRUCTIONS}', ${times}), promises from agents where active`);
  const connection = await openConnection(api.port, WEBHOOK_PATH, WEBHOOK_HEADERS);
  const phone = phoneOf(70, index);
  await longTalk({
    async ask(text) {
      await posted(connection.post(webhookBody(phone, { text })));
      await untilQuiet(query);
    },
    person: (text) => posted(connection.post(personBody(jidOf(phone), text))),
    query,
  });
  connection.close();
  for (const program of [worker, api]) await program.stop(5_000);
  const { share, calls } = await cacheShare(query, cacheFloor);
  const percent = 100 * share;
  stand.say(`cache: ${percent.toFixed(1)} % with a floor of ${cacheFloor} tokens`);
  return ownRow({
    figure: 'cache',
    name: `input read from the model's cache, ${TURNS} turns, floor of ${cacheFloor.toLocaleString('en-US')} tokens (${model})`,
    unit: '%',
    values: [percent],
    bar: { atLeast: 100 * CACHE_BAR },
    failed: Math.abs(TURNS - calls),
  });
}

/** A webhook is stored when it has its 200. */
async function posted(status: Promise<number>): Promise<void> {
  const got = await status;
  if (got !== 200) throw new Error(`the webhook was answered with ${got}`);
}

/** Everything that was written is answered, or with a person, and has left. */
async function untilQuiet(query: (sql: string) => Promise<unknown[]>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while ((await query(`select from messages where status in ('received', 'queued', 'sending') limit 1`)).length > 0) {
    if (performance.now() > end) throw new Error(`no answer in ${PATIENCE_MS / 1000} s`);
    await delay(LOOK_MS);
  }
}
