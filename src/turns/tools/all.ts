import { handoffToHuman } from './handoff-to-human.ts';
import { optOut } from './opt-out.ts';
import { react } from './react.ts';
import { remember } from './remember.ts';
import { cancelReminders, setReminder } from './reminders.ts';
import type { Tool } from './tool.ts';

/** Every tool that exists; which ones an agent has is a column of `agents`. The order is part of the cached prompt. */
export const TOOLS: readonly Tool[] = [handoffToHuman, optOut, remember, react, setReminder, cancelReminders];
