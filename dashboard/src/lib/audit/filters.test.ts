import { expect, it } from 'vitest';
import { asked, matches, within, words } from './filters';

const entry = {
  id: 1,
  at_ms: 0,
  actor: 'anna',
  token: 'ci',
  action: 'set_member',
  target: '/apps/diary/members/bert',
  ip: '127.0.0.1',
  status: 204,
};

function found(query: string, of = entry as Parameters<typeof matches>[0]): boolean {
  return matches(of, asked(new URLSearchParams(query)));
}

it('filters narrow by what they name, all of them together', () => {
  expect(found('')).toBe(true);
  expect(found('who=anna&what=set_member&answer=done&text=BERT')).toBe(true);
  expect(found('who=ann')).toBe(false);
  expect(found('what=create_app')).toBe(false);
  expect(found('text=set+member')).toBe(true);
  expect(found('text=nobody')).toBe(false);
});

it('a change without an answer is none that was done', () => {
  expect(found('answer=refused', { ...entry, status: null })).toBe(true);
  expect(found('answer=done', { ...entry, status: null })).toBe(false);
  expect(found('answer=refused', { ...entry, status: 403 })).toBe(true);
});

it('actions and targets are said shortly', () => {
  expect(words('set_member')).toBe('Set member');
  expect(within(entry.target, 'diary')).toBe('/members/bert');
  expect(within('/apps/diary', 'diary')).toBe('/');
  expect(within(entry.target)).toBe(entry.target);
});
