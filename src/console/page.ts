/** What a page of the console is, and what it is given. */
import type { Config } from '../config.ts';
import type { TokenRole } from '../people/token-calls.ts';
import type { Process } from '../routes/ops.ts';
import type { Visitor } from '../routes/session.ts';
import type { Routes } from '../routes/table.ts';
import type { Markup } from './answer.ts';

/** `here`: path of the page in the navigation. */
export type Frame = { title: string; here: string; visitor: Visitor };

export type Site = {
  process: Process;
  config: Config;
  /** The whole document around a page. */
  page: (frame: Frame, main: Markup) => Markup;
};

export type Page = {
  path: string;
  /** In the navigation, Portuguese. */
  name: string;
  access: TokenRole;
  mount(routes: Routes, site: Site): void;
};
