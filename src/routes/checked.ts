import { HTTPException } from 'hono/http-exception';
import { z } from 'zod';

/** What a request gives, in the shape that the route wants; else a 400 that names what is wrong. */
export function checked<T>(schema: z.ZodType<T>, given: unknown): T {
  const parsed = schema.safeParse(given);
  if (!parsed.success) throw new HTTPException(400, { message: z.prettifyError(parsed.error) });
  return parsed.data;
}
