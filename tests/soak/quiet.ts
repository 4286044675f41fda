// What a process holds when nobody calls: memory, sockets, timers, slots.
import vm from "node:vm";
import v8 from "node:v8";
import { delay } from "@std/async/delay";
import { MAX_CONNECTIONS, type Scene } from "./scene.ts";

const MB = 1024 * 1024;
const SETTLE_MS = 10_000;

/** What this process holds. */
export interface Holding {
  /** Bytes that JavaScript can reach, buffers included. */
  readonly heap: number;
  /** Bytes that the system has given. */
  readonly memory: number;
  /** Sockets of client and proxy; NaN where there is no /proc to tell. */
  readonly sockets: number;
  /** Timers that have neither fired nor been cleared, of `setTimeout` and `setInterval`. */
  readonly timers: number;
  /** Commands in flight, callers who wait for a connection, and events in an outbox. */
  readonly slots: number;
}

v8.setFlagsFromString("--expose-gc");
const collectGarbage = vm.runInNewContext("gc") as () => void;
const timers = countTimers();

/** Looks at what the process holds; of slots it must be told. */
export async function look(slots: number): Promise<Holding> {
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

/** Waits until nothing goes on, complains if something does, and looks. */
export async function lookAround(scene: Scene): Promise<Holding> {
  const giveUpAt = performance.now() + SETTLE_MS;
  let wrong = await unrest(scene);
  while (wrong !== undefined && performance.now() < giveUpAt) {
    await delay(50);
    wrong = await unrest(scene);
  }
  if (wrong !== undefined) scene.ledger.violate(`in the quiet ${wrong}`);
  return await look(slotsOf(scene));
}

/** A look as a line of text. */
export const describe = (
  { heap, memory, sockets, timers, slots }: Holding,
): string =>
  `heap ${inMb(heap)}, memory ${inMb(memory)}, ` +
  `${sockets} sockets, ${timers} timers, ${slots} slots`;

/** What has grown by more than `most` from one look to another, in sentences. */
export const growth = (from: Holding, to: Holding, most: Holding): string[] =>
  (Object.keys(most) as (keyof Holding)[])
    .filter((what) => to[what] - from[what] > most[what])
    .map((what) =>
      `${what} grew from ${from[what]} to ${to[what]}, ${
        most[what]
      } more are allowed`
    );

const inMb = (bytes: number): string => `${(bytes / MB).toFixed(1)} MB`;

/** The slots that a client and its recorders have taken. */
export const slotsOf = ({ redis, recorders }: Scene): number =>
  recorders.reduce(
    (sum, { pending }) => sum + pending,
    redis.stats().inFlight + redis.stats().waiting,
  );

/** What goes on although nobody calls, by what the client, the proxy and the server say. */
async function unrest(scene: Scene): Promise<string | undefined> {
  const { redis, proxy, server } = scene;
  const clients = await server.cli("CLIENT", "LIST", "TYPE", "normal");
  const served = clients.trim().split("\n").length - 1; // but for the one that asks
  const { open, idle } = redis.stats();
  const slots = slotsOf(scene);
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

/** Keeps account of timers, also of those that do not keep a process alive. */
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
