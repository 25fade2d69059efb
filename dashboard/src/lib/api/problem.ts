import type { components } from './schema';

type Issue = components['schemas']['Issue'];

/** An answer that says what went wrong, or that there was no answer. */
export class Problem extends Error {
  override name = 'Problem';

  constructor(
    /** The HTTP status; 0 if the server did not answer. */
    readonly status: number,
    /** The stable name of what went wrong. */
    readonly code: string,
    readonly title: string,
    readonly detail: string,
    /** The page about the code; null if there is none. */
    readonly link: string | null = null,
    /** Every mistake in what was sent. */
    readonly errors: Issue[] = [],
    /** The execution that failed. */
    readonly execution: string | null = null,
    /** When to try again, in seconds. */
    readonly retryAfterS: number | null = null,
  ) {
    super(detail);
  }

  /** The server could not be reached, or what came was cut off. */
  static unreachable(): Problem {
    return new Problem(
      0,
      'unreachable',
      'The server does not answer',
      'Check that PiCloud runs and that you are online, then try again.',
    );
  }

  /** What an answer's body, whatever it is, says about a failure. */
  static from(response: Response, body: unknown): Problem {
    const retry = Number(response.headers.get('retry-after') ?? NaN);
    const after = Number.isFinite(retry) ? retry : null;
    if (!isProblem(body)) {
      const detail = `The server, or a proxy before it, answered with status ${response.status}.`;
      return new Problem(
        response.status,
        'failed',
        'That did not work',
        detail,
        null,
        [],
        null,
        after,
      );
    }
    return new Problem(
      response.status,
      body.code,
      body.title,
      sentence(body.detail),
      link(body.type),
      body.errors ?? [],
      body.execution ?? null,
      after,
    );
  }
}

/** The problem in anything that was thrown. */
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof Problem) return thrown;
  // `fetch` throws this when the connection fails.
  if (thrown instanceof TypeError && /fetch|network/i.test(thrown.message))
    return Problem.unreachable();
  const detail = thrown instanceof Error ? thrown.message : String(thrown);
  return new Problem(0, 'dashboard', 'The dashboard has failed', detail);
}

function isProblem(body: unknown): body is components['schemas']['Problem'] {
  return typeof body === 'object' && body !== null && 'code' in body && 'detail' in body;
}

/** Only the server's own pages are linked to, whatever the answer says. */
function link(type: string | null | undefined): string | null {
  return type != null && /^\/\.picloud\/errors\/[a-z0-9_]+$/.test(type) ? type : null;
}

function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
