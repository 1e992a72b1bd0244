/** The console in a real browser. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atConsole, DESKTOP, isAccessible, PHONE, startBrowser } from '../support/browser.ts';
import { startSystem } from '../support/system.ts';

test('H9 T7 a person comes in, gives somebody access, and leaves; on a desktop and on a phone, without a violation that axe knows', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  for (const [index, viewport] of [DESKTOP, PHONE].entries()) {
    const empty = await browser.newPage({ viewport });
    await empty.goto(`${system.url}/console/login`);
    await isAccessible(empty, 'the login page');
    const { page, errors } = await atConsole(system, browser, { email: `chefe${index}@example.com`, role: 'admin', viewport });
    await page.goto(`${system.url}/console/users`);
    await page.getByLabel('E-mail').fill(`nova${index}@example.com`);
    await page.keyboard.press('Enter');
    await page.locator('code.secret').waitFor();
    await isAccessible(page, 'users');
    page.once('dialog', (dialog) => void dialog.accept());
    await page
      .getByRole('listitem')
      .filter({ hasText: `nova${index}@example.com` })
      .getByRole('button', { name: 'Desligar' })
      .click();
    await page.getByRole('status').filter({ hasText: 'não entra mais' }).waitFor();
    await page.goto(`${system.url}/console/password`);
    await isAccessible(page, 'password');
    await page.getByText(`chefe${index}@example.com`).first().click();
    await page.getByRole('button', { name: 'Sair' }).click();
    await page.getByRole('heading', { name: 'Entrar' }).waitFor();
    assert.deepEqual(
      errors.filter((text) => !text.includes('401')),
      [],
    );
  }
});
