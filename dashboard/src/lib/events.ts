import { ask, type Schemas } from '$lib/api';

type Event = Schemas['Event'];
type Delivery = Schemas['Delivery'];

/** A page of events: without `follow` the answer is one, not a stream of them. */
export async function events(call: Parameters<typeof ask>[0]): Promise<Schemas['EventList']> {
  return (await ask(call)) as Schemas['EventList'];
}

/** What an event is about, in a few words: `orders/17`, a topic, a queue. */
export function subject({ fields }: Pick<Event, 'fields'>): string {
  if (typeof fields !== 'object' || fields === null) return '';
  const { collection, key, bucket, path, topic, queue, name, schedule, handler } = fields as Record<
    string,
    unknown
  >;
  const pair = [collection ?? bucket, key ?? path].filter((part) => typeof part === 'string');
  const one = [topic, queue, schedule, name, handler].find((part) => typeof part === 'string');
  return pair.length > 0 ? pair.join('/') : String(one ?? '');
}

export type Tone = 'plain' | 'good' | 'warn' | 'bad' | 'accent';

/** How a delivery's state looks. */
export const TONES: Record<Delivery['status'], Tone> = {
  waiting: 'warn',
  running: 'accent',
  done: 'good',
  dead: 'bad',
};

/** What became of an event: the state of the delivery that is worst off. */
export function standing(deliveries: Pick<Delivery, 'status'>[]): { text: string; tone: Tone } {
  if (deliveries.length === 0) return { text: 'no handler', tone: 'plain' };
  for (const status of ['dead', 'running', 'waiting'] as const) {
    const some = deliveries.filter((delivery) => delivery.status === status).length;
    if (some > 0)
      return {
        text: some === deliveries.length ? status : `${some} ${status}`,
        tone: TONES[status],
      };
  }
  return { text: 'done', tone: 'good' };
}

/** An event in its tree, and what it has led to. */
export interface Node {
  event: Event;
  effects: Node[];
}

/** The trees of events that come as a list, a cause before its effects. */
export function trees(events: Event[]): Node[] {
  const nodes = new Map(events.map((event) => [event.id, { event, effects: [] } as Node]));
  const roots: Node[] = [];
  for (const node of nodes.values()) {
    const cause = node.event.parent == null ? undefined : nodes.get(node.event.parent);
    // A cause that is no longer kept leaves its effects at the top.
    (cause?.effects ?? roots).push(node);
  }
  return roots;
}
