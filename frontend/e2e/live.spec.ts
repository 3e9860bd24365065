import type { Page } from '@playwright/test';
import { expect, expectAccessible, person, register, screen, test } from './fixtures';

// What waits for a program, an engine and a browser on one busy machine.
const patient = { timeout: 90_000 };
test.setTimeout(300_000);

/** Makes a container of the image that is there, and goes to its page when it runs. Answers its name. */
async function create(page: Page, { command, port, image }: { command?: string; port?: number; image?: string } = {}) {
  await page.goto('/containers?create');
  const dialog = page.getByRole('dialog', { name: 'New container' });
  await expect(dialog.getByLabel('Name', { exact: true })).not.toHaveValue('');
  const name = await dialog.getByLabel('Name', { exact: true }).inputValue();
  if (image) {
    await dialog.getByLabel('Image').click();
    await page.getByTitle(image).last().click(); // not the one that is chosen already
  }
  if (command || port) await dialog.getByText('More', { exact: true }).click();
  if (command) await dialog.getByLabel('Command').fill(command);
  if (port) {
    await dialog.getByRole('button', { name: 'Add a port' }).click();
    await dialog.getByLabel('Name of port 1').fill('web');
    await dialog.getByLabel('Number of port 1').fill(String(port));
  }
  await dialog.getByRole('button', { name: 'Create', exact: true }).click();
  await expect(dialog).toBeHidden(patient);
  const row = page.getByRole('row', { name: new RegExp(name) });
  await expect(row).toContainText('Running', patient);
  await row.getByRole('link', { name }).click();
  await expect(page.getByRole('heading', { name, level: 1 })).toBeVisible();
  return name;
}

async function remove(page: Page, name: string) {
  await page.getByRole('button', { name: `Remove: ${name}` }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
  await expect(page.getByRole('heading', { name: 'Containers', level: 1 })).toBeVisible(patient);
}

const dark = (page: Page) => page.getByRole('button', { name: 'Light or dark' }).click();

test('charts move, in words too, and go back in time', async ({ page }) => {
  await register(page, person());
  const name = await create(page, { command: `sh -c "while true; do :; done"` });
  const chart = page.getByTestId('chart-cpu').getByRole('img');
  await expect(chart).toHaveAttribute('aria-label', /CPU \d/, patient);
  await expect(chart.locator('canvas')).toBeVisible();
  const before = await chart.getAttribute('aria-label');
  await expect(chart).not.toHaveAttribute('aria-label', before ?? '', patient);
  await expect(page.getByTestId('chart-memory').getByRole('img')).toHaveAttribute('aria-label', /limit 512 MiB/);
  await page.getByText('The newest figures as a table').click();
  const table = page.getByRole('region', { name: 'The newest figures as a table' });
  // The line goes on: more rows with time.
  await expect.poll(() => table.getByRole('row').count(), patient).toBeGreaterThan(5);
  await screen(page, '60-charts');
  await expectAccessible(page);
  await dark(page);
  await expect(chart.locator('canvas')).toBeVisible();
  await screen(page, '61-charts-dark');
  await expectAccessible(page);
  await page.getByText('1 h', { exact: true }).click();
  await expect(chart).toHaveAttribute('aria-label', /most/, patient);

  // What is left and taken up again shows what was meanwhile: history first.
  await page.getByText('5 min', { exact: true }).click();
  await page.reload();
  await page.getByText('The newest figures as a table').click();
  await expect.poll(() => table.getByRole('row').count(), patient).toBeGreaterThan(10);

  // All of one's own on one page.
  await page.getByRole('link', { name: 'Overview', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Overview', level: 1 })).toBeVisible();
  await expect(page.getByTestId('cpu')).toContainText('%', patient);
  await expect(page.getByTestId('together')).not.toContainText(': 0 cores', patient);
  await screen(page, '62-overview');
  await expectAccessible(page);
  await page.getByRole('link', { name }).click();
  await remove(page, name);
});

test('logs follow, are searched and downloaded', async ({ page }) => {
  await register(page, person());
  const colour = String.raw`\033[31mred\033[0m`;
  const name = await create(page, {
    command: `sh -c "printf 'first ${colour}\\n'; echo broken 1>&2; i=0; while true; do i=$((i+1)); echo line $i; sleep 1; done"`,
  });
  await page.getByRole('tab', { name: 'Logs' }).click();
  const log = page.getByRole('log');
  await expect(log).toContainText('first red', patient);
  await expect(log).toContainText('err broken');
  await expect(log).toContainText('line 3', patient);
  await screen(page, '63-logs');
  await expectAccessible(page);

  await page.getByLabel('Search').fill('line 1');
  await expect(page.getByText(/^1 of \d+$/)).toBeVisible();
  await page.getByRole('button', { name: 'Next match' }).click();
  await page.getByLabel('Only matching lines').check();
  await expect(log).not.toContainText('first');
  await expect(log.locator('mark').first()).toHaveText('line 1');
  await page.getByLabel('Search').fill('not in there');
  await expect(page.getByText('nothing found')).toBeVisible();
  await page.getByLabel('Search').fill('');
  await page.getByLabel('Only matching lines').uncheck();

  // Whoever looks at something is left there, told of what is new, and brought back on request.
  await page.getByLabel('Follow').uncheck();
  const fresh = page.getByRole('button', { name: /new lines?$/ });
  await expect(fresh).toBeVisible(patient);
  await fresh.click();
  await expect(page.getByLabel('Follow')).toBeChecked();
  await expect(fresh).toBeHidden();

  await page.getByLabel('Times').check();
  await expect(log.locator('time').first()).toHaveText(/^\d\d:\d\d:\d\d\.\d{3}/);
  await dark(page);
  await screen(page, '64-logs-dark');
  await expectAccessible(page);
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download' }).click()]);
  const stream = await download.createReadStream();
  let text = '';
  for await (const part of stream) text += String(part);
  expect(text).toMatch(/^\d{4}-\d\d-\d\dT\S+Z? .*first/m);
  expect(text).toContain('line 1');
  await remove(page, name);
});

/** Types a command at the prompt and answers the number that it says. */
async function asked(page: Page, word: string) {
  const rows = page.locator('.xterm-rows:visible');
  await page.keyboard.type(`echo ${word}=$$\n`);
  const said = new RegExp(`${word}=(\\d+)`);
  await expect(rows).toContainText(said, patient);
  return said.exec((await rows.textContent()) ?? '')?.[1];
}

test('a terminal keeps its shell, whatever becomes of the page', async ({ page }) => {
  await register(page, person());
  const name = await create(page);
  await page.getByRole('tab', { name: 'Terminal' }).click();
  const rows = page.locator('.xterm-rows:visible');
  await expect(rows).toContainText(/[$#]/, patient);
  const shell = await asked(page, 'before');
  expect(shell).toMatch(/^\d+$/);
  await screen(page, '65-terminal');
  await expectAccessible(page);
  await dark(page);
  await screen(page, '66-terminal-dark');
  await expectAccessible(page);

  // The keyboard is not caught in it.
  await page.locator('.xterm:visible').click();
  await page.keyboard.press('Tab');
  await expect(page.locator('.xterm-helper-textarea:visible')).toBeFocused();
  await page.keyboard.press('Control+F6');
  await expect(page.getByText(/Tab goes to the shell/)).toBeFocused();

  await page.reload();
  await expect(rows).toContainText('before=', patient); // its last lines
  await page.locator('.xterm:visible').click();
  await page.keyboard.press('Control+U'); // the Tab above may have left something
  expect(await asked(page, 'after')).toBe(shell);

  // A second one is another shell, and closing it is asked about.
  await page.getByRole('button', { name: 'New terminal' }).click();
  await expect(rows).toContainText(/[$#]/, patient);
  expect(await asked(page, 'second')).not.toBe(shell);
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Close', exact: true }).click();
  await expect(page.getByRole('tab', { name: 'shell-2' })).toBeHidden(patient);

  // When the container stops, it says so, and offers what helps.
  await page.getByRole('button', { name: `Stop: ${name}` }).click();
  await expect(page.getByText(/The shell has ended|The container does not run\. Start it/)).toBeVisible(patient);
  await screen(page, '67-terminal-stopped');
  await remove(page, name);
});

test('a program in a container is opened, and a stopped one started from there', async ({ page, guard }) => {
  await register(page, person());
  const name = await create(page, {
    command: `sh -c "mkdir -p /tmp/w; echo hello-from-inside > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"`,
    port: 8080,
  });
  const link = page.getByRole('link', { name: 'web' });
  const apps = new URL((await link.getAttribute('href')) ?? '').host;
  await screen(page, '68-ports');
  const [opened] = await Promise.all([page.context().waitForEvent('page'), link.click()]);
  await expect(opened.getByText('hello-from-inside')).toBeVisible(patient);
  await screen(opened, '69-program');
  await opened.close();

  // Ports change while it runs.
  await page.getByRole('button', { name: 'Change ports' }).click();
  const dialog = page.getByRole('dialog', { name: `Ports of ${name}` });
  await dialog.getByRole('button', { name: 'Add a port' }).click();
  await dialog.getByLabel('Name of port 2').fill('web');
  await dialog.getByLabel('Number of port 2').fill('9090');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(dialog.locator('.ant-form-item-has-error')).toBeVisible();
  await screen(page, '70-ports-refused');
  await dialog.getByLabel('Name of port 2').fill('other');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await expect(page.getByRole('link', { name: 'other' })).toBeVisible();
  await expectAccessible(page);

  // An image without Jupyter says how to get one.
  await page.getByRole('button', { name: 'Open Jupyter' }).click();
  const without = page.getByRole('dialog', { name: 'This image has no Jupyter' });
  await expect(without).toBeVisible(patient);
  await without.getByRole('button', { name: 'Close', exact: true }).click();

  await page.getByRole('button', { name: `Stop: ${name}` }).click();
  await expect(page.getByRole('button', { name: `Start: ${name}` })).toBeVisible(patient);
  await page.goto(`${page.url()}?start=1`);
  const start = page.getByRole('button', { name: 'Start', exact: true });
  await expect(start).toBeFocused();
  await screen(page, '71-start');
  await start.click();
  await page.getByRole('link', { name: 'Back to web' }).click(patient);
  await expect(page.getByText('hello-from-inside')).toBeVisible(patient);
  await page.goBack();
  await remove(page, name);
  // Programs are on another origin, which is the point, and have no icon.
  guard.splice(0, guard.length, ...guard.filter((fault) => !fault.includes(apps) && !fault.includes('Failed to load resource')));
});

const jupyter = process.env['E2E_JUPYTER'];
if (jupyter)
  test('D47: Jupyter with one click, and a cell that runs', async ({ page, context, guard }) => {
    await register(page, person());
    const ask = async (query: string, variables: object) => {
      const response = await page.request.post('/graphql', { data: { query, variables } });
      return (await response.json()) as { data: Record<string, unknown>; errors?: unknown };
    };
    const pulled = await ask('mutation($input: PullImageInput!) { pullImage(input: $input) { image { id } } }', {
      input: { reference: jupyter, preferSlim: false },
    });
    expect(pulled.errors).toBeUndefined();
    const { id } = (pulled.data['pullImage'] as { image: { id: string } }).image;
    const status = async () => {
      const { data } = await ask('query($id: ID!) { node(id: $id) { ... on Image { status reference } } }', { id });
      return (data['node'] as { status: string }).status;
    };
    await expect.poll(status, { timeout: 180_000 }).toBe('READY');
    const { data } = await ask('query($id: ID!) { node(id: $id) { ... on Image { reference } } }', { id });
    const image = (data['node'] as { reference: string }).reference.replace(/^docker\.io\/(library\/)?/, '');
    const name = await create(page, { image });

    const [tree] = await Promise.all([context.waitForEvent('page'), page.getByRole('button', { name: 'Open Jupyter' }).click()]);
    await expect(tree.locator('#new-dropdown-button')).toBeVisible({ timeout: 120_000 });
    const apps = new URL(tree.url()).host;
    expect(tree.url(), 'no token in the address').not.toContain('token');
    await tree.locator('#new-dropdown-button').click();
    const [notebook] = await Promise.all([context.waitForEvent('page'), tree.locator('#kernel-python3 a').click()]);
    await expect(notebook.locator('.kernel_idle_icon')).toBeAttached({ timeout: 120_000 });
    await notebook.locator('.cell .CodeMirror').first().click();
    await notebook.keyboard.insertText('print(6 * 7)');
    await notebook.keyboard.press('Shift+Enter');
    await expect(notebook.locator('.output_stdout').first()).toHaveText('42', { timeout: 120_000 });
    await screen(notebook, '72-jupyter');
    await notebook.close({ runBeforeUnload: false });
    await tree.close();
    await remove(page, name);
    // Jupyter's own pages speak to their own origin, and grumble on their own console.
    guard.splice(0, guard.length, ...guard.filter((fault) => fault.startsWith('off-origin') && !fault.includes(apps)));
  });
