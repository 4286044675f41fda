// What became of a command that failed.

/**
 * What became of a command that failed: `"unsent"`, it cannot have run, since it
 * was never written, or the server refused it; `"executed"`, the server ran it
 * and answered with an error; `"unknown"`, it may have run.
 */
export type Fate = "unsent" | "executed" | "unknown";
