/** The service account in a JSON key of Google. Pure. */
import { z } from 'zod';
import { jsonOf } from '../words/json.ts';

const account = z.object({ client_email: z.string().min(3), private_key: z.string().includes('PRIVATE KEY') });

/** Or what is wrong with it, without its words. */
export function accountOf(json: string): { ok: true; email: string; privateKey: string } | { ok: false; message: string } {
  const parsed = account.safeParse(jsonOf(json));
  return parsed.success
    ? { ok: true, email: parsed.data.client_email, privateKey: parsed.data.private_key }
    : { ok: false, message: 'is no JSON key of a service account (client_email, private_key)' };
}
