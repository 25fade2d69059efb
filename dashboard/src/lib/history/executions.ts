import { ask, type Schemas } from '$lib/api';

/** A page of executions: without `follow` the answer is one, not a stream of them. */
export async function executions(
  call: Parameters<typeof ask>[0],
): Promise<Schemas['ExecutionList']> {
  return (await ask(call)) as Schemas['ExecutionList'];
}

/** What began an execution, without the name of the event, which is none to read. */
export function cause({ cause, event }: Pick<Schemas['Execution'], 'cause' | 'event'>): string {
  return event == null ? cause : cause.replace(` ${event}`, '');
}
