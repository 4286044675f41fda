// Where queued events are kept beyond the end of this process.
import type { OutboxStore } from "@unzombie/redis";
import type { KvLike } from "@unzombie/redis/outbox/kv";
import { log, textOf } from "./log.ts";

/** A store that is open. */
export interface Store {
  /** `undefined`: queued events are in memory alone. */
  readonly outbox: OutboxStore | undefined;
  /** Where it is, for the log. */
  readonly place: string;
  /** How many queued events it has, if it can say so at once. */
  size?(): number;
  close(): void | Promise<void>;
}

/** Opens Deno KV; `undefined` is the default of the runtime. */
export type OpenKv = (
  path: string | undefined,
) => Promise<KvLike & { close(): void }>;

/**
 * Opens the store that OUTBOX names: the path of a file; or `kv`, Deno KV where
 * there is no disk, which may be shared by many processes, or `kv:` with what
 * `Deno.openKv` takes.
 *
 * @param openKv Not there where the runtime has no Deno KV.
 * @throws If it cannot be opened, such as a file that another process has open.
 */
export async function openStore(
  name: string | undefined,
  openKv: OpenKv | undefined,
): Promise<Store> {
  if (name === undefined) {
    return { outbox: undefined, place: "memory alone", close() {} };
  }
  if (name === "kv" || name.startsWith("kv:")) {
    if (openKv === undefined) {
      throw new TypeError(
        `Cannot use OUTBOX=${name}: there is no Deno.openKv, expected the path of a file, or on Deno --unstable-kv`,
      );
    }
    const { KvOutbox } = await import("@unzombie/redis/outbox/kv");
    const kv = await openKv(name.slice("kv:".length) || undefined);
    return {
      outbox: new KvOutbox(kv),
      place: "Deno KV",
      close: () => kv.close(),
    };
  }
  const { FileOutbox } = await import("@unzombie/redis/outbox");
  // Waits for 10 seconds for an earlier process to end.
  const outbox = await FileOutbox.open(name, {
    onProblem: (problem) => log("error", textOf(problem)),
  });
  return {
    outbox,
    place: name,
    size: () => outbox.size,
    close: () => outbox.close(),
  };
}
