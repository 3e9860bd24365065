import { defineConfig } from '@playwright/test';

// scripts/e2e.sh starts a real server of its own and says where it listens.
const baseURL = process.env['E2E_URL'];
if (!baseURL) throw new Error('E2E_URL names the running server: use `make e2e`');

export default defineConfig({
  testDir: 'e2e',
  globalSetup: './e2e/setup.ts',
  fullyParallel: false,
  workers: 1,
  forbidOnly: Boolean(process.env['CI']),
  // CI runs a test that failed once more, and reports it as flaky; elsewhere a failure is a failure at once.
  retries: process.env['CI'] === 'true' ? 1 : 0,
  reporter: 'line',
  timeout: 120_000,
  expect: { timeout: 30_000 },
  use: {
    baseURL,
    locale: 'en-GB',
    viewport: { width: 1280, height: 800 },
    actionTimeout: 15_000,
    contextOptions: { reducedMotion: 'reduce' }, // colours are measured when they have come to rest
    trace: 'retain-on-failure',
    launchOptions: {
      executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-component-update', '--disable-background-networking', '--no-first-run'],
    },
  },
});
