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

test('H9 Custos draws what its table says, by day, on a desktop and on a phone; nothing is drawn of one day alone', async (t) => {
  const system = await startSystem(t, { workers: 0 });
  const browser = await startBrowser(t);
  const { page, errors } = await atConsole(system, browser, { email: 'chefe@example.com', role: 'admin', viewport: DESKTOP });
  await page.goto(`${system.url}/console/costs`);
  assert.equal(await page.locator('[data-plot]').count(), 0);
  await system.query(
    `insert into daily_counts (tenant_id, day, counts) select 'default', (now() at time zone 'America/Sao_Paulo')::date - n, jsonb_build_object('received', 40 + n, 'answered', 30 + n % 7 * 3,
       'handed_over', n % 4, 'reply_seconds_median', case when n <> 5 then 4 + n % 6 end, 'cost_usd', 0.02 + n % 5 * 0.013, 'tokens', 1000) from generate_series(1, 29) n`,
  );
  for (const viewport of [DESKTOP, PHONE]) {
    await page.setViewportSize(viewport);
    await page.goto(`${system.url}/console/costs`);
    await page.locator('.u-over').nth(2).waitFor();
    assert.equal(await page.locator('[data-plot] canvas').count(), 3);
    const painted = await page.locator('[data-plot] canvas').evaluateAll((all) =>
      all.map((each) => {
        const canvas = each as unknown as {
          width: number;
          height: number;
          getContext(kind: '2d'): { getImageData(...of: number[]): { data: Uint8Array } };
        };
        return canvas
          .getContext('2d')
          .getImageData(0, 0, canvas.width, canvas.height)
          .data.some((byte) => byte > 0);
      }),
    );
    assert.deepEqual(painted, [true, true, true], 'something is drawn');
    const [left, page_] = await page.evaluate('[document.documentElement.scrollWidth, innerWidth]').then((pair) => pair as number[]);
    assert.ok((left ?? 0) <= (page_ ?? 0), `no wider than the screen: ${left} of ${page_}`);
    await isAccessible(page, `costs, ${viewport.width}`);
    if (process.env['PICTURES'] !== undefined) await page.screenshot({ path: `${process.env['PICTURES']}/costs-${viewport.width}.png` });
  }
  assert.deepEqual(errors, []);
});
