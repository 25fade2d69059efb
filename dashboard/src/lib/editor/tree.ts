/** A file or a folder as a line of the tree. */
export interface Row {
  path: string;
  name: string;
  folder: boolean;
  depth: number;
}

/** The lines of the tree, folders first, without what is in folders that are closed. */
export function rows(paths: string[], closed: string[] = []): Row[] {
  return below('', paths, closed, 0);
}

function below(folder: string, paths: string[], closed: string[], depth: number): Row[] {
  const folders = new Map<string, string[]>();
  const files: Row[] = [];
  for (const path of paths) {
    const inside = path.slice(folder.length);
    const slash = inside.indexOf('/');
    if (slash < 0) files.push({ path, name: inside, folder: false, depth });
    else {
      const name = inside.slice(0, slash);
      folders.set(name, [...(folders.get(name) ?? []), path]);
    }
  }
  const byName = (a: string, b: string) => a.localeCompare(b, 'en');
  return [
    ...[...folders]
      .sort(([a], [b]) => byName(a, b))
      .flatMap(([name, inside]) => {
        const path = `${folder}${name}`;
        const row = { path, name, folder: true, depth };
        const open = !closed.includes(path);
        return open ? [row, ...below(`${path}/`, inside, closed, depth + 1)] : [row];
      }),
    ...files.sort((a, b) => byName(a.name, b.name)),
  ];
}
