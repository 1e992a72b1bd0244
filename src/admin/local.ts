/** The commands of the machine they run on; the api, which has no use for them, does not load them. */
import type { LocalCommand } from './command.ts';
import { doctorCommands } from './doctor.ts';
import { tokenCommands } from './token.ts';

export const LOCAL_COMMANDS: readonly LocalCommand[] = [...doctorCommands, ...tokenCommands];
