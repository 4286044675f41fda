// Callers of every kind, each of which checks its own replies.
import { delay } from "@std/async/delay";
import { type Command, type Fate, type Reply, ReplyError } from "../../mod.ts";
import { isRefusal, show } from "./outcome_log.ts";
import type { SoakFixture } from "./fixture.ts";

const PAGE = 10_000;
const BURST = 40;
const DAY = { windowSeconds: 86_400 };

/** A caller that repeats its steps, and checks afterwards whether all was right. */
export interface Caller {
  /** Each does its step again and again, one after the other. */
  readonly steps: readonly (() => Promise<unknown>)[];
  /** Checks what is in Redis, at rest. */
  readonly verify: () => Promise<unknown>;
}

/** Makes a caller. Only its keys begin with `key`. */
type Kind = (fixture: SoakFixture, key: string) => Caller;

/** Callers of every kind, whose keys begin with `prefix`. */
export function makeCallers(fixture: SoakFixture, prefix: string): Caller[] {
  const most = [echoer, register, counter, shop];
  const others = [pipeliner, pipeliner, pipeliner, transactor, transactor];
  return [...most, ...most, ...most, ...most, ...others, queue].map(
    (kind, n) => kind(fixture, `${prefix}:${kind.name}${n}`),
  );
}

/** Lets a caller work until `stop`. */
export async function work(
  { steps }: Caller,
  { random }: SoakFixture,
  stop: AbortSignal,
): Promise<void> {
  await Promise.all(steps.map(async (step) => {
    while (!stop.aborted) {
      await step();
      await delay(random.below(20));
    }
  }));
}

/** ECHO: each reply reaches its own caller. */
const echoer: Kind = (fixture, key) => {
  const { random } = fixture;
  const expect = expecting(fixture, key);
  const newText = texts(fixture, key);
  async function echo(): Promise<void> {
    const text = newText();
    const binary = random.oneIn(3);
    const { value } = await fixture.send(["ECHO", text], { binary });
    if (value === undefined) return;
    const isBytes = value instanceof Uint8Array;
    expect("bytes of ECHO", `${isBytes}`, `${binary}`);
    expect("ECHO", isBytes ? new TextDecoder().decode(value) : value, text);
  }
  const step = () => several(random.oneIn(20) ? BURST : 1, echo);
  return { steps: [step], verify: () => Promise.resolve() };
};

/** What a key may hold that one caller sets, to another value each time. */
class Held {
  #last: string | null = null;
  /** Values that may still be on their way, and be set at any time. */
  readonly #late = new Set<string>();

  /** A SET came to its end; `mayRunLate` if more than the answered one was sent. */
  set(text: string, fate: Fate, mayRunLate: boolean): void {
    if (fate === "executed") this.#last = text;
    if (fate === "unknown" || mayRunLate) this.#late.add(text);
  }

  get possible(): Reply[] {
    return [this.#last, ...this.#late];
  }
}

/** SET and GET: what was acknowledged last is there. */
const register: Kind = (fixture, key) => {
  const { random, redis, server } = fixture;
  const expect = expecting(fixture, key);
  const newText = texts(fixture, key);
  const held = new Held();
  async function get(): Promise<void> {
    const { value } = await fixture.send(["GET", key]);
    if (value !== undefined) expect("GET", value, ...held.possible);
  }
  async function set(): Promise<void> {
    const text = newText();
    const resolveFate = random.oneIn(2);
    const { replays } = redis.stats();
    const outcome = await fixture.send(
      ["SET", key, text],
      resolveFate ? { replay: "never", resolveFate } : {},
    );
    if (outcome.value !== undefined) expect("SET", outcome.value, "OK");
    const mayRunLate = !resolveFate && redis.stats().replays > replays;
    held.set(text, outcome.fate, mayRunLate);
  }
  return {
    steps: [() => random.oneIn(2) ? get() : set()],
    verify: async () =>
      expect("GET", await server.cli("GET", key) || null, ...held.possible),
  };
};

/** Counts INCRs: no success that did not run, and none that ran twice. */
function tallyOf({ server, log }: SoakFixture, key: string) {
  let [successes, unknown, last] = [0, 0, 0];
  return {
    answered(what: string, value: Reply | undefined): void {
      successes++;
      if (typeof value === "number" && value > last) last = value;
      else {log.violate(
          `${key}: ${what} answered ${show(value)} after ${last}`,
        );}
    },
    lost(fate: Fate): void {
      if (fate === "unknown") unknown++;
      else if (fate === "executed") successes++;
    },
    async verify(): Promise<void> {
      const value = Number(await server.cli("GET", key));
      if (value >= successes && value <= successes + unknown) return;
      log.violate(
        `${key} is ${value} after ${successes} successes and ${unknown} unknown fates`,
      );
    },
  };
}

/** INCR on a shared connection. */
const counter: Kind = (fixture, key) => {
  const tally = tallyOf(fixture, key);
  async function step(): Promise<void> {
    const { value, fate } = await fixture.send(["INCR", key]);
    if (value === undefined) tally.lost(fate);
    else tally.answered("INCR", value);
  }
  return { steps: [step], verify: tally.verify };
};

/** Several commands in one flush: each has its own reply, even where the server refuses some. */
const pipeliner: Kind = (fixture, key) => {
  const { random, redis } = fixture;
  const expect = expecting(fixture, key);
  const newText = texts(fixture, key);
  const held = new Held();
  const tally = tallyOf(fixture, `${key}:n`);
  async function step(): Promise<void> {
    const text = newText();
    const sound: Command[] = [["SET", key, text], ["GET", key], ["ECHO", text]];
    // With these it must not be sent again; the answer to the last is an error.
    const counts = random.oneIn(2);
    const commands: Command[] = counts
      ? [["INCR", `${key}:n`], ...sound, ["LPOP", key]]
      : sound;
    const once = random.oneIn(5) ? { retry: false as const } : {};
    const { replays } = redis.stats();
    const { value, fate } = await fixture.call(
      "a pipeline",
      (patience) => redis.pipeline(commands, { ...once, ...patience }),
    );
    const mayRunLate = redis.stats().replays > replays;
    if (value === undefined) {
      if (counts) tally.lost(fate);
      return held.set(text, fate, mayRunLate);
    }
    expect("the number of replies", value.length, commands.length);
    const [incr, set, get, echo, lpop] = counts ? value : [null, ...value];
    expect("ECHO in a pipeline", echo, text);
    if (counts && !isRefusal(incr)) tally.answered("a pipeline", incr);
    // A server that is loading refuses all but ECHO, and may be ready by the next command.
    if (!isRefusal(set)) {
      expect("SET in a pipeline", set, "OK");
      held.set(text, "executed", mayRunLate);
    }
    const { possible } = held;
    if (!isRefusal(get)) expect("GET in a pipeline", get, ...possible);
    if (!counts || isRefusal(lpop)) return;
    const isWrongType = lpop instanceof ReplyError && lpop.code === "WRONGTYPE";
    const isEmpty = lpop === null && possible.includes(null);
    if (!isWrongType && !isEmpty) expect("LPOP of a string", lpop, "WRONGTYPE");
  }
  return { steps: [step], verify: tally.verify };
};

/** MULTI and EXEC on a lease: both counters go up, or none. */
const transactor: Kind = (fixture, key) => {
  const { random, redis, server } = fixture;
  const expect = expecting(fixture, key);
  const tally = tallyOf(fixture, `${key}:a`);
  async function step(): Promise<void> {
    const leavesIt = random.oneIn(10);
    let isCommitting = false;
    const { value, fate } = await fixture.call(
      "a transaction",
      async (patience) => {
        await using lease = await redis.lease(patience);
        expect("MULTI", await lease.send(["MULTI"], patience), "OK");
        for (const name of ["a", "b"]) {
          const reply = await lease.send(["INCR", `${key}:${name}`], patience);
          expect("INCR in a transaction", reply, "QUEUED");
        }
        if (leavesIt) return []; // the next lease of the connection must not be in it
        isCommitting = true;
        return await lease.send(["EXEC"], patience);
      },
    );
    if (value === undefined) return tally.lost(isCommitting ? fate : "unsent");
    if (leavesIt) return;
    const [a, b] = Array.isArray(value) ? value : [];
    tally.answered("EXEC", a);
    expect("EXEC", b, a ?? null);
  }
  async function verify(): Promise<void> {
    await tally.verify();
    const both = await server.cli("MGET", `${key}:a`, `${key}:b`);
    const [a, b] = both.split("\n");
    expect("GET of the other counter", b, a ?? null);
  }
  return { steps: [step], verify };
};

/** RPUSH and BLPOP: no item comes twice, and none is missing except by a lost BLPOP. */
const queue: Kind = (fixture, key) => {
  const { random, server, log } = fixture;
  const pushed = new Map<string, Fate>();
  const popped = new Map<string, number>();
  let lostPops = 0;
  const came = (item: string) => popped.set(item, (popped.get(item) ?? 0) + 1);
  async function push(): Promise<void> {
    const item = `${key}#${pushed.size}`;
    pushed.set(item, "unknown"); // it may be popped before we know
    pushed.set(item, (await fixture.send(["RPUSH", key, item])).fate);
  }
  async function pop(): Promise<void> {
    const seconds = (1 + random.below(40)) / 100;
    const { value, fate } = await fixture.send(["BLPOP", key, seconds]);
    if (Array.isArray(value) && value[0] === key) came(`${value[1]}`);
    else if (value) log.violate(`${key}: BLPOP answered ${show(value)}`);
    else if (value === undefined && fate !== "unsent") lostPops++;
  }
  async function verify(): Promise<void> {
    const left = await server.cli("LRANGE", key, 0, -1);
    for (const item of left.split("\n")) if (item !== "") came(item);
    for (const [item, times] of popped) {
      const fate = pushed.get(item) ?? "unsent";
      if (times === 1 && fate !== "unsent") continue;
      log.violate(`${item} came ${times} times, its fate was ${fate}`);
    }
    const gone = [...pushed].filter(([item, fate]) =>
      fate === "executed" && !popped.has(item)
    );
    if (gone.length > lostPops) {
      log.violate(`${gone.length} are gone by ${lostPops} lost BLPOPs`);
    }
  }
  return { steps: [push, pop, pop], verify };
};

/** Webhook events: none missing, none doubled, never an error. */
const shop: Kind = (fixture, key) => {
  const { random, recorders, log, server } = fixture;
  const expect = expecting(fixture, key);
  const members: string[] = [];
  const event = { mallId: key, shopNo: 1, eventType: "orders" };
  let [deliveries, recorded] = [0, 0];
  const newMember = () => {
    const member = `${key}:${members.length}`;
    members.push(member);
    return member;
  };
  /** Records `count` events, or a delivery. */
  async function record(count: number, deliveryId?: string): Promise<void> {
    const { value } = await log.call("record", () => {
      fixture.nextMember = newMember; // members are made before record() returns
      const recorder = random.pick(recorders);
      return deliveryId === undefined
        ? recorder.record(event, count)
        : recorder.record({ ...event, deliveryId });
    });
    expect("record()", value?.status, "recorded", "queued");
    if (value?.status === "recorded" && !deliveryId) recorded += count;
  }
  async function frequency(): Promise<void> {
    const least = recorded;
    const { value = least } = await log.call(
      "frequency",
      () => recorders[0]!.frequency(event, DAY),
    );
    const most = members.length + deliveries;
    if (value >= least && value <= most) return;
    log.violate(`${key}: frequency() is ${value}, not ${least} to ${most}`);
  }
  async function step(): Promise<void> {
    if (random.oneIn(12)) return await frequency();
    if (random.oneIn(12)) { // the sender delivers twice
      const deliveryId = `${key}#${deliveries++}`;
      return await several(2, () => record(1, deliveryId));
    }
    const count = random.oneIn(5) ? 1 + random.below(9) : 1;
    await several(random.oneIn(12) ? BURST : 1, () => record(count));
  }
  async function verify(): Promise<void> {
    const set = `webhook_frequency_${key}_1_orders`;
    const found = new Set<string>();
    for (let start = 0;; start += PAGE) {
      const page = await server.cli("ZRANGE", set, start, start + PAGE - 1);
      if (page === "") break;
      for (const member of page.split("\n")) found.add(member);
    }
    const missing = members.filter((member) => !found.delete(member));
    expect("the number of missing events", missing.length, 0);
    // What is left has names that the recorder made from delivery ids.
    expect("the number of deliveries", found.size, deliveries);
  }
  return { steps: [step], verify };
};

/** Notes a reply that is none of the expected ones as a violation. */
const expecting =
  ({ log }: SoakFixture, key: string) =>
  (what: string, reply: Reply | undefined, ...expected: Reply[]): void => {
    if (reply !== undefined && expected.includes(reply)) return;
    const wanted = expected.map(show).join(" or ");
    log.violate(`${key}: ${what} answered ${show(reply)}, not ${wanted}`);
  };

/** Makes texts that are sent once. */
function texts(fixture: SoakFixture, key: string): () => string {
  let made = 0;
  return () => fixture.text(`${key}#${made++}`);
}

async function several(count: number, act: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: count }, act));
}
