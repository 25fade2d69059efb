import { ask, type api, type Schemas } from '.';
import type { operations } from './schema';

export type LogsQuery = Omit<NonNullable<operations['list_logs']['parameters']['query']>, 'follow'>;

/** A page of the log. The operation has streams of lines, too, which are not asked for here. */
export async function logs(
  client: ReturnType<typeof api>,
  app: string,
  query: LogsQuery,
): Promise<Schemas['LogLineList']> {
  const call = client.GET('/apps/{app}/logs', { params: { path: { app }, query } });
  return (await ask(call)) as Schemas['LogLineList'];
}
