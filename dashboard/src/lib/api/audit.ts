import type { Page } from '.';

/**
 * A change that somebody made. The API's description gives two things the name
 * `Change`, and this is the one that lost; it goes when they are told apart.
 */
export interface AuditEntry {
  id: number;
  at_ms: number;
  /** The user's name, as it was. */
  actor: string;
  /** The API token's name. */
  token?: string | null;
  /** The operation's name. */
  action: string;
  /** The path in the API. */
  target: string;
  ip: string;
  /** The answer's status; null if the server died before there was one. */
  status?: number | null;
}

/** A page of the log with the fields that its entries have. */
export function entries(page: Page<unknown>): Page<AuditEntry> {
  return page as Page<AuditEntry>;
}
