import type { Page } from '@playwright/test';
import { expect, expectAccessible, password, person, register, screen, test } from './fixtures';

/** A picture of one red point, as small as they come. */
const picture = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==', 'base64');
const newPassword = 'another horse of the same stable';

async function signIn(page: Page, login: string, secret: string) {
  await page.getByLabel('User name or email').fill(login);
  await page.getByLabel('Password', { exact: true }).fill(secret);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
}

async function open(page: Page, username: string, where: 'Profile' | 'Security') {
  await page.getByRole('button', { name: `Account of ${username}` }).click();
  await page.getByRole('dialog').getByRole('link', { name: where }).click();
  await expect(page.getByRole('heading', { name: where, level: 1 })).toBeVisible();
  await expect(page.getByRole('dialog')).toHaveCount(0);
}

const containers = (page: Page) => expect(page.getByRole('heading', { name: 'Containers', level: 1 })).toBeVisible();

test('the whole life of an account', async ({ page, browser, baseURL, guard }) => {
  const username = person();
  await register(page, username);

  // Who one is. Only what was changed is sent.
  await page.getByRole('button', { name: `Account of ${username}` }).click();
  await expect(page.getByRole('dialog').getByRole('button', { name: 'Ask for more' })).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await open(page, username, 'Profile');
  await page.getByLabel('Nickname').fill('Ann 安');
  const asked = page.waitForRequest((request) => request.postData()?.includes('UpdateProfile') ?? false);
  await page.getByRole('button', { name: 'Save' }).click();
  const sent = (await asked).postDataJSON() as { variables: { input: object } };
  expect(sent.variables.input, 'only what was changed').toEqual({ nickname: 'Ann 安' });
  await expect(page.getByRole('button', { name: 'Account of Ann 安' })).toBeVisible();

  // A picture: what is none is refused by the server, what is one is looked at before it is sent.
  const choose = page.locator('input[type=file]');
  await choose.setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>') });
  await page.getByRole('button', { name: 'Use this picture' }).click();
  await expect(page.getByRole('region', { name: 'Picture' }).getByRole('alert')).toBeVisible();
  await screen(page, '61-picture-refused');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await choose.setInputFiles({ name: 'me.png', mimeType: 'image/png', buffer: picture });
  await expect(page.getByAltText('The picture that you chose')).toBeVisible();
  await screen(page, '62-picture-preview');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Use this picture' }).click();
  await expect(page.getByRole('button', { name: 'Remove the picture' })).toBeVisible();
  await expect(page.locator('main .ant-avatar img')).toBeVisible();
  await screen(page, '63-profile');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Remove the picture' }).click();
  await expect(page.getByRole('button', { name: 'Remove the picture' })).toHaveCount(0);

  // A second device, which ends when the password changes.
  const other = await browser.newContext({ ...(baseURL && { baseURL }) });
  const second = await other.newPage();
  await second.goto('/');
  await signIn(second, username, password);
  await containers(second);
  await open(page, 'Ann 安', 'Security');
  await expect(page.getByText('this one', { exact: true })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Sign out everywhere else' })).toBeVisible();
  await screen(page, '64-security');
  await expectAccessible(page);
  await page.getByLabel('Current password').fill(password);
  await page.getByLabel('New password').fill('short');
  await page.getByRole('button', { name: 'Change the password' }).click();
  await expect(page.getByText(/A password has at least 8/)).toBeVisible();
  await expect(page.getByLabel('New password')).toHaveAttribute('aria-invalid', 'true');
  await page.getByLabel('New password').fill(newPassword);
  await page.getByRole('button', { name: 'Change the password' }).click();
  await expect(page.getByText('Your password is changed. Everywhere else you are signed out.')).toBeVisible();
  await expect(second.getByRole('dialog', { name: 'Sign in again' })).toBeVisible();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await other.close();
  await expect(page.getByRole('button', { name: 'Sign out everywhere else' })).toHaveCount(0);

  // A token, whose secret is seen once.
  await page.getByRole('button', { name: 'New access token' }).click();
  const making = page.getByRole('dialog', { name: 'New access token' });
  await making.getByLabel('Name').fill('script');
  await making.getByRole('checkbox', { name: 'Read only' }).check();
  await making.getByRole('button', { name: 'Create' }).click();
  const shown = page.getByRole('dialog', { name: 'Access token script' });
  await expect(shown.getByText(/^mlr_/)).toBeVisible();
  await screen(page, '65-token');
  await expectAccessible(page);
  const secret = await shown.getByText(/^mlr_/).innerText();
  await shown.getByRole('button', { name: 'Done' }).click();
  await expect(shown).toBeHidden();
  await expect(page.getByText(secret)).toHaveCount(0);
  await expect(page.getByRole('row', { name: /^script/ })).toContainText('Read only');
  await page.getByRole('button', { name: 'Revoke: script' }).click();
  await page.getByRole('dialog', { name: 'Revoke script?' }).getByRole('button', { name: 'Revoke' }).click();
  await expect(page.getByText('You have no access tokens.')).toBeVisible();

  // What one did is there, for oneself.
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByText(/What you did/)).toBeVisible();
  await expect(page.getByText('account.register').first()).toBeVisible();
  await screen(page, '66-audit-own');
  await expectAccessible(page);

  // The end: only with the password and the name; and back.
  await open(page, 'Ann 安', 'Security');
  await page.getByRole('button', { name: 'Delete my account' }).click();
  const deleting = page.getByRole('dialog', { name: 'Delete your account?' });
  await deleting.getByLabel('Password').fill(newPassword);
  await deleting.getByLabel(`Type ${username} to confirm`).fill('somebody');
  await deleting.getByRole('button', { name: 'Delete my account' }).click();
  await expect(deleting.getByText('This is not your user name.')).toBeVisible();
  await screen(page, '67-delete');
  await expectAccessible(page);
  await deleting.getByLabel(`Type ${username} to confirm`).fill(username);
  await deleting.getByRole('button', { name: 'Delete my account' }).click();
  await expect(page.getByText(/Your account is deleted/)).toBeVisible();
  await expectAccessible(page);
  await signIn(page, username, newPassword);
  await expect(page.getByRole('alert')).toContainText('This account is deleted');
  await screen(page, '68-deleted');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Restore my account' }).click();
  await containers(page);
  await expect(page.getByRole('button', { name: 'Account of Ann 安' })).toBeVisible();
  guard.splice(0, guard.length, ...guard.filter((fault) => !/WebSocket connection/.test(fault)));
});

test('the sign-in page says what to do about a forgotten password, and takes an invitation', async ({ page }) => {
  await page.goto('/');
  await page.getByText('Forgot password?').click();
  await expect(page.getByText(/for a one-time password/)).toBeVisible();
  await screen(page, '69-forgot');
  await expectAccessible(page);
  await page.goto('/register?code=abc-def');
  await expect(page.getByLabel('Invitation code')).toHaveValue('abc-def');
  await expect(page).toHaveURL(/\/register$/);
  await screen(page, '70-invited');
  await expectAccessible(page);
});
