import { expect, expectAccessible, person, register, screen, test } from './fixtures';

// The first file by name: whoever registers first on a fresh server administers it.
test('an administrator sets a quota and sees the machine', async ({ page }) => {
  const username = person();
  await register(page, username);
  await page.getByRole('link', { name: 'Users' }).click();
  await expect(page.getByRole('heading', { name: 'Users', level: 1 })).toBeVisible();
  const row = page.getByRole('row', { name: new RegExp(username) });
  await screen(page, '40-users');
  await expectAccessible(page);

  await row.getByRole('button', { name: `Quota of ${username}` }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Memory (GiB)').fill('3');
  await screen(page, '41-quota');
  await expectAccessible(page);
  const asked = page.waitForRequest((request) => request.postData()?.includes('SetQuota') ?? false);
  await dialog.getByRole('button', { name: 'Save' }).click();
  const sent = (await asked).postDataJSON() as { variables: { input: object } };
  expect(sent.variables.input, 'only what was changed').toEqual({ maxMemory: 3 * 1024 ** 3 });
  await expect(dialog).toBeHidden();
  await expect(row).toContainText('/ 3 GiB');

  await page.getByRole('link', { name: 'System' }).click();
  await expect(page.getByRole('heading', { name: 'System', level: 1 })).toBeVisible();
  await expect(page.getByText('connected', { exact: true })).toBeVisible();
  await expect(page.getByText('Waiting for room', { exact: true })).toBeVisible();
  await expect(page.getByText('Disk of the engine')).toBeVisible();
  // Whether it is depends on the machine; what to run is there when it is not.
  await expect(page.getByText('Services of this machine', { exact: true })).toBeVisible();
  await expect(page.getByText('protected', { exact: true }).or(page.getByText('not protected', { exact: true }))).toBeVisible();
  await screen(page, '42-system');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Light or dark' }).click();
  await expectAccessible(page);
  await page.getByRole('link', { name: 'Users' }).click();
  await expect(row).toBeVisible();
  await screen(page, '43-users-dark');
  await expectAccessible(page);
});
