type Theme = 'system' | 'light' | 'dark';

/** The theme that was chosen, kept by this browser. */
class Choice {
  #now = $state<Theme>((localStorage.getItem('theme') as Theme | null) ?? 'system');

  get now(): Theme {
    return this.#now;
  }

  set now(theme: Theme) {
    this.#now = theme;
    if (theme === 'system') localStorage.removeItem('theme');
    else localStorage.setItem('theme', theme);
    // static/theme.js, which is there before everything else, does the rest.
    dispatchEvent(new Event('theme'));
  }
}

export const theme = new Choice();
