// Shared parts of the simulator's own tests: the recordings, shapes to compare, and a simulator with a receiver.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, beforeEach } from 'node:test';
import { startSimulator, type Simulator } from '../../simulator/index.ts';
import type { EvolutionVersion } from '../../simulator/version.ts';
import { startReceiver, type Receiver, type Webhook } from './webhook-receiver.ts';

export const MARIA = '5511988887777';
export const MARIA_JID = `${MARIA}@s.whatsapp.net`;
export const SECRET = 'a-webhook-secret';
export const API_KEY = 'global-key';

export type Json = Record<string, unknown>;
export type Recorded = {
  label: string;
  request: { method: string; path: string; body?: unknown };
  response: { status: number; body: Json };
};
export type Answer = { status: number; body: unknown };

const recordedAnswers = lines('evolution-rest.jsonl') as Recorded[];
const recordedHooks = lines('evolution-payloads.jsonl') as { scenario: string; body: Webhook }[];

/** A simulator with the instance wa1 and the contact Maria, fresh for each test of the calling file. */
export type Setting = {
  simulator: Simulator;
  receiver: Receiver;
  /** The contact's id. */
  maria: string;
  api(method: string, path: string, options?: { body?: unknown; key?: string | null; signal?: AbortSignal }): Promise<Answer>;
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Answer>;
  /** The webhooks of an event, once there are so many. */
  received(event: string, count: number): Promise<Webhook[]>;
};

/** Call it once at the top of a test file. Its fields are set when the first test begins. The release of the older recordings unless said. */
export function useSimulator(version: EvolutionVersion = '2.3.6'): Setting {
  const setting = { api, post, received } as Setting;
  before(async () => {
    setting.receiver = await startReceiver();
    // Retries of 5 s become 5 ms; a blocking delay of 3 s becomes 3 ms.
    setting.simulator = await startSimulator({
      version,
      instances: ['wa1'],
      webhook: { url: setting.receiver.url, secret: SECRET, base64: true },
      apiKey: API_KEY,
      timeScale: 1000,
      ackMs: 0,
      autoPair: true,
    });
  });
  after(async () => {
    await setting.simulator.close();
    await setting.receiver.close();
  });
  beforeEach(async () => {
    setting.simulator.reset();
    await setting.simulator.webhooksIdle();
    setting.receiver.received.length = 0;
    setting.receiver.answer = () => 200;
    setting.maria = setting.simulator.addContact({ name: 'Maria', phone: MARIA, lid: '123456789012345' }).id;
  });

  async function api(
    method: string,
    path: string,
    options: { body?: unknown; key?: string | null; signal?: AbortSignal } = {},
  ): Promise<Answer> {
    const { body, signal, key = API_KEY } = options;
    const response = await fetch(setting.simulator.url + path, {
      method,
      headers: { 'content-type': 'application/json', ...(key === null ? {} : { apikey: key }) },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
    return { status: response.status, body: await response.json() };
  }

  async function post(path: string, body: unknown, signal?: AbortSignal): Promise<Answer> {
    return await api('POST', path, { body, ...(signal ? { signal } : {}) });
  }

  async function received(event: string, count: number): Promise<Webhook[]> {
    return await setting.simulator.waitFor((wire) => {
      const answered = wire.webhooks.filter((hook) => hook.event === event && hook.status !== null).length;
      const bodies = setting.receiver.received.filter(({ body }) => body.event === event).map(({ body }) => body);
      return answered >= count && bodies;
    });
  }

  return setting;
}

export function recordedAnswer(label: string, path?: string): Recorded {
  const found = recordedAnswers.find((answer) => answer.label === label && (path === undefined || answer.request.path === path));
  assert.ok(found, `not recorded: ${label}`);
  return found;
}

/** The labels that begin so. */
export function labels(prefix: string): string[] {
  return recordedAnswers.map(({ label }) => label).filter((label) => label.startsWith(prefix));
}

export function recordedOf(scenario: string): Webhook[] {
  return recordedHooks.filter((hook) => hook.scenario === scenario).map(({ body }) => body);
}

/** Each value becomes its type, each array the shape of its first element; bytes as index objects or base64 are one word. */
export function shape(value: unknown): unknown {
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.slice(0, 1).map(shape);
  if (typeof value !== 'object') return typeof value;
  const entries = Object.entries(value);
  if (entries.length > 0 && entries.every(([key]) => /^\d+$/.test(key))) return 'bytes';
  return Object.fromEntries(entries.toSorted(([left], [right]) => (left < right ? -1 : 1)).map(([key, inner]) => [key, shape(inner)]));
}

/** Webhooks come in any order. */
export function shapesOf(bodies: Webhook[]): string[] {
  return bodies.map((body) => `${body.event} ${JSON.stringify(shape(body))}`).toSorted();
}

/** The fields of an event's data. */
export function fields(body: Webhook | undefined): Json {
  return body?.data ?? {};
}

function lines(file: string): unknown[] {
  const text = readFileSync(new URL(`../fixtures/${file}`, import.meta.url), 'utf8');
  return text
    .trim()
    .split('\n')
    .map((line): unknown => JSON.parse(line));
}
