/** When the browser has painted what is about to be shown: the time for work that would hold it up. */
export function painted(): Promise<void> {
  return new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
}
