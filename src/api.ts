/**
 * RUN_MODE=api: the routes of the API. Wiring only.
 *
 * A route is one entry of the table (routes/table.ts): path, who may, what it answers, handler. That entry is its guard and its place in
 * /openapi.json and /docs; a test walks the app and fails on a route that came another way. An admin command needs no route: src/admin/all.ts.
 */
import type { Process } from './routes/ops.ts';
import { consoleRoutes } from './console/console.ts';
import { adminRoutes } from './routes/admin.ts';
import { campaignRoutes } from './routes/campaigns.ts';
import { conversationRoutes } from './routes/conversations.ts';
import { docsRoutes } from './routes/docs.ts';
import { eventRoutes } from './routes/events.ts';
import { evolutionRoutes } from './routes/evolution.ts';
import { healthRoutes } from './routes/health.ts';
import { messageRoutes } from './routes/messages.ts';
import { orderNoticeRoutes } from './routes/order-notices.ts';
import { slackRoutes } from './routes/slack.ts';
import type { Routes } from './routes/table.ts';

export function apiRoutes(routes: Routes, process: Process): void {
  healthRoutes(routes, process);
  evolutionRoutes(routes, process);
  slackRoutes(routes, process);
  messageRoutes(routes, process);
  orderNoticeRoutes(routes, process);
  campaignRoutes(routes, process);
  conversationRoutes(routes, process);
  eventRoutes(routes, process);
  adminRoutes(routes, process);
  consoleRoutes(routes, process);
  docsRoutes(routes, process);
}
