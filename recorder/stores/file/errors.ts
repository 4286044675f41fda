// The errors of a file of queued events.

/**
 * Why a file cannot be used:
 *
 * - `"closed"`: `close()` was called.
 * - `"damaged"`: it has a header of this format, and the header cannot be read.
 * - `"failed"`: the system has refused to open, read, write or sync it.
 * - `"foreign"`: it is something else; it was not touched.
 * - `"full"`: it has no room for what is appended (`maxBytes`).
 * - `"locked"`: another process holds it.
 * - `"lost"`: another process has taken it over, or it was cut, moved, replaced or deleted.
 * - `"newer"`: it was written by a newer version of this module; it was not touched.
 * - `"unreadable"`: some of its bytes are no record. They are kept and skipped.
 */
export type OutboxFileReason =
  | "closed"
  | "damaged"
  | "failed"
  | "foreign"
  | "full"
  | "locked"
  | "lost"
  | "newer"
  | "unreadable";

/** A file of queued events cannot be used, or not for this. */
export class OutboxFileError extends Error {
  /** The name of the class. */
  override readonly name: string = "OutboxFileError";
  /** Why. */
  readonly reason: OutboxFileReason;
  /** The file. */
  readonly path: string;

  /**
   * Makes an error.
   *
   * @param reason Why.
   * @param path The file.
   * @param message What was wrong, and what is expected.
   * @param options `cause`: what the system has failed with.
   */
  constructor(
    reason: OutboxFileReason,
    path: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = reason;
    this.path = path;
  }
}

/** Which process holds a file. */
export interface OutboxHolder {
  /** Its process id. */
  readonly pid: number;
  /** The name of its host; on Deno only with `--allow-sys=hostname`. */
  readonly host?: string;
  /** Its runtime: `"deno"`, `"node"` or `"bun"`. */
  readonly runtime: string;
  /** Since when, as an ISO 8601 time. */
  readonly since: string;
}

/** Another process, or another outbox of this one, holds the file. */
export class OutboxLockedError extends OutboxFileError {
  /** Always `"OutboxLockedError"`. */
  override readonly name = "OutboxLockedError";
  /** Which process; `undefined` if it has not written that yet. */
  readonly holder: OutboxHolder | undefined;

  /**
   * Makes an error.
   *
   * @param path The file.
   * @param holder Which process holds it.
   */
  constructor(path: string, holder: OutboxHolder | undefined) {
    super(
      "locked",
      path,
      `Cannot open outbox ${path}: ${describeHolder(holder)} ${
        holder === undefined ? "holds it" : `has held it since ${holder.since}`
      }; expected a file of this process alone: close it there, or use another file`,
    );
    this.holder = holder;
  }
}

/** "process 123 on host web-1 (node)". */
export function describeHolder(holder: OutboxHolder | undefined): string {
  if (holder === undefined) return "another process";
  const { pid, host, runtime } = holder;
  return `process ${pid}${
    host === undefined ? "" : ` on host ${host}`
  } (${runtime})`;
}

/** What is expected where the system has refused something. */
const EXPECTED: Readonly<Record<string, string>> = {
  EACCES: "expected a file that this user may read and write",
  EDQUOT: "expected room on the disk for this user",
  EFBIG: "expected no limit on the size of files below maxBytes",
  EIO: "expected a disk that works",
  EISDIR: "expected a file, and it is a directory",
  EMFILE: "expected room for two more open files",
  ENOENT: "expected its directory to exist",
  ENOSPC: "expected room on the disk",
  ENOTDIR: "expected its directory to exist, and part of the path is a file",
  EPERM: "expected a file that this user may read and write",
  EROFS: "expected a file system that can be written",
};

/**
 * The error of something that the system has refused.
 *
 * @param task What was attempted, such as "open".
 * @param path The file.
 * @param cause What the system has failed with.
 */
export function systemError(
  task: string,
  path: string,
  cause: unknown,
): OutboxFileError {
  const { code, message, name } = cause as Error & { readonly code?: string };
  // Deno reports a missing permission by the name of the error, before 2.0 by another.
  const isDenied = name === "NotCapable" ||
    /^Requires \w+ access/.test(message);
  const expected = isDenied
    ? `expected --allow-read=${path} --allow-write=${path}`
    : EXPECTED[code ?? ""];
  return new OutboxFileError(
    "failed",
    path,
    `Cannot ${task} outbox ${path}: ${message}${
      expected === undefined ? "" : `; ${expected}`
    }`,
    { cause },
  );
}
