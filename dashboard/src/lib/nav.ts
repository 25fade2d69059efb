import type { IconName } from '$lib/ui/Icon.svelte';

export interface Entry {
  label: string;
  icon: IconName;
  href: string;
}

export interface Group {
  label: string | null;
  entries: Entry[];
}

type Row = [path: string, label: string, icon: IconName];

const APP: [label: string | null, rows: Row[]][] = [
  [
    null,
    [
      ['', 'Overview', 'home'],
      ['/editor', 'Editor', 'edit'],
      ['/releases', 'Releases', 'rocket'],
    ],
  ],
  [
    'Observe',
    [
      ['/logs', 'Logs', 'logs'],
      ['/executions', 'Executions', 'pulse'],
      ['/usage', 'Usage and limits', 'gauge'],
    ],
  ],
  [
    'Data',
    [
      ['/kv', 'Key-value', 'database'],
      ['/files', 'Files', 'folder'],
    ],
  ],
  [
    'Events',
    [
      ['/events', 'Events', 'bolt'],
      ['/queues', 'Queues', 'queue'],
      ['/dead-letters', 'Dead letters', 'skull'],
      ['/triggers', 'Triggers', 'link'],
      ['/schedules', 'Schedules', 'clock'],
    ],
  ],
  [
    'App',
    [
      ['/secrets', 'Secrets and config', 'lock'],
      ['/domains', 'Domains', 'globe'],
      ['/members', 'Members', 'users'],
      ['/audit', 'Audit log', 'book'],
      ['/settings', 'Settings', 'gear'],
    ],
  ],
];

const ADMIN: Row[] = [
  ['/admin/users', 'Users', 'users'],
  ['/admin/invites', 'Invitations', 'link'],
  ['/admin/apps', 'All apps', 'apps'],
  ['/admin/audit', 'Audit log', 'book'],
  ['/admin/health', 'Health', 'heart'],
  ['/admin/backup', 'Backup', 'archive'],
];

/** The pages of an app, in groups. */
export function appPages(app: string): Group[] {
  return APP.map(([label, rows]) => ({
    label,
    entries: rows
      .filter(([path]) => PAGES.includes(`/apps/[app]${path}`))
      .map(([path, name, icon]) => ({ label: name, icon, href: `/apps/${app}${path}` })),
  })).filter(({ entries }) => entries.length > 0);
}

/** The pages for admins of the instance. */
export function adminPages(): Entry[] {
  return ADMIN.filter(([path]) => PAGES.includes(path)).map(([href, label, icon]) => ({
    label,
    icon,
    href,
  }));
}

/** Whether a page is this entry's, or below it. */
export function isCurrent(entry: Entry, pathname: string): boolean {
  if (pathname === entry.href) return true;
  // An app's overview is above all its pages.
  return !/^\/apps\/[^/]+$/.test(entry.href) && pathname.startsWith(`${entry.href}/`);
}
