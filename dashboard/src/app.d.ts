import type { Schemas } from '$lib/api';

declare global {
  /** The pages that there are, as paths; vite.config.ts finds them. */
  const PAGES: string[];

  namespace App {
    interface Error {
      message: string;
      title: string;
      code: string;
      link: string | null;
      status: number;
      errors: Schemas['Issue'][];
    }
    interface PageData {
      /** Who is logged in. */
      session?: Schemas['Whoami'];
      /** The app whose page it is. */
      app?: Schemas['AppView'];
    }
  }
}
