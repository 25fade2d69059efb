/** The outcomes of executions, as the API names them and as people read them. */
export const OUTCOMES: Record<string, { label: string; about: string }> = {
  ok: { label: 'OK', about: 'It ran to its end.' },
  script_error: { label: 'Script error', about: 'The script threw an error.' },
  out_of_fuel: { label: 'Out of fuel', about: 'The script computed more than it may.' },
  out_of_memory: { label: 'Out of memory', about: 'The script needed more memory than it may.' },
  timed_out: { label: 'Timed out', about: 'It took longer than it may.' },
  budget_exceeded: {
    label: 'Budget exceeded',
    about: 'It asked more of the services than it may.',
  },
  conflict: { label: 'Conflict', about: 'Others changed the same data, again and again.' },
  superseded: { label: 'Superseded', about: 'Somebody else had done it meanwhile.' },
  unavailable: { label: 'Unavailable', about: 'The database or the server was away.' },
  host_fault: { label: 'Server fault', about: 'The server failed, not the script.' },
  cancelled: { label: 'Cancelled', about: 'The client went away.' },
};

export function outcomeLabel(code: string): string {
  return OUTCOMES[code]?.label ?? code;
}

/** How bad an outcome is: a client that goes away is nobody's failure. */
export function tone(outcome: string): 'good' | 'bad' | 'warn' {
  if (outcome === 'ok') return 'good';
  return outcome === 'cancelled' || outcome === 'superseded' ? 'warn' : 'bad';
}
