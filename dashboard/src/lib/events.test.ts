import { expect, test } from 'vitest';
import type { Schemas } from '$lib/api';
import { standing, subject, trees } from './events';

test('what an event is about', () => {
  expect(subject({ fields: { collection: 'orders', key: '17' } })).toBe('orders/17');
  expect(subject({ fields: { bucket: 'photos', path: 'a/b.jpg' } })).toBe('photos/a/b.jpg');
  expect(subject({ fields: { topic: 'order.placed', payload: {} } })).toBe('order.placed');
  expect(subject({ fields: { queue: 'mail' } })).toBe('mail');
  expect(subject({ fields: {} })).toBe('');
  expect(subject({ fields: null })).toBe('');
});

test('the worst delivery counts', () => {
  expect(standing([])).toEqual({ text: 'no handler', tone: 'plain' });
  expect(standing([{ status: 'done' }, { status: 'done' }]).text).toBe('done');
  expect(standing([{ status: 'waiting' }, { status: 'dead' }])).toEqual({
    text: '1 dead',
    tone: 'bad',
  });
  expect(standing([{ status: 'running' }]).text).toBe('running');
});

test('effects hang below their causes, and those of lost causes at the top', () => {
  const event = (id: string, parent: string | null) => ({ id, parent }) as Schemas['Event'];
  const [first, lost] = trees([
    event('a', null),
    event('b', 'a'),
    event('c', 'b'),
    event('d', 'a'),
    event('x', 'gone'),
  ]);
  expect(first?.effects.map((node) => node.event.id)).toEqual(['b', 'd']);
  expect(first?.effects[0]?.effects.map((node) => node.event.id)).toEqual(['c']);
  expect(lost?.event.id).toBe('x');
});
