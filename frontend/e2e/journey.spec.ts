import { expect, expectAccessible, person, register, screen, test } from './fixtures';

test('from nothing to a running container, and back', async ({ page }) => {
  await page.goto('/');
  await expect(page.getByRole('heading', { name: 'MLRide' })).toBeVisible();
  await screen(page, '01-sign-in');
  await expectAccessible(page);

  // One thing wrong on purpose: it is said at its field, and nothing is lost.
  await page.getByRole('button', { name: 'No account yet? Register' }).click();
  await page.getByLabel('User name').fill('a');
  await page.getByLabel('Password').fill('short');
  await page.getByRole('button', { name: 'Register', exact: true }).click();
  await expect(page.getByText(/A user name is 3 to 32/)).toBeVisible();
  await expect(page.getByText(/A password has at least 8/)).toBeVisible();
  await screen(page, '02-register-wrong');
  await register(page, person());
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
  await screen(page, '03-empty');
  await expectAccessible(page);

  // Nothing but the proposed name.
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const dialog = page.getByRole('dialog');
  await expect(dialog.getByLabel('Name')).not.toHaveValue('');
  const name = await dialog.getByLabel('Name').inputValue();
  await screen(page, '04-create');

  // More memory than the quota: told before it is sent, and refused when it is, at the field.
  const memory = dialog.getByLabel('Memory (MiB)');
  await memory.fill('900000');
  const told = dialog.locator('.ant-form-item', { has: page.getByLabel('Memory (MiB)') }).getByText(/Your quota is/);
  await expect(told).toBeVisible();
  await screen(page, '05-foreseen');
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(
    dialog.locator('.ant-form-item-has-error', { has: page.getByLabel('Memory (MiB)') }).getByText(/Your quota is/),
  ).toBeVisible();
  await screen(page, '06-refused');
  await expectAccessible(page);
  await memory.fill('');
  await expect(told).toBeHidden();
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(dialog).toBeHidden();
  const row = page.getByRole('row', { name: new RegExp(name) });
  await expect(row).toContainText('Running');
  await expect(row.getByTestId('cpu')).toContainText('%');
  await expect(row.getByTestId('memory')).toContainText('/ 512 MiB');
  await screen(page, '07-running');
  await expectAccessible(page);

  // A name that is taken is said at the name, and nothing is lost.
  await page.getByRole('button', { name: 'New container' }).click();
  await dialog.getByLabel('Name').fill(name);
  await dialog.getByRole('button', { name: 'Create' }).click();
  await expect(dialog.locator('.ant-form-item-has-error', { has: page.getByLabel('Name') })).toContainText(name);
  await screen(page, '08-name-taken');
  await dialog.getByRole('button', { name: 'Cancel' }).click();

  await row.getByRole('button', { name: `Logs: ${name}` }).click();
  await expect(page.getByRole('log', { name: `Logs of ${name}` })).toBeVisible();
  await screen(page, '09-logs');
  await page.getByRole('link', { name: 'All containers' }).click();

  await page.getByRole('link', { name }).click();
  await expect(page.getByRole('heading', { name, level: 1 })).toBeVisible();
  await expect(page.getByText('The container runs.')).toBeVisible();
  await screen(page, '10-detail');
  await expectAccessible(page);
  await page.getByRole('button', { name: `Stop: ${name}` }).click();
  await expect(page.getByText(/stopped by its owner/)).toBeVisible();
  await page.getByRole('link', { name: 'Containers', exact: true }).click();
  await expect(row).toContainText('Exited');
  await screen(page, '11-exited');

  await row.getByRole('button', { name: `Remove: ${name}` }).click();
  await expect(page.getByText(/outside of its volumes is lost/)).toBeVisible();
  await expect(page.getByText(/These volumes stay.*workspace/)).toBeVisible();
  await screen(page, '12-confirm');
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
});

test('numbers move while a program works', async ({ page }) => {
  await register(page, person());
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const dialog = page.getByRole('dialog');
  const name = await dialog.getByLabel('Name').inputValue();
  await dialog.getByText('More', { exact: true }).click();
  await dialog.getByLabel('Command').fill(`sh -c "while true; do :; done"`);
  await dialog.getByRole('button', { name: 'Create' }).click();
  const row = page.getByRole('row', { name: new RegExp(name) });
  const cpu = row.getByTestId('cpu');
  await expect(cpu).toHaveText(/^(3|4)\d(\.\d)? % /); // the default limit of 0.4 cores, at work
  const before = await cpu.textContent();
  await expect(cpu).not.toHaveText(before ?? '');
  await row.getByRole('button', { name: `Remove: ${name}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
});

test('images, in Chinese and in the dark', async ({ page }) => {
  await register(page, person());
  await page.getByRole('link', { name: 'Images', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Images', level: 1 })).toBeVisible();
  await expect(page.getByText('Ready')).toBeVisible();
  await screen(page, '14-images');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Pull', exact: true }).click();
  await page.getByRole('dialog').getByLabel('Reference').fill('Not A Reference');
  await page.getByRole('dialog').getByRole('button', { name: 'Pull' }).click();
  await expect(page.getByText(/A reference looks like|reference.*such as/i)).toBeVisible();
  await screen(page, '15-pull-wrong');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
  await page.getByRole('combobox', { name: 'Language' }).click();
  await page.getByTitle('简体中文').click();
  await expect(page.getByRole('heading', { name: '镜像', level: 1 })).toBeVisible();
  await page.getByRole('button', { name: '浅色或深色' }).click();
  await page.getByRole('link', { name: '容器', exact: true }).click();
  await expect(page.getByRole('button', { name: '创建第一个容器' })).toBeVisible();
  await screen(page, '16-chinese-dark');
  await expectAccessible(page);
});

test('GraphiQL speaks the same API', async ({ page }) => {
  const username = person();
  await register(page, username);
  await page.goto('/graphiql');
  await expect(page.getByRole('button', { name: /Execute/ })).toBeVisible();
  await page.locator('.graphiql-query-editor .view-lines').click();
  await page.keyboard.press('Control+a');
  await page.keyboard.press('Delete');
  await page.keyboard.insertText('query { viewer { username } }');
  await page.getByRole('button', { name: /Execute/ }).click();
  await expect(page.locator('.graphiql-response')).toContainText(username);
  await screen(page, '20-graphiql');
});

test('on a telephone', async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await register(page, person());
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const name = await page.getByRole('dialog').getByLabel('Name').inputValue();
  await page.getByRole('dialog').getByRole('button', { name: 'Create' }).click();
  await expect(page.getByRole('dialog')).toBeHidden();
  await expect(page.getByTestId('cpu')).toContainText('%');
  await screen(page, '17-narrow');
  await expectAccessible(page);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow, 'nothing is wider than the screen').toBe(0);
  await page.getByRole('button', { name: 'Main' }).click();
  await screen(page, '18-narrow-navigation');
  await page.getByRole('dialog').getByRole('link', { name: 'Images' }).click();
  await expect(page.getByRole('heading', { name: 'Images', level: 1 })).toBeVisible();
  await page.goBack();
  await page.getByRole('button', { name: `Remove: ${name}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
});
