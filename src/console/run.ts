/** What is pressed at the console is an admin command, run as who pressed it. */
import { HTTPException } from 'hono/http-exception';
import { commandNamed, runCommand } from '../admin/all.ts';
import type { Outcome } from '../admin/command.ts';
import { contextOf } from '../routes/context-of.ts';
import type { Visitor } from '../routes/session.ts';
import { mayCall } from '../routes/auth.ts';
import type { Site } from './page.ts';

/** Who did it, in the audit. */
export function actorOf(visitor: Visitor): string {
  return `console:${visitor.email}`;
}

/** Throws 403 for a command that asks for a higher role than the page did, and what the database throws. */
export async function run({ process }: Pick<Site, 'process'>, visitor: Visitor, name: string, args: object): Promise<Outcome<unknown>> {
  const command = commandNamed(name);
  if (!mayCall(visitor.role, command.role)) throw new HTTPException(403);
  return runCommand(command, contextOf(process), args, { id: actorOf(visitor), tenant: visitor.tenant });
}
