/** The steady load on one installation: contacts who write and are answered, what Evolution posts around that, orders over the api, and who looks at it. */
import { setTimeout as delay } from 'node:timers/promises';
import { SignJWT } from 'jose';

import { JWT_SECRET } from '../scripts/lib/installation.ts';
import type { Mode } from '../scripts/lib/installation.ts';
import { openConnection } from './load.ts';
import type { Connection } from './load.ts';
import { ackBody, aroundBodies, echoBody, jidOf, presenceBody, WEBHOOK_HEADERS, WEBHOOK_PATH, webhookBody } from './messages.ts';
import type { Program } from './programs.ts';
import type { BenchSimulator } from './simulator.ts';
import { openLedger } from './soak-ledger.ts';
import type { Tally } from './soak-ledger.ts';

/** A busy installation, and a tenth of what one can answer: some 100 webhooks a second with what belongs to an answer. */
export const ANSWERS_PER_SECOND = 15;
export const ORDERS_PER_SECOND = 0.5;
/** Prometheus asks each 15 s by default, load balancers more often. */
export const SCRAPE_MS = 5_000;

const CONNECTIONS = 8;
/** Each tenth webhook, of whatever kind, comes twice; the second one within so long. Milliseconds. */
const REPEATED_EACH = 10;
const REPEAT_MS = 4_000;
/** From the message to what is posted around it, from a send to the contact's phone, and to the contact's eyes. Milliseconds. */
const AROUND_MS = 200;
const DELIVERED_MS = 300;
const READ_MS = 2_500;
/** Each fifth order is made twice under one Idempotency-Key. */
const REORDERED_EACH = 5;
/** An answer that takes longer is lost: the debounce and the typing take some 8 s. Milliseconds. */
const PATIENCE_MS = 60_000;
const REQUEST_MS = 10_000;

export type Counts = Tally & {
  lost: number;
  webhooks: number;
  scrapes: number;
  /** Requests that were refused or got no answer. */
  failed: number;
};

export type Load = {
  counts(): Counts;
  /** How often what failed. */
  failures: ReadonlyMap<string, number>;
  /** Ends the questions, waits for what is under way, then ends the rest. */
  finish(): Promise<void>;
};

export type Installation = {
  /** Name of its number at Evolution. */
  instance: string;
  /** Of its contacts' phones. */
  group: number;
  programs: Readonly<Record<Mode, Program>>;
};

export async function startLoad({ instance, group, programs }: Installation, simulator: BenchSimulator): Promise<Load> {
  const ledger = openLedger(group);
  const failures = new Map<string, number>();
  const counts = { webhooks: 0, scrapes: 0, failed: 0 };
  let hooks = 0;
  const token = await senderToken();
  const posts = await openPosts(programs.api.port);
  const underWay = new Set<Promise<void>>();
  const load = new AbortController();

  const fail = (what: string): void => {
    counts.failed += 1;
    failures.set(what, (failures.get(what) ?? 0) + 1);
  };
  const later = (ms: number, what: string, work: () => Promise<void>): void => {
    const done = delay(ms)
      .then(work)
      .catch((error: unknown) => fail(`${what}: ${error instanceof Error ? error.message : String(error)}`))
      .finally(() => underWay.delete(done));
    underWay.add(done);
  };
  const post = async (body: string): Promise<void> => {
    counts.webhooks += 1;
    const status = await posts.post(body);
    if (status !== 200) fail(`webhook answered with ${status}`);
  };
  const hook = (ms: number, body: string): void => {
    hooks += 1;
    later(ms, 'webhook', () => post(body));
    if (hooks % REPEATED_EACH === 0) later(ms + Math.random() * REPEAT_MS, 'webhook', () => post(body));
  };

  const ask = (): void => {
    const phone = ledger.ask();
    if (phone === null) return fail('all contacts wait for an answer');
    const jid = jidOf(phone);
    hook(0, presenceBody(instance, jid));
    hook(AROUND_MS, webhookBody(phone, { instance }));
    for (const body of aroundBodies(instance, jid)) hook(AROUND_MS, body);
  };
  const order = (): void => {
    const to = ledger.order();
    const key = `soak-${group}-${ledger.tally.ordered}`;
    const send = () => orderOnce(programs.api.port, token, key, to, (status) => fail(`order answered with ${status}`));
    later(0, 'order', send);
    if (ledger.tally.ordered % REORDERED_EACH === 0) later(Math.random() * REPEAT_MS, 'order', send);
  };
  const endSent = simulator.onSent((jid, _, id) => {
    if (!ledger.left(jid)) return;
    hook(0, echoBody(instance, jid, id));
    hook(DELIVERED_MS, ackBody(instance, jid, id, 'DELIVERY_ACK'));
    hook(READ_MS, ackBody(instance, jid, id, 'READ'));
  });
  const looked = new AbortController();
  const scraper = steadily(1000 / SCRAPE_MS, looked.signal, () => {
    for (const [mode, program] of Object.entries(programs)) {
      for (const path of mode === 'api' ? [...SCRAPED, ...SCRAPED_OF_API] : SCRAPED) {
        later(0, `${mode} ${path}`, async () => {
          counts.scrapes += 1;
          const status = await statusOf(`http://127.0.0.1:${program.port}${path}`);
          if (status !== 200) fail(`${mode} answered ${path} with ${status}`);
        });
      }
    }
  });
  const writers = [steadily(ANSWERS_PER_SECOND, load.signal, ask), steadily(ORDERS_PER_SECOND, load.signal, order)];

  return {
    counts: () => ({ ...ledger.tally, lost: ledger.waiting(), ...counts }),
    failures,
    async finish() {
      load.abort();
      await Promise.all(writers);
      const end = performance.now() + PATIENCE_MS;
      while (ledger.waiting() > 0 && performance.now() < end) await delay(POLL_MS);
      looked.abort();
      await scraper;
      while (underWay.size > 0) await Promise.all(underWay);
      endSent();
      posts.close();
    },
  };
}

const POLL_MS = 100;

/** What collectors and load balancers ask of each process, and what a board shows of the installation. */
const SCRAPED = ['/metrics', '/health', '/ready', '/health/deep'];
const SCRAPED_OF_API = ['circuit', 'jobs', 'queue', 'rate', 'chips', 'whatsapp', 'alerts', 'score'].map((name) => `/health/${name}`);

function senderToken(): Promise<string> {
  const jwt = new SignJWT({ role: 'sender', tenant: 'default' }).setProtectedHeader({ alg: 'HS256' }).setSubject('soak').setIssuedAt();
  return jwt.setExpirationTime('2d').sign(new TextEncoder().encode(JWT_SECRET));
}

async function orderOnce(port: number, token: string, key: string, to: string, refused: (status: number) => void): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/api/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${token}`, 'idempotency-key': key },
    body: JSON.stringify({ to, text: `Olá! Seu pedido ${key} saiu para entrega.`, kind: 'notification' }),
    signal: AbortSignal.timeout(REQUEST_MS),
  });
  await response.text();
  if (response.status !== 202) refused(response.status);
}

/** The body is read too, as a collector does. */
async function statusOf(url: string): Promise<number> {
  const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_MS) });
  await response.text();
  return response.status;
}

/** Calls `work`, which must not throw, so often until the signal. Who comes late makes up for it, so that the rate holds. */
async function steadily(perSecond: number, signal: AbortSignal, work: () => void): Promise<void> {
  const started = performance.now();
  for (let turn = 0; !signal.aborted; turn++) {
    await delay(Math.max(0, started + (turn * 1000) / perSecond - performance.now()), undefined, { signal }).catch(() => {});
    if (!signal.aborted) work();
  }
}

/** Posts webhooks over a few connections, each in its turn, so that none is idle until the server closes it. */
async function openPosts(port: number): Promise<{ post(body: string): Promise<number>; close(): void }> {
  const all = await Promise.all(Array.from({ length: CONNECTIONS }, () => openConnection(port, WEBHOOK_PATH, WEBHOOK_HEADERS)));
  const free = [...all];
  const waiting: ((connection: Connection) => void)[] = [];
  return {
    async post(body) {
      const connection = free.shift() ?? (await new Promise<Connection>((resolve) => waiting.push(resolve)));
      try {
        const status = await connection.post(body);
        // Closed just then, or cut: Evolution comes again too. An api that has ended is noticed by who watches it.
        return status === 0 ? await connection.post(body) : status;
      } finally {
        const next = waiting.shift();
        if (next === undefined) free.push(connection);
        else next(connection);
      }
    },
    close: () => {
      for (const connection of all) connection.close();
    },
  };
}
