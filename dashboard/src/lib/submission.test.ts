import { expect, it } from 'vitest';
import { Problem } from './api';
import { Submission } from './submission.svelte';

it('is busy while it works, and no longer', async () => {
  const submission = new Submission();
  let finish = () => {};
  const done = submission.run(() => new Promise<void>((resolve) => (finish = resolve)));
  expect(submission.busy).toBe(true);
  finish();
  await done;
  expect(submission.busy).toBe(false);
  expect(submission.problem).toBeNull();
});

it('keeps what was thrown as its problem, and throws nothing', async () => {
  const submission = new Submission();
  const refused = new Problem(409, 'conflict', 'Taken', 'There is one already.');
  await submission.run(() => Promise.reject(refused));
  expect(submission.problem).toBe(refused);
  expect(submission.busy).toBe(false);

  await submission.run(() => Promise.reject(new Error('No room')));
  expect(submission.problem).toBeInstanceOf(Problem);
  expect(submission.problem?.detail).toBe('No room');
});

it('forgets a problem when it is cleared, and as soon as it tries again', async () => {
  const submission = new Submission();
  const fail = () => submission.run(() => Promise.reject(new Error('No room')));
  await fail();
  submission.clear();
  expect(submission.problem).toBeNull();

  await fail();
  const again = submission.run(() => Promise.resolve());
  expect(submission.problem).toBeNull();
  await again;
  expect(submission.problem).toBeNull();
});
