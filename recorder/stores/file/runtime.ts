// What of a lock depends on the runtime: the kernel's lock, the name of the host, whether a process lives.
import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";

/** The part of Deno's interface that is used here. */
interface DenoLike {
  openSync(path: string, options: { read: true; write: true }): LockableFile;
  hostname(): string;
  readonly build: { readonly os: string };
  readonly permissions: {
    querySync(
      descriptor: { name: "sys"; kind: "hostname" } | { name: "run" },
    ): { readonly state: string };
  };
}

interface LockableFile {
  /** Since Deno 2.7. */
  tryLock?(exclusive: boolean): Promise<boolean>;
  unlockSync(): void;
  close(): void;
}

const deno = (globalThis as { Deno?: DenoLike }).Deno;

/** Whether Deno does something without asking the user. */
const isGranted = (
  descriptor: Parameters<DenoLike["permissions"]["querySync"]>[0],
): boolean =>
  deno === undefined ||
  deno.permissions.querySync(descriptor).state === "granted";

/** The runtime of this process. */
export const RUNTIME: string = deno !== undefined
  ? "deno"
  : process.versions["bun"] !== undefined
  ? "bun"
  : "node";

/** The name of this host. Deno has it only where it need not ask for permission. */
export function hostName(): string | undefined {
  if (deno === undefined) return hostname();
  return isGranted({ name: "sys", kind: "hostname" })
    ? deno.hostname()
    : undefined;
}

/** A lock that the kernel releases when the process ends, however it ends. */
export interface KernelLock {
  release(): void;
}

/**
 * Takes the kernel's lock of a file.
 *
 * @returns The lock, `"taken"`, or `"none"` where the runtime has no such lock: on
 * Node and Bun, on Deno before it had `tryLock`, and on Windows, where a locked file
 * cannot be read by another descriptor.
 */
export async function takeKernelLock(
  path: string,
): Promise<KernelLock | "taken" | "none"> {
  if (deno === undefined || deno.build.os === "windows") return "none";
  const file = deno.openSync(path, { read: true, write: true });
  if (typeof file.tryLock !== "function") {
    file.close();
    return "none";
  }
  try {
    if (await file.tryLock(true)) return { release: () => unlock(file) };
  } catch {
    // The file system has no locks.
    file.close();
    return "none";
  }
  file.close();
  return "taken";
}

/**
 * To close the file is not enough: while a worker of this process starts a program, the
 * child has the descriptor, too, until it becomes that program.
 */
function unlock(file: LockableFile): void {
  try {
    file.unlockSync();
  } finally {
    file.close();
  }
}

/** What tells a process from others of the same id and host. */
export interface Life {
  /** Containers with one host name have ids of their own: 1 is the first process of each. */
  readonly namespace: string;
  /** When it began, in ticks since the system did: no clock that is set changes that. */
  readonly start: string;
}

/**
 * The life of this process; `undefined` where the system does not say it as Linux does,
 * and on Deno, which has the kernel's lock instead.
 *
 * @see {@link https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html}
 */
export function ownLife(): Life | undefined {
  if (deno !== undefined || process.platform !== "linux") return undefined;
  try {
    const namespace = readlinkSync("/proc/self/ns/pid");
    const stat = readFileSync("/proc/self/stat", "latin1");
    // The second field is a name in parentheses, with any characters; this is the 22nd.
    const start = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return start === undefined ? undefined : { namespace, start };
  } catch {
    return undefined; // /proc is not there
  }
}

/** A process of this host that has taken something. */
export interface Taker {
  readonly pid: number;
  /** When it took that, as an ISO 8601 time. */
  readonly since: string;
  readonly life?: Life;
}

/** Whether a process of this host has ended for certain. */
export function hasEnded({ pid, since, life }: Taker): boolean {
  const own = life && ownLife();
  if (own !== undefined && own.namespace !== life!.namespace) return false;
  if (pid === process.pid) {
    // In a container each life of a program may have the same id. Deno has the kernel's lock for that.
    return own !== undefined ? own.start !== life!.start : deno === undefined &&
      Date.parse(since) < Date.now() - process.uptime() * 1000 - 1000;
  }
  if (!isGranted({ name: "run" })) return false;
  try {
    process.kill(pid, 0); // sends nothing
    return false;
  } catch (error) {
    return (error as Error & { readonly code?: string }).code === "ESRCH";
  }
}
