import type { Page } from '@playwright/test';
import { administrator, expect, expectAccessible, password, person, screen, signIn, test } from './fixtures';

test('an administrator sets a quota and sees the machine', async ({ page }) => {
  const username = administrator;
  await signIn(page, username);
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

async function chooseDate(page: Page, name: string) {
  await page.getByLabel(name).fill('2099-12-31');
}

test('an administrator makes an account, which begins with a password of its own', async ({ page, browser, baseURL, guard }) => {
  await signIn(page, administrator);
  await page.getByRole('link', { name: 'Users' }).click();

  const username = person();
  await page.getByRole('button', { name: 'New user' }).click();
  const making = page.getByRole('dialog', { name: 'New user' });
  await making.getByLabel('User name').fill(username);
  await making.getByLabel('Email').fill(`${username}@example.org`);
  await chooseDate(page, 'Last day of the account');
  await screen(page, '71-new-user');
  await expectAccessible(page);
  await making.getByRole('button', { name: 'Create' }).click();
  const shown = page.getByRole('dialog', { name: `One-time password of ${username}` });
  const oneTime = await shown.getByRole('group', { name: 'One-time password' }).innerText();
  await screen(page, '72-one-time-password');
  await expectAccessible(page);
  await shown.getByRole('button', { name: 'Done' }).click();
  await expect(shown).toBeHidden();

  // The first sign-in wants a password before anything else, and reloading is no way around.
  const other = await browser.newContext({ ...(baseURL && { baseURL }) });
  const theirs = await other.newPage();
  await theirs.goto('/');
  await theirs.getByLabel('User name or email').fill(username);
  await theirs.getByLabel('Password', { exact: true }).fill(oneTime);
  await theirs.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(theirs.getByRole('heading', { name: 'Choose a password' })).toBeVisible();
  await theirs.goto('/containers');
  await expect(theirs.getByRole('heading', { name: 'Choose a password' })).toBeVisible();
  await theirs.getByLabel('One-time password').fill(oneTime);
  await theirs.getByLabel('New password').fill('short');
  await theirs.getByRole('button', { name: 'Change the password' }).click();
  await expect(theirs.getByText(/A password has at least 8/)).toBeVisible();
  await screen(theirs, '73-choose-a-password');
  await expectAccessible(theirs);
  await theirs.getByLabel('One-time password').fill(oneTime);
  await theirs.getByLabel('New password').fill(password);
  await theirs.getByRole('button', { name: 'Change the password' }).click();
  await expect(theirs.getByRole('heading', { name: 'Containers', level: 1 })).toBeVisible();

  // They ask for more, and get it with one click.
  await theirs.getByRole('button', { name: `Account of ${username}` }).click();
  await theirs.getByRole('button', { name: 'Ask for more' }).click();
  const asking = theirs.getByRole('dialog', { name: 'Ask for more quota' });
  await asking.getByLabel('Memory (GiB)').fill('7');
  await asking.getByLabel('Why').fill('A larger model.');
  await screen(theirs, '74-ask-for-more');
  await expectAccessible(theirs);
  await asking.getByRole('button', { name: 'Ask', exact: true }).click();
  await expect(asking).toBeHidden();
  await page.getByRole('tab', { name: 'Quota requests' }).click();
  const request = page.getByRole('row', { name: new RegExp(username) });
  await expect(request).toContainText('7 GiB');
  await screen(page, '75-requests');
  await expectAccessible(page);
  await request.getByRole('button', { name: `Grant: ${username}`, exact: true }).click();
  await expect(request).toHaveCount(0);

  // Suspended: out at once.
  await page.getByRole('tab', { name: 'Accounts' }).click();
  await page.getByLabel('Find by name or email').fill(username);
  const row = page.getByRole('row', { name: new RegExp(username) });
  await expect(row).toContainText('/ 7 GiB');
  await row.getByRole('checkbox', { name: `Select ${username}` }).check();
  const several = page.getByRole('group', { name: '1 selected' });
  await expect(several).toBeVisible();
  await screen(page, '76-selected');
  await expectAccessible(page);
  await several.getByRole('button', { name: 'Suspend', exact: true }).click();
  await expect(row).toContainText('suspended');
  await expect(theirs.getByRole('dialog', { name: 'Sign in again' })).toBeVisible();
  await other.close();
  await row.getByRole('button', { name: username, exact: true }).click();
  const drawer = page.getByRole('dialog', { name: username });
  await expect(drawer.getByRole('button', { name: 'End the suspension' })).toBeVisible();
  await screen(page, '77-person');
  await expectAccessible(page);
  await drawer.getByRole('button', { name: 'End the suspension' }).click();
  await expect(drawer.getByRole('button', { name: 'Suspend', exact: true })).toBeVisible();
  await drawer.getByRole('button', { name: 'Close' }).click();
  await expect(drawer).toBeHidden();

  // End of term: what they hold comes first.
  await row.getByRole('checkbox', { name: `Select ${username}` }).check();
  await several.getByRole('button', { name: 'End of term' }).click();
  const term = page.getByRole('dialog', { name: 'End of term for 1 person' });
  await expect(term.getByRole('row', { name: new RegExp(username) })).toBeVisible();
  await expect(term.getByRole('button', { name: 'Delete 1 account' })).toBeDisabled();
  await screen(page, '78-end-of-term');
  await expectAccessible(page);
  await term.getByRole('checkbox', { name: /want these accounts deleted/ }).check();
  await term.getByRole('button', { name: 'Delete 1 account' }).click();
  await expect(term).toBeHidden();
  await expect(row).toContainText('deleted');
  guard.splice(0, guard.length, ...guard.filter((fault) => !/WebSocket connection/.test(fault)));
});

test('a class is imported, somebody is invited, and all of it is in the audit log', async ({ page, request }) => {
  await signIn(page, administrator);
  await page.getByRole('link', { name: 'Users' }).click();

  const [one, two] = [person(), person()];
  await page.getByRole('button', { name: 'Import a class' }).click();
  const importing = page.getByRole('dialog', { name: 'Import a class' });
  const choose = importing.locator('input[type=file]');
  const file = (text: string) => ({ name: 'class.csv', mimeType: 'text/csv', buffer: Buffer.from(text) });
  await choose.setInputFiles(file(`username,email\n${one},${one}@example.org\nx,${two}@example.org\n`));
  await expect(importing.getByText(/1 thing is wrong/)).toBeVisible();
  await expect(importing.getByRole('row', { name: /^3 username/ })).toBeVisible();
  await expect(importing.getByRole('button', { name: 'Import', exact: true })).toBeDisabled();
  await screen(page, '79-import-wrong');
  await expectAccessible(page);
  await choose.setInputFiles(file(`username,email\n${one},${one}@example.org\n${two},${two}@example.org\n`));
  await expect(importing.getByText('All is right: 2 accounts can be made.')).toBeVisible();
  await importing.getByRole('button', { name: 'Make 2 accounts' }).click();
  await expect(importing.getByText('2 accounts are made.')).toBeVisible();
  await screen(page, '80-imported');
  await expectAccessible(page);
  const download = page.waitForEvent('download');
  await importing.getByRole('button', { name: 'Download the passwords' }).click();
  expect((await download).suggestedFilename()).toBe('passwords.csv');
  await importing.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('row', { name: new RegExp(two) })).toContainText('One-time password');

  await page.getByRole('tab', { name: 'Invitations' }).click();
  await page.getByRole('button', { name: 'New invitation' }).click();
  const inviting = page.getByRole('dialog', { name: 'New invitation' });
  await inviting.getByLabel('For whom').fill('Spring course');
  await inviting.getByLabel('How many accounts').fill('30');
  await screen(page, '81-new-invitation');
  await expectAccessible(page);
  await inviting.getByRole('button', { name: 'Create' }).click();
  const ready = page.getByRole('dialog', { name: 'The invitation is ready' });
  await expect(ready.getByText(/\/register#code=/)).toBeVisible();
  await screen(page, '82-invitation');
  await expectAccessible(page);
  await ready.getByRole('button', { name: 'Done' }).click();
  await expect(page.getByRole('row', { name: /Spring course/ })).toContainText('0 / 30');
  await page.getByRole('button', { name: 'Revoke: Spring course' }).click();
  await page.getByRole('dialog', { name: 'Revoke Spring course?' }).getByRole('button', { name: 'Revoke' }).click();
  await expect(page.getByRole('row', { name: /Spring course/ })).toHaveCount(0);

  // Live: what happens elsewhere is there without asking, unless it is paused.
  await page.getByRole('link', { name: 'Audit log' }).click();
  await expect(page.getByText('account.register').first()).toBeVisible();
  await expect(page.getByRole('switch', { name: 'Live' })).toBeChecked();
  await screen(page, '83-audit');
  await expectAccessible(page);
  await page.getByRole('combobox', { name: 'What', exact: true }).fill('account.login');
  await page.keyboard.press('Enter');
  await expect(page.getByText('account.register')).toHaveCount(0);
  await expect(page).toHaveURL(/action=account.login/);
  // Somebody who mistypes a password shows at once; asked again until the page listens.
  const stranger = person();
  const api = (query: string, input: object) => request.post('/graphql', { data: { query, variables: { input } } });
  await api('mutation($input: RegisterInput!) { register(input: $input) { user { id } } }', {
    username: stranger,
    email: `${stranger}@example.org`,
    password,
  });
  await expect(async () => {
    await api('mutation($input: LoginInput!) { login(input: $input) { user { id } } }', { login: stranger, password: 'mistyped' });
    await expect(page.getByText(stranger).first()).toBeVisible({ timeout: 1000 });
  }).toPass();
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await expect(page.getByText('account.register').first()).toBeVisible();
  await page.getByRole('button', { name: 'Light or dark' }).click();
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.getByText('account.login').first()).toBeVisible();
  const overflow = () => page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(await overflow(), 'nothing is wider than the screen').toBe(0);
  await screen(page, '84-audit-narrow');
  await expectAccessible(page);
  for (const [address, heading] of [
    ['/users', 'Users'],
    ['/users?tab=invitations', 'Users'],
    ['/users?tab=requests', 'Users'],
    ['/profile', 'Profile'],
    ['/security', 'Security'],
  ] as const) {
    await page.goto(address);
    await expect(page.getByRole('heading', { name: heading, level: 1 })).toBeVisible();
    await expect(page.locator('.ant-skeleton')).toHaveCount(0);
    expect(await overflow(), `nothing at ${address} is wider than the screen`).toBe(0);
    await screen(page, `85-narrow${address.replace(/\W/g, '-')}`);
    await expectAccessible(page);
  }
  await page.evaluate(() => {
    localStorage.setItem('language', 'zh-CN');
  });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.goto('/users');
  await expect(page.getByRole('heading', { name: '用户', level: 1 })).toBeVisible();
  await expect(page.getByRole('row', { name: new RegExp(two) })).toBeVisible();
  await screen(page, '86-users-chinese');
  await expectAccessible(page);
});
