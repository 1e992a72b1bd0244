/**
 * What is live: /console/stream. One look at the database for all open pages of the process, every LOOK_MS while there is one; nothing is added to the way of a
 * message. A page hears a word that changed, and asks for its parts itself.
 *
 *   news    {lists, thread}: words that change when a list, or the conversation on the screen, may have
 *   away    {since}: the database does not answer since then; back: it does again
 *   beat    the stream lives
 *   over    the session has ended
 */
import { streamSSE } from 'hono/streaming';
import { consoleNews } from '../watch/conversation-calls.ts';
import type { Process } from '../routes/ops.ts';
import type { Routes } from '../routes/table.ts';

/** What is stored is on the screen within a second: this, and a request of the page. Milliseconds. */
const LOOK_MS = 400;
/** A page that hears nothing for three of these says so. Milliseconds. */
const BEAT_MS = 4_000;
/** Each is a person's window. */
const MOST_STREAMS = 500;
/** Windows of one person. */
const MOST_STREAMS_EACH = 10;

type Listener = {
  session: string;
  tenant: string;
  email: string;
  thread: number | null;
  told: string;
  tell(event: string, data: object): void;
  end(): void;
};

export function liveRoutes(routes: Routes, process: Process): void {
  const hub = createHub(process);
  routes.page.get('/console/stream', { summary: 'what changes, as server-sent events', access: 'operator' }, (c) => {
    const thread = /^\d{1,15}$/.exec(c.req.query('conversation') ?? '')?.[0];
    const visitor = c.get('visitor');
    c.header('X-Accel-Buffering', 'no');
    return streamSSE(c, async (stream) => {
      const ended = Promise.withResolvers<void>();
      const listener: Listener = {
        session: visitor.session,
        tenant: visitor.tenant,
        email: visitor.email,
        thread: thread === undefined ? null : Number(thread),
        told: '',
        tell: (event, data) => void stream.writeSSE({ event, data: JSON.stringify(data) }).catch(() => ended.resolve()),
        end: () => ended.resolve(),
      };
      stream.onAbort(() => ended.resolve());
      if (!hub.add(listener)) return;
      await ended.promise;
      hub.remove(listener);
    });
  });
}

/** As SQL console_news names it; of the lists alone it has none. */
function threadOf({ tenant, thread }: Listener): string {
  return `${tenant}/${thread ?? ''}`;
}

function createHub(process: Process): { add(listener: Listener): boolean; remove(listener: Listener): void } {
  const listeners = new Set<Listener>();
  let timer: NodeJS.Timeout | null = null;
  let state: string | null = null;
  let lists: Record<string, string> = {};
  let threads: Record<string, string> = {};
  let awaySince: Date | null = null;
  let beatAt = 0;

  const everybody = (event: string, data: object): void => {
    for (const each of listeners) each.tell(event, data);
  };

  async function look(): Promise<void> {
    if (process.stopping || process.context === null) {
      for (const each of listeners) each.end();
      return;
    }
    const all = [...listeners];
    const asked = [...new Map(all.map((each) => [threadOf(each), { tenant: each.tenant, id: each.thread }])).values()];
    // who has just come has a tenant, or a conversation, that nobody has looked at
    const seen = all.every((each) => each.tenant in lists && threadOf(each) in threads) ? state : null;
    const news = await consoleNews(process.context.db, seen, asked, [...new Set(all.map(({ session }) => session))]);
    state = news.state;
    if (news.lists !== undefined) {
      lists = news.lists;
      threads = news.threads ?? {};
      // an unknown one is looked at once
      for (const each of all) threads[threadOf(each)] ??= '';
    }
    for (const each of all) {
      if (news.over?.includes(each.session) === true) {
        each.tell('over', {});
        each.end();
        continue;
      }
      const words = { lists: lists[each.tenant] ?? '', thread: threads[threadOf(each)] ?? '' };
      const told = JSON.stringify(words);
      if (told !== each.told) each.tell('news', words);
      each.told = told;
    }
  }

  async function tick(): Promise<void> {
    try {
      await look();
      if (awaySince !== null) everybody('back', {});
      awaySince = null;
    } catch {
      // The breaker of the database tells the log; pages say it to people.
      if (awaySince === null) everybody('away', { since: (awaySince = new Date()).toISOString() });
    }
    const now = performance.now();
    if (now - beatAt > BEAT_MS) {
      beatAt = now;
      everybody('beat', {});
    }
    timer = listeners.size === 0 ? null : setTimeout(() => void tick(), LOOK_MS).unref();
  }

  return {
    add(listener) {
      const own = [...listeners].filter(({ tenant, email }) => tenant === listener.tenant && email === listener.email);
      if (listeners.size >= MOST_STREAMS || own.length >= MOST_STREAMS_EACH) return false;
      listeners.add(listener);
      listener.tell('beat', {});
      if (awaySince !== null) listener.tell('away', { since: awaySince.toISOString() });
      timer ??= setTimeout(() => void tick(), 0);
      return true;
    },
    remove: (listener) => void listeners.delete(listener),
  };
}
