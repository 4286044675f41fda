// Files of queued events for tests: in a directory of their own, and what is in them.
import {
  FileOutbox,
  type FileOutboxOptions,
  type OutboxFileError,
  type StoredEvent,
} from "../../../../recorder/stores/file/file_outbox.ts";

let made = 0;

/** A queued event with an id of its own, later than those before. */
export function storedEvent(filling = ""): StoredEvent {
  const n = ++made;
  return {
    id: `${String(n).padStart(8, "0")}-x`,
    key: `k${n % 3}`,
    score: 1_700_000_000 + n,
    members: [`m${n}${filling}`],
    event: { mallId: "mall", shopNo: n, eventType: "order" },
  };
}

export const storedEvents = (count: number, filling = ""): StoredEvent[] =>
  Array.from({ length: count }, () => storedEvent(filling));

export const idsOf = (entries: readonly StoredEvent[]): string[] =>
  entries.map(({ id }) => id);

/** The path of a file in a directory of its own. */
export async function temporaryFile(): Promise<
  AsyncDisposable & { readonly path: string; readonly directory: string }
> {
  const directory = await Deno.makeTempDir({ prefix: "outbox" });
  return {
    path: `${directory}/queued.log`,
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

/** Whether Deno has the kernel's lock of a file: not before 2.7. */
export const HAS_KERNEL_LOCK: boolean = "tryLock" in Deno.FsFile.prototype;

/** Makes a file that of a process which has ended: without the kernel's lock that takes a minute. */
export async function forgetHolder(path: string): Promise<void> {
  const longAgo = new Date(Date.now() - 120_000);
  await Deno.utime(path, longAgo, longAgo);
}

/** Writes a file as a crash has left it. */
export async function writeImage(
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await Deno.writeFile(path, bytes);
  await forgetHolder(path);
}

/** Opens a file, with its problems as a list. */
export async function openOutbox(
  path: string,
  options: FileOutboxOptions = {},
): Promise<{ outbox: FileOutbox; problems: OutboxFileError[] }> {
  const problems: OutboxFileError[] = [];
  const outbox = await FileOutbox.open(path, {
    waitMs: 0,
    onProblem: (problem) => problems.push(problem),
    ...options,
  });
  return { outbox, problems };
}

/** All that an outbox loads. */
export const loaded = async (outbox: FileOutbox): Promise<StoredEvent[]> =>
  await Array.fromAsync(await outbox.load());

/** Opens a file and closes it again. */
export async function contentsOf(path: string): Promise<{
  events: StoredEvent[];
  problems: OutboxFileError[];
}> {
  const { outbox, problems } = await openOutbox(path);
  await using _ = outbox;
  return { events: await loaded(outbox), problems };
}
