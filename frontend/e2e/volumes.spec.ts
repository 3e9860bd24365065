import { expect, expectAccessible, person, register, screen, test } from './fixtures';

test('what is kept outlives its container, and is deleted only on purpose', async ({ page }) => {
  await register(page, person());

  // A container has a workspace unless one does not want it.
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const create = page.getByRole('dialog', { name: 'New container' });
  await expect(create.getByRole('checkbox', { name: 'Workspace' })).toBeChecked();
  await expect(create.getByLabel('Volume', { exact: true })).toHaveValue('workspace');
  await expect(create.getByText('It is made for you.')).toBeVisible();
  const box = await create.getByLabel('Name').inputValue();
  await create.getByText('More', { exact: true }).click();
  await expect(create.getByText(/You have none yet/)).toBeVisible();
  await screen(page, '50-create-workspace');
  await expectAccessible(page);
  await create.getByRole('button', { name: 'Create' }).click();
  await expect(create).toBeHidden();
  await expect(page.getByRole('row', { name: new RegExp(box) })).toContainText('Running');

  // The page of volumes shows it, and where it is.
  await page.getByRole('link', { name: 'Volumes', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Volumes', level: 1 })).toBeVisible();
  const row = page.getByRole('row', { name: /^workspace/ });
  await expect(row.getByRole('link', { name: box })).toBeVisible();
  await screen(page, '51-volumes');
  await expectAccessible(page);

  // It cannot go while something has it, and what that is leads there.
  await row.getByRole('button', { name: 'Delete: workspace' }).click();
  const removal = page.getByRole('dialog', { name: 'Delete workspace?' });
  await removal.getByRole('button', { name: 'Delete' }).click();
  await expect(removal.getByRole('alert').getByRole('link', { name: box })).toBeVisible();
  await screen(page, '52-volume-in-use');
  await expectAccessible(page);
  await removal.getByRole('alert').getByRole('link', { name: box }).click();
  await expect(page.getByRole('heading', { name: box, level: 1 })).toBeVisible();
  await expect(page.getByText('/workspace', { exact: true })).toBeVisible();

  // Removing the container says what stays.
  await page.getByRole('button', { name: `Remove: ${box}` }).click();
  const confirm = page.getByRole('dialog', { name: `Remove ${box}?` });
  await expect(confirm.getByText(/outside of its volumes is lost/)).toBeVisible();
  await expect(confirm.getByText(/These volumes stay.*workspace/)).toBeVisible();
  await screen(page, '53-what-stays');
  await expectAccessible(page);
  await confirm.getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();

  // Into the trash, out of it, and into it again.
  await page.getByRole('link', { name: 'Volumes', exact: true }).click();
  await expect(row).toBeVisible();
  await expect(row.getByRole('link', { name: box })).toBeHidden();
  const putIntoTrash = async () => {
    await row.getByRole('button', { name: 'Delete: workspace' }).click();
    await removal.getByRole('button', { name: 'Delete' }).click();
    await expect(removal).toBeHidden();
    await expect(page.getByRole('button', { name: 'Create your first volume' })).toBeVisible();
    await page.getByRole('tab', { name: 'Trash' }).click();
    await expect(row).toContainText(/\d+ (day|hour|minute|second)/);
  };
  await putIntoTrash();
  await screen(page, '54-trash');
  await expectAccessible(page);
  await row.getByRole('button', { name: 'Restore: workspace' }).click();
  await expect(page.getByText('The trash is empty.')).toBeVisible();
  await page.getByRole('tab', { name: 'Volumes' }).click();
  await expect(row).toBeVisible();
  await putIntoTrash();

  // For good only by its name.
  await row.getByRole('button', { name: 'Delete for good: workspace' }).click();
  const forGood = page.getByRole('dialog', { name: 'Delete workspace for good?' });
  await forGood.getByLabel('Type workspace to confirm').fill('work');
  await forGood.getByRole('button', { name: 'Delete for good' }).click();
  await expect(forGood.getByText('This is not what the volume is called.')).toBeVisible();
  await screen(page, '55-wrong-name');
  await expectAccessible(page);
  await forGood.getByLabel('Type workspace to confirm').fill('workspace');
  await forGood.getByRole('button', { name: 'Delete for good' }).click();
  await expect(forGood).toBeHidden();
  await expect(page.getByText('The trash is empty.')).toBeVisible();
  await page.getByRole('tab', { name: 'Volumes' }).click();
  await expect(page.getByRole('button', { name: 'Create your first volume' })).toBeVisible();
});

test('volumes are made, renamed and mounted, in the dark and on a telephone', async ({ page }) => {
  await register(page, person());
  await page.getByRole('link', { name: 'Volumes', exact: true }).click();
  await expect(page.getByText('You have no volumes yet.')).toBeVisible();
  await page.getByRole('button', { name: 'Light or dark' }).click();
  await screen(page, '56-no-volumes-dark');
  await expectAccessible(page);

  // What is wrong with a name stands at the name.
  await page.getByRole('button', { name: 'Create your first volume' }).click();
  const making = page.getByRole('dialog', { name: 'New volume' });
  await making.getByLabel('Name').fill('Not A Label');
  await making.getByRole('button', { name: 'Create' }).click();
  await expect(making.locator('.ant-form-item-has-error', { has: page.getByLabel('Name') })).toBeVisible();
  await making.getByLabel('Name').fill('data');
  await making.getByRole('button', { name: 'Create' }).click();
  await expect(making).toBeHidden();
  const row = page.getByRole('row', { name: /^models/ });
  await page.getByRole('button', { name: 'Rename: data' }).click();
  const renaming = page.getByRole('dialog', { name: 'Rename data' });
  await renaming.getByLabel('Name').fill('models');
  await renaming.getByRole('button', { name: 'Save' }).click();
  await expect(renaming).toBeHidden();
  await expect(row).toBeVisible();
  await screen(page, '57-volumes-dark');
  await expectAccessible(page);

  // A container with this one only to read, and no workspace.
  await page.getByRole('link', { name: 'Containers', exact: true }).click();
  await page.getByRole('button', { name: 'Create your first container' }).click();
  const create = page.getByRole('dialog', { name: 'New container' });
  const box = await create.getByLabel('Name').inputValue();
  await create.getByRole('checkbox', { name: 'Workspace' }).uncheck();
  await expect(create.getByText(/everything in it is lost when it is removed/)).toBeVisible();
  await create.getByText('More', { exact: true }).click();
  await create.getByRole('button', { name: 'Add one' }).click();
  await create.getByRole('combobox', { name: 'Further volume 1' }).click();
  await page.getByTitle('models').click();
  await expect(create.getByLabel('Path 1')).toHaveValue('/data/models');
  await create.getByRole('checkbox', { name: 'Read only' }).check();
  await screen(page, '58-further-volume');
  await expectAccessible(page);
  await create.getByRole('button', { name: 'Create' }).click();
  await expect(create).toBeHidden();
  await page.getByRole('link', { name: box }).click();
  await expect(page.getByText('/data/models', { exact: true })).toBeVisible();
  await expect(page.getByText('(read only)')).toBeVisible();
  await screen(page, '59-mounted-dark');
  await expectAccessible(page);

  await page.setViewportSize({ width: 390, height: 844 });
  await page.getByRole('link', { name: 'models', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Volumes', level: 1 })).toBeVisible();
  await expect(page.getByRole('link', { name: box })).toBeVisible();
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow, 'nothing is wider than the screen').toBe(0);
  await screen(page, '60-volumes-narrow');
  await expectAccessible(page);
  await page.getByRole('link', { name: box }).click();
  await page.getByRole('button', { name: `Remove: ${box}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('button', { name: 'Create your first container' })).toBeVisible();
});
