import { expect, expectAccessible, password, person, register, screen, test } from './fixtures';

test('a session that was ended elsewhere is taken up again in place', async ({ page }) => {
  const username = person();
  await register(page, username);
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const form = page.getByRole('dialog', { name: 'New container' });
  await form.getByLabel('Name').fill('half-typed');

  const ask = async (query: string, variables = {}) => {
    const response = await page.request.post('/graphql', { data: { query, variables } });
    return (await response.json()) as { data: { viewer: { sessions: { id: string; current: boolean }[] } } };
  };
  const { data } = await ask('{ viewer { sessions { id current } } }');
  await ask('mutation($id: ID!) { revokeSession(id: $id) }', { id: data.viewer.sessions.find((s) => s.current)?.id });

  const again = page.getByRole('dialog', { name: 'Sign in again' });
  await expect(again).toBeVisible();
  await screen(page, '30-sign-in-again');
  await expectAccessible(page);
  await again.getByLabel('User name or email').fill(username);
  await again.getByLabel('Password').fill(password);
  await again.getByRole('button', { name: 'Sign in' }).click();
  await expect(again).toBeHidden();

  // What was typed is still there, and changes arrive again.
  await expect(form.getByLabel('Name')).toHaveValue('half-typed');
  await form.getByRole('button', { name: 'Create' }).click();
  const row = page.getByRole('row', { name: /half-typed/ });
  await expect(row).toContainText('Running');
  await expect(row.getByTestId('cpu')).toContainText('%');
  await row.getByRole('button', { name: 'Remove: half-typed' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
});

test('signing out ends in the sign-in page, and asks nothing', async ({ page }) => {
  const username = person();
  await register(page, username);
  await page.getByRole('button', { name: `Account of ${username}` }).click();
  await expect(page.getByRole('dialog')).toContainText('Your quota');
  await screen(page, '31-account');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Sign out' }).click();
  await expect(page.getByRole('button', { name: 'Sign in', exact: true })).toBeVisible();
  await expect(page.getByRole('dialog')).toHaveCount(0);
  await page.goto('/containers');
  await expect(page.getByLabel('User name or email')).toBeVisible();
});
