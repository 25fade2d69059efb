import type { Schemas } from '$lib/api';

/** By what changes are narrowed, as the address names it. */
export const FILTERS = ['who', 'what', 'answer', 'text'] as const;
export type Filters = Record<(typeof FILTERS)[number], string>;

/** The filters of an address; an empty one lets everything through. */
export function asked(search: URLSearchParams): Filters {
  const given = (name: string) => search.get(name)?.trim() ?? '';
  return {
    who: given('who'),
    what: given('what'),
    answer: given('answer'),
    text: given('text'),
  };
}

export function matches(entry: Schemas['Entry'], { who, what, answer, text }: Filters): boolean {
  const done = entry.status != null && entry.status < 400;
  const said = [entry.actor, entry.token ?? '', words(entry.action), entry.target, entry.ip];
  return (
    (who === '' || entry.actor === who) &&
    (what === '' || entry.action === what) &&
    (answer === '' || (answer === 'done') === done) &&
    said.some((each) => each.toLowerCase().includes(text.toLowerCase()))
  );
}

/** `set_member` as people say it. */
export function words(action: string): string {
  const text = action.replaceAll('_', ' ');
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** What it was of: of an app's own log, without the way to the app. */
export function within(target: string, app?: string): string {
  if (app === undefined) return target;
  const own = `/apps/${app}`;
  const at = target.indexOf(own);
  return at < 0 ? target : target.slice(at + own.length) || '/';
}
