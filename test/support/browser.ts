/** A real browser at the console. */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { ensureChromium } from '../../scripts/lib/chromium.ts';
import { addUser, PASSWORD } from './console.ts';
import type { System } from './system.ts';

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-sync',
];
export const DESKTOP = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 844 };

export async function startBrowser(t: { after(hook: () => Promise<void>): void }): Promise<Browser> {
  const browser = await chromium.launch({ executablePath: await ensureChromium(), args: ARGUMENTS });
  t.after(() => browser.close());
  return browser;
}

/** Somebody who has come in with e-mail and password, in a browser of their own. Errors of the page end up in `errors`. */
export async function atConsole(
  system: System,
  browser: Browser,
  { email, role = 'operator', viewport = DESKTOP }: { email: string; role?: string; viewport?: typeof DESKTOP },
): Promise<{ page: Page; errors: string[] }> {
  await addUser(system, { email, role });
  const context = await browser.newContext({ viewport, locale: 'pt-BR' });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  page.on('console', (line) => line.type() === 'error' && errors.push(line.text()));
  await page.goto(`${system.url}/console`);
  await page.getByLabel('E-mail').fill(email);
  await page.getByLabel('Senha').fill(PASSWORD);
  await page.keyboard.press('Enter');
  await page.locator('body.app').waitFor();
  return { page, errors };
}

const require = createRequire(import.meta.url);
const axe = readFile(require.resolve('axe-core/axe.min.js'), 'utf8');

/** No violation of what axe knows of WCAG, and no sideways scrolling. */
export async function isAccessible(page: Page, what: string): Promise<void> {
  await page.evaluate(await axe);
  const found = await page.evaluate<{ violations: { id: string; nodes: { html: string; failureSummary: string }[] }[] }>('axe.run()');
  assert.deepEqual(
    found.violations.map(({ id, nodes }) => [id, nodes.map((node) => `${node.html} ${node.failureSummary}`)]),
    [],
    what,
  );
  assert.equal(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth'), true, `${what}: sideways scrolling`);
}
