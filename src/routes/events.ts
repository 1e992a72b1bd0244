/** /api/events: what happened, for other programs, by a cursor that passes nothing; and what each event looks like. */
import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';
import { readEvents } from '../feed/calls.ts';
import { envelope, EVENT_TYPES, jsonSchemaOf } from '../feed/event-words.ts';
import { checked } from './checked.ts';
import { contextOf } from './context-of.ts';
import type { Process } from './ops.ts';
import type { Routes } from './table.ts';

const digits = z.string().regex(/^\d{1,15}$/, 'must be a cursor that an answer has named');
const filter = z.strictObject({
  after: digits.optional().describe('`next_cursor` of the last answer; left out: from the oldest that is kept'),
  types: z.string().max(500).optional().describe('comma separated; left out: all'),
  limit: z
    .string()
    .regex(/^(?:[1-9]\d{0,2}|1000)$/, 'must be 1 to 1000')
    .optional()
    .describe('100 unless said'),
});
const type = z.enum(EVENT_TYPES, `must be some of ${EVENT_TYPES.join(', ')}`);

export function eventRoutes(routes: Routes, process: Process): void {
  routes.get(
    '/api/events',
    {
      tag: 'messages',
      access: 'operator',
      summary: 'what happened, in order, after a cursor',
      details:
        'Each event once, and none is missed, whoever writes meanwhile: ask again with `next_cursor`, at once while `more` is true. The first question switches the events of the tenant on; until then none are written down. ' +
        'They are kept for 14 days; a cursor of before is 410, with the oldest one that can be asked for.',
      query: filter,
      answers: {
        200: {
          means: 'a page, the oldest first; empty when nothing has happened',
          schema: z.object({ events: z.array(envelope), next_cursor: z.string(), more: z.boolean() }),
        },
        400: 'a type or a cursor that is none',
        410: 'events after that cursor are deleted; the message names the oldest cursor',
      },
    },
    async (c) => {
      const query = checked(filter, c.req.query());
      const types = query.types === undefined ? null : checked(z.array(type), query.types.split(','));
      const after = query.after === undefined ? null : Number(query.after);
      const page = await readEvents(contextOf(process).db, c.get('caller').tenant, { after, types, limit: Number(query.limit ?? 100) });
      if (page.outcome === 'gone')
        throw new HTTPException(410, { message: `events after ${after} are gone: the oldest cursor is ${page.cursor}` });
      return c.json({ events: page.events, next_cursor: String(page.cursor), more: page.more });
    },
  );

  routes.get(
    '/api/events/schemas',
    {
      tag: 'reference',
      access: 'public',
      summary: 'the JSON Schema of each type of event',
      answers: { 200: { means: 'schemas by type', schema: z.record(z.string(), z.record(z.string(), z.unknown())) } },
    },
    (c) => c.json(Object.fromEntries(EVENT_TYPES.map((each) => [each, jsonSchemaOf(each)]))),
  );

  routes.get(
    '/api/events/schemas/:type{[a-z_.]{1,40}}',
    {
      tag: 'reference',
      access: 'public',
      summary: 'the JSON Schema of one type of event',
      answers: { 200: { means: 'a schema', schema: z.record(z.string(), z.unknown()) }, 404: 'there is no such type' },
    },
    (c) => {
      const named = type.safeParse(c.req.param('type'));
      if (!named.success) throw new HTTPException(404, { message: `there is no such type; there are ${EVENT_TYPES.join(', ')}` });
      return c.json(jsonSchemaOf(named.data));
    },
  );
}
