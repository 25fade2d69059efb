/**
 * What a new app can begin as. All but the empty one are the repository's
 * examples, whose own tests keep them working; their files are fetched when one
 * is chosen.
 */
import type { File } from '$lib/tar';
import type { IconName } from '$lib/ui/Icon.svelte';

export interface Template {
  id: string;
  title: string;
  /** What it does, in a sentence. */
  about: string;
  icon: IconName;
  /** What it shows of the SDK. */
  shows: string[];
  /** What is still to be done before all of it works. */
  next?: string;
}

export const templates: Template[] = [
  {
    id: 'hello',
    title: 'Hello',
    about: 'One line that greets whoever asks.',
    icon: 'cloud',
    shows: ['req'],
  },
  {
    id: 'guestbook',
    title: 'Guestbook',
    about: 'A page with a form, and what visitors have written.',
    icon: 'edit',
    shows: ['kv', 'html'],
  },
  {
    id: 'json-api',
    title: 'JSON API',
    about: 'Things to list, make, read, change and delete.',
    icon: 'database',
    shows: ['kv', 'routes'],
  },
  {
    id: 'webhook',
    title: 'Webhook receiver',
    about: 'Takes signed deliveries of another service, each once.',
    icon: 'link',
    shows: ['crypto', 'secrets', 'http'],
    next: 'Set the secret WEBHOOK_KEY to what the sender signs with.',
  },
  {
    id: 'digest',
    title: 'Scheduled job',
    about: 'Collects lines and makes a digest of them each working day.',
    icon: 'clock',
    shows: ['schedules', 'time'],
  },
  {
    id: 'orders',
    title: 'Event pipeline',
    about: 'An order sets off its stock, statistics and a mail, each on its own.',
    icon: 'bolt',
    shows: ['events', 'queue'],
    next: 'POST an order to /orders and watch its events.',
  },
  {
    id: 'gallery',
    title: 'File upload',
    about: 'Photos that are uploaded, listed and shown.',
    icon: 'folder',
    shows: ['files', 'template'],
  },
];

const sources = import.meta.glob<string>(
  [
    '../../../../examples/{hello,guestbook,json-api,webhook,digest,orders,gallery}/**/*.{rhai,toml,html,css,js}',
  ],
  { query: '?raw', import: 'default' },
);

/** The files of a template, as a release has them. */
export async function filesOf(template: string): Promise<File[]> {
  const folder = `/examples/${template}/`;
  const found = Object.entries(sources).filter(([path]) => path.includes(folder));
  return Promise.all(
    found.map(async ([path, read]) => {
      const content = await read();
      const inside = path.slice(path.indexOf(folder) + folder.length);
      // The app has a name of its own.
      const own = inside === 'picloud.toml' ? content.replace(/^name = .*\n+/, '') : content;
      return { path: inside, content: own };
    }),
  );
}
