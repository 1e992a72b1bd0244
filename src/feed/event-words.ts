/** What happens here, as other programs are told: the envelope, and what each type says. The JSON Schemas that are served are made of these. */
import { z } from 'zod';

const id = z.number().int();
const moment = z.iso.datetime();
const words = z.string().nullable();
/** What is known of a talk stands in each event about it. `phone`: canonical digits; null: WhatsApp has told only its own id of the account. */
const talk = { contact_id: id, conversation_id: id, instance: z.string(), phone: words };

const PAYLOADS = {
  'message.received': z
    .strictObject({
      ...talk,
      message_id: id,
      name: words,
      type: z.string(),
      text: z.string(),
      wordless: z.boolean(),
      provider_id: words,
      sent_at: moment,
    })
    .describe(
      'A contact wrote. One that came without its words (`wordless`) is told again, as an event of its own, when they come. Reactions are none.',
    ),
  'message.sent': z
    .strictObject({
      ...talk,
      message_id: id,
      kind: z.string(),
      author: z.string(),
      type: z.string(),
      text: z.string(),
      provider_id: words,
      campaign: words,
      sent_at: moment,
    })
    .describe('A message of ours is at WhatsApp, whoever told so and however late. What a person types on the phone is none.'),
  'conversation.handed_over': z
    .strictObject({ ...talk, handoff_id: id.nullable(), reason: words, summary: words, taken_by: words })
    .describe('A person has the conversation now.'),
  'lead.created': z.looseObject({ contact_id: id }).describe('Somebody became a lead.'),
  'lead.qualified': z.looseObject({ contact_id: id, score: z.number().min(0).max(1) }).describe('A lead has crossed the threshold.'),
  'ticket.opened': z.looseObject({ contact_id: id, conversation_id: id }).describe('A ticket was opened.'),
  'ticket.closed': z.looseObject({ contact_id: id, conversation_id: id }).describe('A ticket was closed.'),
  'instance.status': z
    .strictObject({ instance: z.string(), phone: words, status: z.string(), was: z.string(), status_reason: id.nullable() })
    .describe("A number's connection is another than before."),
  'notice.sent': z
    .strictObject({
      ...talk,
      message_id: id,
      notice_id: id,
      type: z.string(),
      reference: z.string(),
      test: z.boolean(),
      sent_at: moment,
    })
    .describe('A step of an order was told to its customer; the message is an event too.'),
} as const;

export type EventType = keyof typeof PAYLOADS;
export const EVENT_TYPES = Object.keys(PAYLOADS) as EventType[]; // the keys of a literal are its type

const head = {
  id: z.uuid().describe('the same whenever this event is told'),
  version: z.literal(1),
  occurred_at: moment,
  company_id: z.string().describe('the tenant'),
  source: z.literal('whats-agents'),
  correlation_id: words.describe('of the request or turn that it belongs to'),
  causation_id: z.uuid().nullable().describe('the event that led to it'),
};

/** An event, as far as the envelope says. */
export const envelope = z.object({ ...head, type: z.enum(EVENT_TYPES), payload: z.record(z.string(), z.unknown()) });
export type Envelope = z.infer<typeof envelope>;

export function eventSchema(type: EventType): z.ZodType {
  return z.strictObject({ ...head, type: z.literal(type), payload: PAYLOADS[type] }).describe(PAYLOADS[type].description ?? '');
}

export function jsonSchemaOf(type: EventType): Record<string, unknown> {
  return { ...z.toJSONSchema(eventSchema(type)) };
}
