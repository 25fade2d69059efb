import { expect, it } from 'vitest';
import { ranked, score } from './fuzzy';

it('letters have to be there in their order', () => {
  expect(score('lgs', 'Logs')).not.toBeNull();
  expect(score('sgl', 'Logs')).toBeNull();
  expect(score('', 'Logs')).not.toBeNull();
});

it('beginnings of words come first', () => {
  const pages = ['Schedules of guestbook', 'Guestbook', 'Guestbook: dead letters', 'Bulletin gold'];
  expect(ranked('gb', pages, (page) => page)[0]).toBe(
    'Bulletin gold'.includes('gb') ? '' : 'Guestbook',
  );
  expect(ranked('gdl', pages, (page) => page)[0]).toBe('Guestbook: dead letters');
  expect(ranked('zz', pages, (page) => page)).toEqual([]);
});
