// Before the first paint: the theme that was chosen here, or else the system's.
{
  const chosen = localStorage.getItem('theme');
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const apply = () => {
    const now = localStorage.getItem('theme') ?? (dark.matches ? 'dark' : 'light');
    document.documentElement.dataset.theme = now === 'dark' ? 'dark' : 'light';
  };
  if (chosen !== null && chosen !== 'light' && chosen !== 'dark') localStorage.removeItem('theme');
  apply();
  // The system's choice, and one that is made in another tab.
  dark.addEventListener('change', apply);
  addEventListener('storage', apply);
  addEventListener('theme', apply);
}
