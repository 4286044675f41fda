// What a process holds at rest: memory, sockets, timers, slots.
import vm from "node:vm";
import v8 from "node:v8";
import { delay } from "@std/async/delay";
import { MAX_CONNECTIONS, type SoakFixture } from "./fixture.ts";

const MB = 1024 * 1024;
const SETTLE_MS = 10_000;

/** What this process holds. */
export interface Usage {
  /** Bytes that JavaScript can reach, buffers included. */
  readonly heap: number;
  /** Bytes that the system has given. */
  readonly memory: number;
  /** Sockets of client and proxy; NaN where there is no /proc. */
  readonly sockets: number;
  /** Timers that have neither fired nor been cleared, of `setTimeout` and `setInterval`. */
  readonly timers: number;
  /** Commands in flight, callers that wait for a connection, and events in an outbox. */
  readonly slots: number;
}

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;
const timers = countTimers();

/** Measures what the process holds, apart from `slots`, which the caller has counted. */
export async function measure(slots: number): Promise<Usage> {
  for (let time = 1; time <= 3; time++) {
    await delay(10); // what was only held by this turn may go, and then what it held
    collectGarbage();
  }
  const { heapUsed, external, rss } = Deno.memoryUsage();
  return {
    heap: heapUsed + external, // array buffers are external
    memory: rss,
    sockets: countSockets(),
    timers: timers.size,
    slots,
  };
}

/** Waits until nothing goes on, and measures; what still goes on after a while is a violation. */
export async function measureAtRest(fixture: SoakFixture): Promise<Usage> {
  const giveUpAt = performance.now() + SETTLE_MS;
  let wrong = await activity(fixture);
  while (wrong !== undefined && performance.now() < giveUpAt) {
    await delay(50);
    wrong = await activity(fixture);
  }
  if (wrong !== undefined) fixture.log.violate(`at rest ${wrong}`);
  return await measure(slotsOf(fixture));
}

/** What is held, as a line of text. */
export const describe = (
  { heap, memory, sockets, timers, slots }: Usage,
): string =>
  `heap ${inMb(heap)}, memory ${inMb(memory)}, ` +
  `${sockets} sockets, ${timers} timers, ${slots} slots`;

/** What has grown by more than `most` from one measurement to another, in sentences. */
export const growth = (from: Usage, to: Usage, most: Usage): string[] =>
  (Object.keys(most) as (keyof Usage)[])
    .filter((what) => to[what] - from[what] > most[what])
    .map((what) =>
      `${what} grew from ${from[what]} to ${to[what]}, ${
        most[what]
      } more are allowed`
    );

const inMb = (bytes: number): string => `${(bytes / MB).toFixed(1)} MB`;

/** The slots that a client and its recorders have taken. */
export const slotsOf = ({ redis, recorders }: SoakFixture): number =>
  recorders.reduce(
    (sum, { pending }) => sum + pending,
    redis.stats().inFlight + redis.stats().waiting,
  );

/** What still goes on without any call, by the client, the proxy and the server. */
async function activity(fixture: SoakFixture): Promise<string | undefined> {
  const { redis, proxy, server } = fixture;
  const clients = await server.cli("CLIENT", "LIST", "TYPE", "normal");
  const served = clients.trim().split("\n").length - 1; // but for the one that asks
  const { open, idle } = redis.stats();
  const slots = slotsOf(fixture);
  if (slots > 0) return `${slots} slots are taken`;
  if (idle !== open) return `${open - idle} connections are not idle`;
  if (open > MAX_CONNECTIONS) return `${open} connections are open`;
  if (proxy.open !== open || served !== open) {
    return `the client holds ${open} connections, the proxy ${proxy.open}, the server ${served}`;
  }
}

function countSockets(): number {
  if (Deno.build.os !== "linux") return NaN;
  let sockets = 0;
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const target = Deno.readLinkSync(`/proc/self/fd/${name}`);
      if (target.startsWith("socket:")) sockets++;
    } catch {
      // The one that read this directory is gone by now.
    }
  }
  return sockets;
}

/** Counts timers, also those that do not keep a process alive. */
function countTimers(): ReadonlySet<number> {
  // By number: a timer is cleared by the object or by what it converts to.
  const live = new Set<number>();
  const { setTimeout, setInterval, clearTimeout, clearInterval } = globalThis;
  Object.assign(globalThis, {
    setTimeout(fn: (...args: unknown[]) => void, ms = 0, ...args: unknown[]) {
      const timer = setTimeout(() => {
        live.delete(Number(timer));
        fn(...args);
      }, ms);
      live.add(Number(timer));
      return timer;
    },
    setInterval(...args: Parameters<typeof setInterval>) {
      const timer = setInterval(...args);
      live.add(Number(timer));
      return timer;
    },
    clearTimeout(timer?: number) {
      live.delete(Number(timer));
      clearTimeout(timer);
    },
    clearInterval(timer?: number) {
      live.delete(Number(timer));
      clearInterval(timer);
    },
  });
  return live;
}
