import { AxeBuilder } from '@axe-core/playwright';
import { expect, type Page, test as base } from '@playwright/test';

/** Every page of a test may only speak to its own origin, and says nothing on the console that is an error. */
export const test = base.extend<{ guard: string[] }>({
  guard: [
    async ({ context, baseURL }, use) => {
      const faults: string[] = [];
      const own = new URL(baseURL ?? '').host;
      context.on('request', (request) => {
        const url = new URL(request.url());
        if (!['data:', 'blob:'].includes(url.protocol) && url.host !== own) faults.push(`off-origin: ${request.url()}`);
      });
      context.on('page', (page) =>
        page.on('websocket', (ws) => {
          if (new URL(ws.url()).host !== own) faults.push(`off-origin: ${ws.url()}`);
        }),
      );
      context.on('console', (m) => {
        // A browser on the engine's own machine says so whenever a user's first container brings a network up.
        if (m.text().includes('net::ERR_NETWORK_CHANGED')) return;
        if (m.type() === 'error' || /deprecated/i.test(m.text())) faults.push(`console: ${m.text().slice(0, 300)}`);
      });
      context.on('weberror', (e) => faults.push(`thrown: ${e.error().message}`));
      await use(faults);
      expect(faults).toEqual([]);
    },
    { auto: true },
  ],
});

export const person = () => `e2e-${Math.random().toString(36).slice(2, 10)}`;
export const password = 'correct horse battery staple';

/** Who administers the server: see setup.ts. */
export const administrator = 'e2e-administrator';

/**
 * Goes to the door, and loads it anew where its script did not come: a browser on the engine's own machine drops what
 * it is fetching when the network of a test before goes.
 */
async function arrive(page: Page) {
  await expect(async () => {
    await page.goto('/');
    await expect(page.getByLabel('Password', { exact: true })).toBeVisible({ timeout: 10_000 });
  }).toPass();
}

/** Signs in and arrives at the containers. */
export async function signIn(page: Page, username: string) {
  await arrive(page);
  await page.getByLabel('User name or email').fill(username);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Containers', level: 1 })).toBeVisible();
}

/** Screens are kept, to be looked at. */
export const screen = (page: Page, name: string) => page.screenshot({ path: `test-results/screens/${name}.png` });

/** Makes an account and arrives at the containers. */
export async function register(page: Page, username: string) {
  await arrive(page);
  await page.getByRole('button', { name: 'No account yet? Register' }).click();
  await page.getByLabel('User name').fill(username);
  await page.getByLabel('Email').fill(`${username}@example.org`);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Register', exact: true }).click();
  await expect(page.getByRole('heading', { name: 'Containers', level: 1 })).toBeVisible();
}

export async function expectAccessible(page: Page) {
  const { violations } = await new AxeBuilder({ page })
    .withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'])
    .analyze();
  const told = violations.flatMap((v) =>
    v.nodes.map((n) => {
      const d = n.any[0]?.data as { fgColor?: string; bgColor?: string; contrastRatio?: number } | undefined;
      return `${v.id} ${n.target.join(' ')} ${d?.fgColor ? `${d.fgColor} on ${d.bgColor} = ${d.contrastRatio}` : ''} ${n.html.slice(0, 110)}`;
    }),
  );
  expect(told).toEqual([]);
}
export { expect };
