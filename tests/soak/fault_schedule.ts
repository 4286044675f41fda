// Random faults of the network and of the server, planned before the load.
import { delay } from "@std/async/delay";
import type { CloseWay, Scope } from "../support/fault_proxy.ts";
import type { Random } from "../support/random.ts";
import type { SoakFixture } from "./fixture.ts";

/** A fault, and how it is ended. */
interface Fault {
  readonly name: string;
  readonly begin: (fixture: SoakFixture) => unknown;
  /** @default {nothing is to be ended: it does not last} */
  readonly end?: (fixture: SoakFixture) => unknown;
}

/** A fault, the pause before it, and how long it lasts. */
type Planned = Fault & { readonly afterMs: number; readonly forMs: number };

/** The faults of the network and, at the same time, of the server. */
export type FaultSchedule = readonly (readonly Planned[])[];

/** How long the server may take to recover. */
const RECOVERY_MS = 20_000;
const ANSWER_MS = 100;
/** A port without a listener. */
const CLOSED_PORT = 1;

/** Draws the faults of a round. */
export function planFaults(random: Random, ms: number): FaultSchedule {
  return [networkFault, serverFault].map((draw) => {
    const faults: Planned[] = [];
    for (let at = 0; at < ms;) {
      const afterMs = 50 + random.below(700);
      const fault = draw(random);
      const most = fault.end === undefined ? 1 : random.pick([50, 400, 1500]);
      const forMs = random.below(most);
      faults.push({ ...fault, afterMs, forMs });
      at += afterMs + forMs;
    }
    return faults;
  });
}

/** Runs the faults until `stop`. A fault that has begun is ended. */
export async function runFaults(
  fixture: SoakFixture,
  plan: FaultSchedule,
  stop: AbortSignal,
): Promise<void> {
  const { log } = fixture;
  const pause = (ms: number) => delay(ms, { signal: stop }).catch(() => {});
  await Promise.all(plan.map(async (faults) => {
    for (const { name, afterMs, forMs, begin, end } of faults) {
      await pause(afterMs);
      if (stop.aborted) return;
      log.faults++;
      log.activeFaults.add(name);
      await begin(fixture);
      await pause(forMs);
      await end?.(fixture);
      log.activeFaults.delete(name);
    }
  }));
}

/** Ends all faults, and waits until the server has answered `answers` times in a row. */
export async function endFaults(
  { proxy, server, log }: SoakFixture,
  answers: number,
): Promise<void> {
  proxy.pass();
  proxy.retarget({ port: server.port });
  await proxy.accept();
  const giveUpAt = Date.now() + RECOVERY_MS;
  for (let answered = 0; answered < answers; await delay(ANSWER_MS)) {
    try {
      if (server.running) server.thaw();
      await server.start();
      await server.cli("PING");
      answered++;
    } catch (error) {
      if (Date.now() > giveUpAt) throw error;
      answered = 0;
    }
  }
  log.activeFaults.clear();
}

function networkFault(random: Random): Fault {
  const scope = random.pick<Scope>(["all", "open", "new"]);
  const by = random.pick<CloseWay>(["fin", "rst"]);
  const bytes = random.below(random.pick([1, 50, 400, 50_000]));
  const piece = 1 + random.below(random.pick([3, 2000]));
  const ms = random.below(300);
  const pass = ({ proxy }: SoakFixture) => proxy.pass();
  const accept = ({ proxy }: SoakFixture) => proxy.accept();
  return random.pick<Fault>([
    {
      name: `silence of ${scope} connections`,
      begin: ({ proxy }) => proxy.silence({ scope }),
      // TCP loses no bytes from the middle: a connection that lost some must not go on.
      end: async ({ proxy }) => {
        const gone = proxy.killAll("rst");
        proxy.pass();
        await gone;
      },
    },
    {
      name: `${by} after ${bytes} bytes on ${scope} connections`,
      begin: ({ proxy }) => proxy.cut(bytes, { scope, by }),
      end: pass,
    },
    {
      name: `${ms} ms of delay on ${scope} connections`,
      begin: ({ proxy }) => proxy.delay(ms, { scope }),
      end: pass,
    },
    {
      name: `pieces of ${piece} bytes on ${scope} connections`,
      begin: ({ proxy }) => proxy.split(piece, { scope, everyMs: ms % 3 }),
      end: pass,
    },
    { name: `${by} for all`, begin: ({ proxy }) => proxy.killAll(by) },
    { name: "refusal", begin: ({ proxy }) => proxy.refuse(), end: accept },
    {
      name: `${by} for new connections`,
      begin: ({ proxy }) => proxy.slam(by),
      end: accept,
    },
    {
      name: "a proxy without a server",
      begin: ({ proxy }) => proxy.retarget({ port: CLOSED_PORT }),
      end: ({ proxy, server }) => proxy.retarget({ port: server.port }),
    },
  ]);
}

function serverFault(random: Random): Fault {
  const which = random.word();
  const start = ({ server }: SoakFixture) => server.start();
  return random.pick<Fault>([
    {
      name: "CLIENT KILL of all",
      begin: ({ server }) =>
        server.cli("CLIENT", "KILL", "TYPE", "normal").catch(mayBeDown),
    },
    {
      name: "CLIENT KILL of one",
      begin: async ({ server }) => {
        const list = await server.cli("CLIENT", "LIST").catch(mayBeDown) ?? "";
        const ids = Array.from(list.matchAll(/^id=(\d+)/gm), ([, id]) => id!);
        const id = ids[which % ids.length] ?? 0;
        await server.cli("CLIENT", "KILL", "ID", id).catch(mayBeDown);
      },
    },
    {
      name: "freeze",
      begin: ({ server }) => server.running && server.freeze(),
      end: ({ server }) => server.running && server.thaw(),
    },
    { name: "restart", begin: ({ server }) => server.stop(), end: start },
    { name: "crash", begin: ({ server }) => server.kill(), end: start },
  ]);
}

/** Only Ctrl-C ends the server unexpectedly, and `endFaults` starts it again. */
function mayBeDown(error: unknown): undefined {
  // The connection that asks may be the one that is killed.
  if (
    /refused|reset|closed the connection|Broken pipe|No such client/.test(
      `${error}`,
    )
  ) {
    return;
  }
  throw error;
}
