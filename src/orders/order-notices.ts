/** A step of an order becomes a message: its words are those of this moment, and it is written down before anybody is answered. */
import type { Context } from '../context.ts';
import { DatabaseRefused } from '../db/failures.ts';
import { failure } from '../process/errors.ts';
import type { Failure } from '../process/errors.ts';
import { noticeTemplates, placeNotice, resendNotice } from './calls.ts';
import type { NoticeRow, NoticeSender, StoredTemplates } from './calls.ts';
import { DEFAULT_TEXTS, SAMPLE, SAMPLE_SHOP } from './notice-texts.ts';
import { NOTICE_TYPES, renderNotice } from './notice-words.ts';
import type { NoticeData, NoticeType } from './notice-words.ts';

export type OrderContext = Pick<Context, 'config' | 'db' | 'background' | 'sendPolicy'> & {
  queues: Pick<Context['queues'], 'wakeSend'>;
};

/** Who asks; `instance`: from this number and no other. */
export type Asking = { tenant: string; actor: string; correlationId: string | null; instance?: string | undefined };

export type OrderStep = {
  type: NoticeType;
  /** The order, as the shop names it. */
  reference: string;
  /** Canonical digits. */
  phone: string;
  data: NoticeData;
  sendAfter?: string | undefined;
  expiresAt?: string | undefined;
  /** To somebody of the shop, with whatever values, although it may have been sent before and its type may be off. */
  test?: boolean;
  /** A person asks: audited. */
  byHand?: boolean;
};

export type Template = {
  type: NoticeType;
  text: string;
  enabled: boolean;
  /** It has the words that come with the product. */
  standard: boolean;
  updated_by: string | null;
  updated_at: Date | null;
};

type Told = { ok: true; result: { notice: NoticeRow } } | Failure<'bad_request' | 'not_found' | 'conflict' | 'unavailable'>;

/** WhatsApp takes more; nobody reads it. Characters. */
const MOST_MESSAGE = 4_000;

/** All types with what a tenant says at each. */
export async function templatesOf(ctx: Pick<Context, 'db' | 'config'>, tenant: string): Promise<{ shop: string | null; all: Template[] }> {
  const { company, templates } = await noticeTemplates(ctx.db, tenant);
  return { shop: company ?? ctx.config.app.company, all: NOTICE_TYPES.map((type) => templateOf(type, templates)) };
}

function templateOf(type: NoticeType, stored: StoredTemplates['templates']): Template {
  const own = stored.find((each) => each.type === type);
  return {
    type,
    text: own?.text ?? DEFAULT_TEXTS[type],
    enabled: own?.enabled ?? true,
    standard: own?.text == null,
    updated_by: own?.updated_by ?? null,
    updated_at: own?.updated_at ?? null,
  };
}

/** What a notice would say, of an order that does not exist where no values are given. */
export async function previewNotice(
  ctx: Pick<Context, 'db' | 'config'>,
  tenant: string,
  { type, text, data }: { type: NoticeType; text?: string | undefined; data?: NoticeData | undefined },
): Promise<{ ok: true; text: string } | Failure<'bad_request'>> {
  const { shop, all } = await templatesOf(ctx, tenant);
  const template = text ?? all.find((each) => each.type === type)?.text ?? '';
  return worded(template, { loja: shop ?? SAMPLE_SHOP, ...(data ?? SAMPLE) });
}

/** Tells a step of an order. May be asked again: the same is sent once. Throws only what the database throws. */
export async function tellOrder(ctx: OrderContext, asking: Asking, step: OrderStep): Promise<Told> {
  const { shop, all } = await templatesOf(ctx, asking.tenant);
  const template = all.find(({ type }) => type === step.type);
  const loja = shop ?? (step.test === true ? SAMPLE_SHOP : null);
  const rendered = worded(template?.text ?? '', loja === null ? step.data : { loja, ...step.data });
  if (!rendered.ok) return rendered;
  return sending(ctx, asking, (sender) =>
    placeNotice(ctx.db, {
      ...sender,
      type: step.type,
      reference: step.reference,
      phone: step.phone,
      data: step.data,
      text: rendered.text,
      test: step.test ?? false,
      by_hand: step.byHand ?? false,
      send_after: step.sendAfter ?? null,
      expires_at: step.expiresAt ?? null,
    }),
  );
}

/** The same words once more. Throws only what the database throws. */
export async function tellAgain(ctx: OrderContext, asking: Asking, id: number): Promise<Told> {
  return sending(ctx, asking, async (sender) => {
    const answer = await resendNotice(ctx.db, id, sender);
    if (answer.outcome === 'done') return answer;
    if (answer.outcome === 'unknown') return refusal('not_found', `there is no notice ${id}`);
    if (answer.outcome === 'repeat') return refusal('conflict', `notice ${id} is a repeat: send the one again that it repeats`);
    return refusal('conflict', `notice ${id} is still on its way`);
  });
}

function worded(template: string, data: NoticeData): { ok: true; text: string } | Failure<'bad_request'> {
  const rendered = renderNotice(template, data);
  if (!rendered.ok)
    return refusal('bad_request', `data: no value for ${rendered.missing.map((name) => `{${name}}`).join(', ')}, which the text needs`);
  return rendered.text.length > MOST_MESSAGE
    ? refusal('bad_request', `data: the text would have ${rendered.text.length} characters, more than ${MOST_MESSAGE}`)
    : rendered;
}

type Placed = { notice: NoticeRow; lane: number | null };

async function sending(
  ctx: OrderContext,
  asking: Asking,
  place: (sender: NoticeSender) => Promise<Placed | Failure<'not_found' | 'conflict'>>,
): Promise<Told> {
  // EVOLUTION_INSTANCE is the installation's; of another tenant's numbers one is chosen, or none is meant.
  const instance = asking.instance ?? (asking.tenant === 'default' ? ctx.config.evolution?.instance : '');
  if (instance === undefined) return refusal('unavailable', 'no number is configured; name one or set EVOLUTION_INSTANCE');
  const choose = asking.instance === undefined && ctx.config.outbound.multiChip ? ctx.sendPolicy : null;
  try {
    const placed = await place({
      tenant: asking.tenant,
      instance,
      choose: choose === null ? null : { capHour: choose.capHour, capDay: choose.capDay },
      correlation_id: asking.correlationId,
      actor: asking.actor,
    });
    if ('ok' in placed) return placed;
    const { notice, lane } = placed;
    // What a queue that is unavailable does not hear of, the sweep of the next minute finds.
    if (lane !== null) ctx.background.run('wake send', () => ctx.queues.wakeSend(lane));
    return { ok: true, result: { notice } };
  } catch (error) {
    if (error instanceof DatabaseRefused && error.code === 'WA001')
      return refusal(
        'bad_request',
        instance === '' ? 'instance: name the number; none may be chosen by itself' : `instance: there is no number ${instance}`,
      );
    throw error;
  }
}

function refusal<Kind extends string>(kind: Kind, message: string): Failure<Kind> {
  return failure(kind, { retryable: false, message });
}
