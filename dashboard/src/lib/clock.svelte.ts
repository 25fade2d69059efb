/** The time, twice a minute: one timer for all that show how long ago something was. */
class Clock {
  now_ms = $state(Date.now());

  constructor() {
    setInterval(() => (this.now_ms = Date.now()), 30_000);
  }
}

export const clock = new Clock();
