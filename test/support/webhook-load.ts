/** Webhooks of 40 contacts, 20 a second, whatever becomes of the others. */
import { WEBHOOK_SECRET } from './system.ts';

const EVERY_MS = 50;

export type WebhookLoad = {
  /** Each webhook that was answered: its message's id and the status, 0 when the connection broke. */
  answers: { id: string; status: number }[];
  /** Resolves when so many more have been answered. */
  answered(more: number): Promise<void>;
  /** Posts no more and waits for the answers of all. */
  stop(): Promise<{ id: string; status: number }[]>;
};

type TestHooks = { after(hook: () => Promise<void>): void };

export function startWebhookLoad(t: TestHooks, url: string): WebhookLoad {
  const answers: WebhookLoad['answers'] = [];
  const underWay = new Set<Promise<void>>();
  let wake = Promise.withResolvers<void>();
  let sent = 0;
  const post = async (index: number): Promise<void> => {
    const id = `LOAD-${String(index).padStart(5, '0')}`;
    const response = await fetch(`${url}/webhook/evolution`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${WEBHOOK_SECRET}` },
      body: JSON.stringify(message(index, id)),
    }).catch(() => null);
    await response?.arrayBuffer().catch(() => {});
    answers.push({ id, status: response?.status ?? 0 });
    wake.resolve();
    wake = Promise.withResolvers<void>();
  };
  const timer = setInterval(() => {
    const posting = post(sent++);
    underWay.add(posting);
    void posting.finally(() => underWay.delete(posting));
  }, EVERY_MS);
  const stop = async () => {
    clearInterval(timer);
    await Promise.all(underWay);
    return answers;
  };
  t.after(async () => void (await stop()));
  return {
    answers,
    answered: async (more) => {
      const wanted = answers.length + more;
      while (answers.length < wanted) await wake.promise;
    },
    stop,
  };
}

function message(index: number, id: string): unknown {
  return {
    event: 'messages.upsert',
    instance: 'julia-dev',
    data: {
      key: { id, remoteJid: `551198760${String(index % 40).padStart(4, '0')}@s.whatsapp.net`, fromMe: false },
      pushName: 'Maria',
      message: { conversation: `oi ${index}` },
      messageType: 'conversation',
      messageTimestamp: Math.floor(Date.now() / 1000),
    },
  };
}
