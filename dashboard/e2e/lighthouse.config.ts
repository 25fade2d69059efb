import { defineConfig } from '@playwright/test';
import base from '../playwright.config';

export default defineConfig(base, {
  testDir: '.',
  testMatch: 'lighthouse.ts',
  timeout: 1_800_000,
  use: { trace: 'off' },
});
