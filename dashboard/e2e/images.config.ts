import { defineConfig } from '@playwright/test';
import base from '../playwright.config';

export default defineConfig(base, {
  testDir: '.',
  testMatch: 'images.ts',
  timeout: 3_600_000,
  use: { trace: 'off', colorScheme: 'light', viewport: { width: 1280, height: 800 } },
});
