import { readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { filesOf, templates } from '.';

it.each(templates.map(({ id }) => id))('%s has all files of its example', async (id) => {
  const folder = `../examples/${id}`;
  const there = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(
    // `picloud dev` keeps its data beside what it serves.
    (path) =>
      statSync(`${folder}/${path}`).isFile() &&
      path !== 'README.md' &&
      !path.startsWith('.picloud'),
  );
  const files = await filesOf(id);
  expect(files.map(({ path }) => path).sort()).toEqual(there.sort());
  expect(files.some(({ path }) => path.endsWith('.rhai'))).toBe(true);
  for (const { path, content } of files) {
    if (path === 'picloud.toml') expect(content).not.toMatch(/^name/);
    else expect(content).toBe(readFileSync(`${folder}/${path}`, 'utf8'));
  }
});
