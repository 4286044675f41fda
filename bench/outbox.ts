// How many events a second FileOutbox appends, and what it takes to load a million.
import process from "node:process";
import {
  FileOutbox,
  type StoredEvent,
} from "../recorder/stores/file/file_outbox.ts";

const HELP =
  `How fast FileOutbox appends and loads: a minute, and 600 MiB of disk.

./dev bench outbox [directory]
  directory   where the file goes; what a sync takes depends on its disk (default: a temporary one)
`;

/** How many events are stored before they are loaded. */
const STORED = 1_000_000;
/** How many events a recorder appends in one call. */
const PER_CALL = 1000;

function eventOf(n: number): StoredEvent {
  const mallId = `mall${n % 1000}`;
  return {
    id: `${(1_780_000_000_000 + n).toString(36)}-${n.toString(36)}`.padEnd(
      24,
      "0",
    ),
    key: `webhook_frequency_${mallId}_1_order.created`,
    score: 1_780_000_000 + n % 3600,
    members: [crypto.randomUUID()],
    event: {
      mallId,
      shopNo: 1,
      eventType: "order.created",
      deliveryId: `delivery-${n}`,
      receivedAt: 1_780_000_000_000 + n,
    },
  };
}

const eventsOf = (from: number, count: number): StoredEvent[] =>
  Array.from({ length: count }, (_, n) => eventOf(from + n));

const rate = (events: number, ms: number): string =>
  `${Math.round(events / ms * 1000).toLocaleString("en-US")} events/s`;

const mebibytes = (bytes: number): string =>
  `${Math.round(bytes / 2 ** 20)} MiB`;

/**
 * Appends events.
 *
 * @param calls How many calls are under way at a time.
 * @param perCall How many events each call has.
 * @returns How long it took, in milliseconds.
 */
async function append(
  outbox: FileOutbox,
  events: readonly StoredEvent[],
  calls: number,
  perCall: number,
): Promise<number> {
  let next = 0;
  const start = performance.now();
  await Promise.all(Array.from({ length: calls }, async () => {
    while (next < events.length) {
      const some = events.slice(next, next += perCall);
      await outbox.append(some);
    }
  }));
  return performance.now() - start;
}

async function measureAppends(path: string): Promise<void> {
  await using outbox = await FileOutbox.open(path, { maxBytes: 2 ** 31 });
  const cases = [
    [1, 1, 300],
    [100, 1, 20_000],
    [1000, 1, 100_000],
    [5000, 1, 200_000],
    [1, 1000, 100_000],
    [4, 1000, 200_000],
  ] as const;
  for (const [calls, perCall, count] of cases) {
    const events = eventsOf(0, count);
    const ms = await append(outbox, events, calls, perCall);
    console.log(
      `append  ${calls} at a time, events a call ${perCall}: ${
        rate(count, ms)
      }`,
    );
    const start = performance.now();
    const ids = events.map(({ id }) => id);
    while (ids.length > 0) await outbox.remove(ids.splice(-1000));
    if (count >= 100_000) {
      console.log(
        `remove  1000 a call: ${rate(count, performance.now() - start)}`,
      );
    }
  }
}

async function store(path: string): Promise<void> {
  await using outbox = await FileOutbox.open(path, { maxBytes: 2 ** 31 });
  for (let n = 0; n < STORED; n += PER_CALL) {
    await outbox.append(eventsOf(n, PER_CALL));
  }
  console.log(`stored  ${outbox.size} events in ${mebibytes(outbox.bytes)}`);
}

async function load(path: string): Promise<void> {
  const before = process.memoryUsage().rss;
  const start = performance.now();
  await using outbox = await FileOutbox.open(path, { maxBytes: 2 ** 31 });
  const opened = performance.now();
  let events = 0;
  for await (const { members } of await outbox.load()) events += members.length;
  const loaded = performance.now();
  const { user, system } = process.cpuUsage();
  const rss = process.memoryUsage().rss;
  console.log(
    `load    ${events} events in ${Math.round(loaded - start)} ms: open ${
      Math.round(opened - start)
    } ms, read ${Math.round(loaded - opened)} ms; RSS ${mebibytes(rss)}, ${
      mebibytes(before)
    } before; ${((user + system) / 1e6).toFixed(1)} s of CPU, all threads`,
  );
}

/** Measures both, or loads a file in a process of its own. */
export async function outbox(args: readonly string[]): Promise<number> {
  const [first, path] = args;
  if (first === "--help") console.log(HELP);
  else if (first === "load") await load(path!);
  else await measureAll(first);
  return 0;
}

async function measureAll(parent: string | undefined): Promise<void> {
  const directory = await Deno.makeTempDir(
    parent === undefined ? {} : { dir: parent },
  );
  try {
    await measureAppends(`${directory}/appends.log`);
    await store(`${directory}/stored.log`);
    for (let round = 0; round < 3; round++) {
      // A process of its own: its memory is that of loading alone.
      await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          import.meta.filename!,
          "load",
          `${directory}/stored.log`,
        ],
      }).spawn().status;
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) Deno.exitCode = await outbox(Deno.args);
