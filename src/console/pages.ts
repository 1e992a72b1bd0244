/** The pages, in the order of the navigation. A new one is a file of its own and a line here. */
import { agentPage } from './agent.ts';
import { approvalsPage } from './approvals.ts';
import { auditPage } from './audit.ts';
import { campaignsPage } from './campaigns.ts';
import { conversationsPage } from './conversations.ts';
import { costsPage } from './costs.ts';
import { healthPage } from './health.ts';
import { numbersPage } from './numbers.ts';
import { noticesPage } from './notices.ts';
import type { Page } from './page.ts';
import { usersPage } from './users.ts';

export const PAGES: readonly Page[] = [
  conversationsPage,
  approvalsPage,
  numbersPage,
  agentPage,
  noticesPage,
  campaignsPage,
  healthPage,
  costsPage,
  auditPage,
  usersPage,
];
