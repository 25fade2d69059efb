import type { HandleClientError } from '@sveltejs/kit';
import { Problem, problemOf } from '$lib/api';

/** Makes what a `load` function throws what the error page shows. */
export const handleError: HandleClientError = ({ error, status }) => {
  if (status === 404 && !(error instanceof Problem)) {
    const message = 'This address belongs to no page. It may have been mistyped.';
    return {
      message,
      title: 'There is nothing here',
      code: 'not_found',
      link: null,
      status,
      errors: [],
    };
  }
  const problem = problemOf(error);
  if (problem.code === 'dashboard') console.error(error);
  const { detail: message, title, code, link, errors } = problem;
  return { message, title, code, link, errors, status: problem.status };
};
