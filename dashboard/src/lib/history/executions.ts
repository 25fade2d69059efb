import { ask, type Schemas } from '$lib/api';

/** A page of executions: without `follow` the answer is one, not a stream of them. */
export async function executions(
  call: Parameters<typeof ask>[0],
): Promise<Schemas['ExecutionList']> {
  return (await ask(call)) as Schemas['ExecutionList'];
}
