import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Locator, Page } from '@playwright/test';
import { administrator, expect, expectAccessible, person, register, screen, signIn, test } from './fixtures';

const registry = process.env['E2E_REGISTRY'] ?? '';
const run = promisify(execFile);
/** Puts an image nobody has yet into the tests' registry; what stands under slow/ comes slowly from there. */
const push = async (name: string, bytes = 1000) => {
  if (!registry) throw new Error('E2E_REGISTRY names the registry of the tests: use scripts/e2e.sh');
  const reference = `${registry}/${name}`;
  await run('../scripts/push-image.sh', [reference, String(bytes)]);
  return reference;
};
/** Pulls and builds take as long as the machine is busy. */
const patience = { timeout: 90_000 };
/** A name in the registry that no other test has. */
const fresh = () => Math.random().toString(36).slice(2, 8);

async function openImages(page: Page) {
  await page.getByRole('link', { name: 'Images', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Images', level: 1 })).toBeVisible();
}

/** Asks for a pull, and gives the dialog that shows it. */
async function pull(page: Page, reference: string): Promise<Locator> {
  await page.getByRole('button', { name: 'Pull', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Pull an image' });
  await dialog.getByLabel('Reference').fill(reference);
  await dialog.getByRole('button', { name: 'Pull', exact: true }).click();
  return dialog;
}

async function pullToTheEnd(page: Page, reference: string) {
  const dialog = await pull(page, reference);
  await expect(dialog.getByText(/It is ready/)).toBeVisible(patience);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await expect(dialog).toBeHidden();
}

const rowOf = (page: Page, text: string) => page.getByRole('row').filter({ hasText: text });

async function removeContainer(page: Page, name: string) {
  await page.getByRole('link', { name: 'Containers', exact: true }).click();
  await page.getByRole('button', { name: `Remove: ${name}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.locator('#main').getByRole('link', { name })).toBeHidden(patience);
}

test('D27 a pull tries slim first, shows how far it is, and says which one came', async ({ page }) => {
  test.setTimeout(240_000);
  const name = `slow/${fresh()}`;
  const reference = await push(`${name}:1.0`, 2_000_000);
  await register(page, person());
  await openImages(page);

  // What is wrong with a reference is said while it is typed.
  await page.getByRole('button', { name: 'Pull', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Pull an image' });
  await dialog.getByLabel('Reference').fill('https://hub.example/python');
  await expect(dialog.getByText(/Leave out https/)).toBeVisible();
  await dialog.getByLabel('Reference').fill('Python:3.12');
  await expect(dialog.getByText(/written in small letters/)).toBeVisible();
  await screen(page, '60-pull-hint');
  await expectAccessible(page);

  await dialog.getByLabel('Reference').fill(reference);
  await dialog.getByRole('button', { name: 'Pull', exact: true }).click();
  const progress = dialog.getByTestId('progress');
  await expect(progress).toContainText('MiB', patience);
  await expect(progress).toContainText('/s', patience);
  await expect(dialog.getByRole('list', { name: 'Layers' }).getByRole('listitem')).not.toHaveCount(0);
  await screen(page, '61-pulling');
  await expectAccessible(page);
  await expect(dialog.getByText(/It is ready/)).toBeVisible(patience);
  await expect(dialog.getByText(/The slim variant was not to be had/)).toBeVisible();
  await dialog.getByRole('button', { name: 'Log' }).click();
  await expect(dialog.locator('.numbered').first()).toBeVisible();
  await screen(page, '62-pulled');
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await expect(rowOf(page, name)).toContainText('Ready');
  await expect(rowOf(page, name)).toContainText('regular');

  // One that has a slim variant comes as that.
  const both = `team/${fresh()}`;
  await push(`${both}:2.0`);
  await push(`${both}:2.0-slim`);
  await pullToTheEnd(page, `${registry}/${both}:2.0`);
  await expect(rowOf(page, `${both}:2.0-slim`)).toContainText('Ready');

  // Found, and not found.
  await page.getByLabel('Find by reference').fill(both);
  await expect(rowOf(page, name)).toBeHidden();
  await expect(rowOf(page, both)).toBeVisible();
  await page.getByLabel('Find by reference').fill('nothing is called so');
  await expect(page.getByText('No image matches.')).toBeVisible();
});

test('a pull is given up, and one of what is not there says what to do', async ({ page }) => {
  test.setTimeout(240_000);
  const name = `slow/${fresh()}`;
  const reference = await push(`${name}:1.0-slim`, 12_000_000);
  await register(page, person());
  await openImages(page);
  const dialog = await pull(page, reference);
  await expect(dialog.getByTestId('progress')).toContainText('MiB', patience);
  await dialog.getByRole('button', { name: 'Cancel', exact: true }).click();
  await expect(dialog.getByText('Cancelled', { exact: true })).toBeVisible(patience);
  await dialog.getByRole('button', { name: 'Close' }).last().click();
  await expect(rowOf(page, name)).toContainText('Cancelled');
  await expect(rowOf(page, name).getByRole('button', { name: /^Pull again/ })).toBeVisible();

  const missing = `${registry}/none/${fresh()}:9.9`;
  await pull(page, missing);
  await expect(dialog.getByRole('alert').getByText(/Check the name and the tag/)).toBeVisible(patience);
  await screen(page, '63-pull-failed');
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Change and try again' }).click();
  await expect(dialog.getByLabel('Reference')).toHaveValue(missing);
  await dialog.getByRole('button', { name: 'Cancel', exact: true }).click();
  await expect(rowOf(page, missing)).toContainText('Failed');
});

test('D30 a build shows its log, fails at a step that it names, and is mended', async ({ page }) => {
  test.setTimeout(300_000);
  const base = await push(`team/${fresh()}:1.0-slim`);
  await register(page, person());
  await openImages(page);
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Build an image', level: 1 })).toBeVisible();
  await page.getByLabel('Name of the image').fill('my tools 工具');
  await page.getByText('Own Dockerfile').click();
  await page
    .getByRole('textbox', { name: 'Dockerfile' })
    .fill(`FROM ${base}\nRUN for i in 1 2 3; do echo line $i of it; done\nRUN echo now it ends && exit 3\n`);
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'my tools 工具', level: 1 })).toBeVisible();
  const log = page.getByRole('region', { name: /^Logs of/ });
  await expect(log).toContainText('line 3 of it', patience);
  await expect(page.getByRole('alert').getByText('Failed', { exact: true })).toBeVisible(patience);
  await expect(log).toContainText('now it ends');
  await screen(page, '64-build-failed');
  await expectAccessible(page);

  await page.getByRole('button', { name: 'Edit and try again' }).click();
  await expect(page.getByLabel('Name of the image')).toHaveValue('my tools 工具');
  const editor = page.getByRole('textbox', { name: 'Dockerfile' });
  await expect(editor).toHaveValue(/exit 3/);
  await editor.fill(`FROM ${base}\nRUN echo mended > /etc/mended && cat /etc/mended\n`);
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await expect(page.getByRole('button', { name: 'Create container' })).toBeVisible(patience);
  await expect(log).toContainText('mended');
  await expect(page.getByRole('heading', { name: 'History of its layers' })).toBeVisible();
  await screen(page, '65-built');
  await expectAccessible(page);

  // A copy with a change has a name beside it.
  await page.getByRole('button', { name: 'Build a changed copy' }).click();
  await expect(page.getByLabel('Name of the image')).toHaveValue('my tools 工具 2');
});

test('P12 the form of a build takes packages only, shows its Dockerfile, and lets it be edited', async ({ page }) => {
  await register(page, person());
  await page.goto('/images/build');
  await expect(page.getByRole('group', { name: 'Base' }).getByRole('radio').first()).toBeChecked();
  const packages = page.getByLabel('Python packages', { exact: true }).first();
  await packages.fill('numpy >= 2');
  await packages.press('Enter');
  await expect(page.getByRole('list', { name: 'Python packages' })).toContainText('numpy>=2');
  await packages.fill('--index-url=http://evil.example');
  await packages.press('Enter');
  await expect(page.getByRole('alert').getByText(/options of pip are not taken/)).toBeVisible();
  await packages.fill('');
  await packages.evaluate((input) => {
    const data = new DataTransfer();
    data.setData('text', '# needs\npandas==2.2.3\n-r more.txt\nscipy\n');
    input.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
  });
  const list = page.getByRole('list', { name: 'Python packages' });
  await expect(list).toContainText('pandas==2.2.3');
  await expect(list).toContainText('scipy');
  await expect(page.getByText('1 line was not taken:')).toBeVisible();
  const preview = page.getByRole('textbox', { name: 'What will be built' });
  await expect(preview).toHaveValue(/FROM [\s\S]*pandas==2\.2\.3/);
  await screen(page, '66-build-form');
  await expectAccessible(page);
  await page.getByRole('button', { name: 'Edit as Dockerfile' }).click();
  await expect(page.getByRole('textbox', { name: 'Dockerfile' })).toHaveValue(/pandas==2\.2\.3/);

  // What the server refuses stands where it belongs: there is no name yet.
  await page.getByRole('button', { name: 'Build', exact: true }).click();
  await expect(page.locator('.ant-form-item-has-error', { has: page.getByLabel('Name of the image') })).toBeVisible();
});

test('an image is shared by name, used, kept from deletion while it is, and saved from a container', async ({ page, browser }) => {
  test.setTimeout(300_000);
  const name = `team/${fresh()}`;
  const reference = await push(`${name}:1.0-slim`);
  const second = await browser.newContext({ locale: 'en-GB', viewport: { width: 390, height: 844 } });
  const other = await second.newPage();
  const friend = person();
  await register(other, friend);
  await other.goto('/images');
  await expect(other.getByRole('heading', { name: 'Images', level: 1 })).toBeVisible();

  const owner = person();
  await register(page, owner);
  await openImages(page);
  await pullToTheEnd(page, reference);
  await rowOf(page, name).getByRole('link').click();
  await expect(page.getByRole('heading', { name: new RegExp(name), level: 1 })).toBeVisible();
  await expect(page.getByText(/sha256:/)).toBeVisible();
  await screen(page, '67-image');
  await expectAccessible(page);

  await page.getByRole('button', { name: 'Share' }).click();
  const sharing = page.getByRole('dialog', { name: /^Share/ });
  await sharing.getByLabel('User name').fill(`${friend}, nobody-is-called-so`);
  await sharing.getByRole('button', { name: 'Save' }).click();
  await expect(sharing.getByRole('alert')).toContainText('nobody-is-called-so');
  await screen(page, '68-share-unknown');
  await expectAccessible(page);
  await sharing.getByRole('button', { name: 'Remove nobody-is-called-so' }).click();
  await sharing.getByRole('button', { name: 'Save' }).click();
  await expect(sharing).toBeHidden();
  await expect(page.getByText(friend)).toBeVisible();

  // The other sees it without asking, on a telephone, and cannot delete it.
  const card = other.locator('.ant-card', { has: other.getByRole('link', { name: new RegExp(name) }) });
  await expect(card).toBeVisible(patience);
  await expect(card).toContainText('Ready');
  await expect(card.getByRole('button', { name: /^Delete/ })).toBeHidden();
  await screen(other, '69-shared-narrow');
  await expectAccessible(other);
  const overflow = await other.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  expect(overflow, 'nothing is wider than the screen').toBe(0);
  await second.close();

  // D24 in use, it is not deleted, and what uses it is named.
  await page.getByRole('button', { name: 'Create container' }).click();
  const create = page.getByRole('dialog', { name: 'New container' });
  const box = await create.getByLabel('Name').inputValue();
  await create.getByRole('button', { name: 'Create' }).click();
  await expect(create).toBeHidden();
  await expect(rowOf(page, box)).toContainText('Running', patience);
  await openImages(page);
  await rowOf(page, name)
    .getByRole('button', { name: /^Delete/ })
    .click();
  const deleting = page.getByRole('dialog', { name: /^Delete/ });
  await deleting.getByRole('button', { name: 'Delete' }).click();
  await expect(deleting.getByRole('alert').getByRole('link', { name: box })).toBeVisible();
  await screen(page, '70-delete-refused');
  await expectAccessible(page);
  await deleting.getByRole('alert').getByRole('link', { name: box }).click();

  // What is in the container becomes an image of its own.
  await page.getByRole('button', { name: `Save as image: ${box}` }).click();
  const saving = page.getByRole('dialog', { name: new RegExp(`Save ${box}`) });
  await saving.getByLabel('Name of the image').fill('kept work');
  await saving.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('heading', { name: 'kept work', level: 1 })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Create container' })).toBeVisible(patience);
  await expect(page.getByText('saved from a container')).toBeVisible();
  await screen(page, '71-saved');
  await removeContainer(page, box);
});

test('a well-known image comes with one click, and is then said to be there', async ({ page }) => {
  test.setTimeout(240_000);
  await register(page, person());
  await openImages(page);
  const card = page.locator('.entry', { has: page.getByRole('heading', { name: /^Tools/ }) });
  await expect(card).toContainText('A shell and its tools.');
  await expect(card).toContainText('port 8080');
  await card.getByRole('button', { name: 'Pull: Tools' }).click();
  await expect(card.getByText('there already')).toBeVisible(patience);
  await expect(rowOf(page, 'catalogue/tools:1-slim')).toContainText('Ready');
  await card.getByRole('button', { name: 'Create container: Tools' }).click();
  const create = page.getByRole('dialog', { name: 'New container' });
  await expect(create).toContainText('catalogue/tools:1-slim');
  await create.getByRole('button', { name: 'Cancel' }).click();
});

test('what the registry has anew is told, and taken with one click that names what keeps the old', async ({ page }) => {
  test.setTimeout(480_000);
  const name = `team/${fresh()}`;
  const reference = await push(`${name}:1.0-slim`);
  await register(page, person());
  await openImages(page);
  await pullToTheEnd(page, reference);
  await rowOf(page, name)
    .getByRole('button', { name: /^Create container/ })
    .click();
  const create = page.getByRole('dialog', { name: 'New container' });
  const box = await create.getByLabel('Name').inputValue();
  await create.getByRole('button', { name: 'Create' }).click();
  await expect(create).toBeHidden();
  await expect(rowOf(page, box)).toContainText('Running', patience);
  await push(`${name}:1.0-slim`);
  await openImages(page);
  // The server looks once a minute here.
  await expect(rowOf(page, name)).toContainText('update available', { timeout: 240_000 });
  await screen(page, '73-update-available');
  await expectAccessible(page);
  await rowOf(page, name)
    .getByRole('button', { name: /^Update/ })
    .click();
  const told = page.getByRole('alert').filter({ hasText: /keep the old content/ });
  await expect(told.getByRole('link', { name: box })).toBeVisible();
  await expect(rowOf(page, name)).not.toContainText('update available', patience);
  await expect(rowOf(page, name)).toContainText('Ready', patience);
  await removeContainer(page, box);
});

test('an administrator sees what cleaning would remove before it does', async ({ page }) => {
  await signIn(page, administrator);
  await openImages(page);
  await page.getByRole('button', { name: 'Clean up', exact: true }).click();
  const dialog = page.getByRole('dialog', { name: 'Clean up images' });
  await expect(dialog.getByText(/This frees|nothing to clean up/)).toBeVisible();
  await screen(page, '72-prune');
  await expectAccessible(page);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
});
