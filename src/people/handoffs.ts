/** Tells people of conversations that need them: at once when a turn says so, and every minute of those that nobody told of (see crons/handoffs.ts). */
import { contactText } from '../words/foreign-text.ts';
import { digestText, draftText, forwardText, greetingText, isTechnical, packetText, recoveredText, returnedText } from './packet.ts';
import { listDrafts } from './draft-calls.ts';
import {
  greetingsToTell,
  handoffsToTell,
  recordGreetingTold,
  recordHandoffStep,
  returnForgotten,
  returnTechnical,
} from './handoff-calls.ts';
import type { HandoffToTell } from './handoff-calls.ts';
import { forwardsDue, takeForward } from '../notices/calls.ts';
import { deliverNotices, sendNotice } from '../notices/notices.ts';
import type { NoticeContext } from '../notices/notices.ts';

/** As many as are told in one go; the rest is found by the next look. */
const AT_ONCE = 200;
/** So many that only ask for a look, or that have one technical cause, are told together. */
const TOGETHER = 4;

/**
 * Tells of new handoffs, and once more of those that nobody took. Returns how many. Any number at once: the notice's key lets one through.
 * The packet about the manager's own conversation goes to somebody else or nowhere.
 */
export async function tellOfHandoffs(ctx: NoticeContext): Promise<number> {
  const { people, outbound } = ctx.config;
  const found = await handoffsToTell(ctx.db, outbound.managerPhone, people.reminderMinutes * 60_000, AT_ONCE);
  const groups = Map.groupBy(found, (each) =>
    (each.controls && !isTechnical(each.reason)) || each.is_manager ? `${each.id}` : `${each.tenant} ${each.step} ${each.reason}`,
  );
  for (const handoffs of groups.values()) {
    if (handoffs.length >= TOGETHER) {
      // The teller of this minute's notice writes its handoffs down. What came after it is told in the next one.
      if (!(await tellTogether(ctx, handoffs))) continue;
    } else for (const handoff of handoffs) await tellOf(ctx, handoff);
    for (const handoff of handoffs) {
      await recordHandoffStep(ctx.db, handoff.id, handoff.step);
      ctx.events.handoffTold(handoff);
    }
  }
  return found.length;
}

async function tellOf(ctx: NoticeContext, handoff: HandoffToTell): Promise<void> {
  await sendNotice(ctx, {
    tenant: handoff.tenant,
    key: `handoff-${handoff.id}-${handoff.step}`,
    kind: 'handoff',
    text: packetText({ ...handoff, messages: handoff.messages.map(safe) }, handoff.step, ctx.config.people.reminderMinutes),
    urgent: handoff.controls,
    notManager: handoff.is_manager,
  });
}

/** Of each message one line of 500 characters at most is told. */
const MAX_READ_CHARS = 2_000;

/** Notes of the runtime stand in the same lines: what anybody typed must not read as one, nor what the agent repeats of it. */
function safe(message: HandoffToTell['messages'][number]): HandoffToTell['messages'][number] {
  return { ...message, text: contactText(message, MAX_READ_CHARS) };
}

/** One notice a minute and reason, however many look at the same moment; false when there was one already. */
async function tellTogether(ctx: NoticeContext, handoffs: HandoffToTell[]): Promise<boolean> {
  const [first] = handoffs;
  if (first === undefined) return false;
  return sendNotice(ctx, {
    tenant: first.tenant,
    key: `handoffs-${first.reason}-${new Date().toISOString().slice(0, 16)}${first.step === 'reminded' ? '-reminded' : ''}`,
    kind: 'handoff',
    text: digestText(handoffs),
    urgent: handoffs.some(({ controls }) => controls),
  });
}

/**
 * Forwards what contacts wrote in conversations that a person has: at most one notice a minute and conversation, with all that came since the last. `conversation`: only
 * this one. Returns how many. Any number at once: each is made by one of them.
 */
export async function tellOfMessages(ctx: NoticeContext, conversation: number | null = null): Promise<number> {
  const found = await forwardsDue(ctx.db, conversation, AT_ONCE);
  for (const forward of found) {
    const notice = {
      tenant: forward.tenant,
      kind: 'forward',
      text: forwardText(
        forward,
        forward.messages.map((message) => contactText(message, MAX_READ_CHARS)),
        forward.count,
      ),
      urgent: false,
      about: null,
      not_manager: forward.phone !== null && forward.phone === ctx.config.outbound.managerPhone,
    };
    if (await takeForward(ctx.db, forward, forward.count === 0 ? null : notice))
      ctx.background.run('deliver notices', () => deliverNotices(ctx));
  }
  return found.length;
}

/** Tells of the draft that a turn wrote; nothing when it is gone already. */
export async function tellOfDraft(ctx: NoticeContext, claim: { tenant_id: string; turn_id: number }): Promise<void> {
  for (const draft of await listDrafts(ctx.db, claim.tenant_id, 1, claim.turn_id))
    await sendNotice(ctx, { tenant: claim.tenant_id, key: `draft-${draft.id}`, kind: 'draft', text: draftText(draft), urgent: false });
}

/** Tells, once of each number, that its phone answers by itself. Returns how many. */
export async function tellOfGreetings(ctx: NoticeContext): Promise<number> {
  const found = await greetingsToTell(ctx.db, AT_ONCE);
  for (const { tenant, instance, text } of found) {
    await sendNotice(ctx, { tenant, key: `greeting-${instance}`, kind: 'greeting', text: greetingText(instance, text), urgent: false });
    await recordGreetingTold(ctx.db, instance);
  }
  return found.length;
}

/** Gives handoffs back in which nobody wrote for `handoffTimeoutHours`, and says so. Returns how many. */
export async function returnHandoffs(ctx: NoticeContext): Promise<number> {
  const hours = ctx.config.people.handoffTimeoutHours;
  if (hours === null) return 0;
  const returned = await returnForgotten(ctx.db, hours, AT_ONCE);
  for (const each of returned) {
    ctx.events.handoffReturned(each.conversation_id, 'timeout');
    await sendNotice(ctx, {
      tenant: each.tenant,
      key: `handoff-${each.handoff_id}-returned`,
      kind: 'handoff',
      text: returnedText(each, hours),
      urgent: false,
    });
  }
  return returned.length;
}

/** Gives conversations back to the agent that a person has only because the agent could not answer, once it can, and says so. Returns how many. */
export async function returnRecovered(ctx: NoticeContext): Promise<number> {
  const all = await returnTechnical(ctx.db, { tenant: null, by: 'recovered', reason: null, limit: AT_ONCE });
  for (const each of all) ctx.events.handoffReturned(each.conversation_id, 'recovered');
  for (const [tenant, returned] of Map.groupBy(all, (each) => each.tenant))
    await sendNotice(ctx, {
      tenant,
      key: `handoffs-recovered-${returned[0]?.handoff_id}`,
      kind: 'handoff',
      text: recoveredText(returned),
      urgent: false,
    });
  return all.length;
}
