import { defineConfig } from '@playwright/test';
import base from '../playwright.config';

export default defineConfig(base, {
  testDir: '.',
  testMatch: 'trace.ts',
  timeout: 300_000,
  use: { trace: 'off' },
});
