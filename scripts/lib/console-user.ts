/** Who works at the console of a machine that is for trying things out. */
import pg from 'pg';

import { hashPassword, isPassword } from '../../src/people/passwords.ts';

export const CONSOLE_USER = 'dev@example.com';

/** The user comes in with this password, whatever was done to it since. `url` is that of the database's owner. */
export async function ensureConsoleUser(url: string, password: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const { rows } = await client.query<{ id: string; hash: string | null }>(
      `insert into users (tenant_id, email, role, created_by) values ('default', $1, 'admin', 'dev')
         on conflict (email) do update set disabled_at = null, failures = 0, locked_until = null
         returning id, (select hash from user_passwords p where p.user_id = users.id order by p.id desc limit 1)`,
      [CONSOLE_USER],
    );
    const [user] = rows;
    if (user === undefined || (await isPassword(password, user.hash))) return;
    await client.query(`select give_password(u, $2, false, 'dev', now()) from users u where id = $1`, [
      user.id,
      await hashPassword(password),
    ]);
  } finally {
    await client.end();
  }
}
