/** The pages, in the order of the navigation. A new one is a file of its own and a line here. */
import { conversationsPage } from './conversations.ts';
import type { Page } from './page.ts';
import { usersPage } from './users.ts';

export const PAGES: readonly Page[] = [conversationsPage, usersPage];
