// Retry policies for tests.
import { ExponentialBackoff, Retry } from "../../mod.ts";

/** A policy that notes its waits instead of waiting. */
export class NotedWaits {
  /** The waits so far, in milliseconds. */
  readonly waits: number[] = [];

  policy(retries = 3): Retry {
    return new Retry({
      retries,
      sleep: (ms) => {
        this.waits.push(ms);
        return Promise.resolve();
      },
    });
  }
}

/** A policy that goes on for long, for servers that come back. */
export const patient = (): Retry =>
  new Retry({
    retries: 60,
    backoff: new ExponentialBackoff({ baseMs: 5, capMs: 100 }),
  });
