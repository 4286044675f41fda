// That redirects are followed by their rules, with peers that answer what no real cluster can be made to.

import "../../support/strict.ts";
import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  CommandError,
  ConnectionClosedError,
  DialError,
  fateOf,
  Redis,
  Retry,
} from "../../../mod.ts";
import { hashSlotOf } from "../../../client/servers/hash_slot.ts";
import {
  type Answer,
  CLOSE,
  helloOf,
  ScriptedServer,
} from "../../support/scripted_server.ts";

const SLOT = hashSlotOf("key");

/** The answer to CLUSTER SLOTS of a cluster of one primary. */
const slotsOf = (port: number): string =>
  `*1\r\n*3\r\n:0\r\n:16383\r\n*3\r\n$9\r\n127.0.0.1\r\n:${port}\r\n$2\r\nid\r\n`;

/** The same of two primaries: hash slots up to 8000, and the rest. */
const slotsOfTwo = (first: number, second: number): string =>
  `*2\r\n*3\r\n:0\r\n:8000\r\n*2\r\n$9\r\n127.0.0.1\r\n:${first}\r\n` +
  `*3\r\n:8001\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:${second}\r\n`;

/** A node of a cluster: the handshake is answered as by a real one, all else by `answer`. */
const nodeBy = (
  answer: (command: string[], connection: number) => Answer,
  slots: () => string | undefined,
): ScriptedServer =>
  new ScriptedServer((command, connection) => {
    switch (command[0]) {
      case "HELLO":
        return helloOf({
          server: "redis",
          version: "7.0.0",
          mode: "cluster",
          role: "master",
        });
      case "CLUSTER":
        return slots();
      case "ASKING":
        return "+OK\r\n";
      default:
        return answer(command, connection);
    }
  });

const urlOf = (server: ScriptedServer): string =>
  `redis://${server.address}?cluster=true`;

/** How often a command was heard. */
const countOf = ({ heard }: ScriptedServer, name: string): number =>
  heard.flat().filter((command) => command.startsWith(name)).length;

Deno.test("Two nodes that send a call to each other are followed five times, then by the retry policy", async () => {
  await using other = nodeBy(
    () => `-MOVED ${SLOT} 127.0.0.1:${node.port}\r\n`,
    () => slotsOf(node.port),
  );
  await using node: ScriptedServer = nodeBy(
    () => `-MOVED ${SLOT} 127.0.0.1:${other.port}\r\n`,
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 2 }),
  });
  const error = await assertRejects(() => redis.send(["INCR", "key"]));
  assertEquals(fateOf(error), "unsent");
  // Three attempts of the policy, each with five redirects. One that has left meanwhile takes one of them.
  const sent = countOf(node, "INCR") + countOf(other, "INCR");
  assert(sent > 3 * 4 && sent <= 3 * 6, `${sent}`);
  assertLess(redis.stats().topology!.asked, 8);
});

Deno.test("Without a retry policy five redirects are followed all the same", async () => {
  await using node: ScriptedServer = nodeBy(
    () =>
      countOf(node, "INCR") <= 5
        ? `-ASK ${SLOT} 127.0.0.1:${node.port}\r\n`
        : ":1\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), { retry: false });
  const error = await assertRejects(() => redis.send(["INCR", "key"]));
  assert(error instanceof CommandError);
  assertEquals([error.code, error.fate], ["ASK", "unsent"]);
});

Deno.test("A node that sends a call to itself gets it on a new connection, once", async () => {
  await using node = nodeBy(
    (_, connection) =>
      connection === 1 ? `-MOVED ${SLOT} 127.0.0.1:${node.port}\r\n` : ":1\r\n",
    (): string => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), { retry: false });
  assertEquals(await redis.send(["INCR", "key"]), 1);
  assertEquals(node.heard.length, 2);
  assertEquals(redis.stats().evicted.moved, 1);
});

Deno.test("A node that goes on sending calls to itself is refused by the policy, not dialed for ever", async () => {
  await using node = nodeBy(
    () => `-MOVED ${SLOT} 127.0.0.1:${node.port}\r\n`,
    (): string => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 2 }),
  });
  await assertRejects(() => redis.send(["INCR", "key"]));
  assertLess(node.heard.length, 6);
});

Deno.test("ASKING and its command stand together, whatever else is sent in that turn", async () => {
  await using target = nodeBy(
    ([name]) => name === "GET" ? "$-1\r\n" : ":1\r\n",
    () => undefined,
  );
  await using node: ScriptedServer = nodeBy(
    ([name, key]) =>
      name === "INCR" && key === "key"
        ? `-ASK ${SLOT} 127.0.0.1:${target.port}\r\n`
        : `-MOVED ${hashSlotOf(key!)} 127.0.0.1:${target.port}\r\n`,
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node));
  const calls: Promise<unknown>[] = [];
  for (let i = 0; i < 50; i++) {
    calls.push(redis.send(["INCR", "key"]), redis.send(["GET", `other-${i}`]));
    calls.push(redis.pipeline([["INCR", "key"], ["INCR", "key"]]));
  }
  await Promise.all(calls);
  for (const commands of target.heard) {
    commands.forEach((command, i) => {
      if (command === "INCR key") assertEquals(commands[i - 1], "ASKING");
    });
  }
  assertEquals(countOf(target, "INCR key"), 150);
  assertEquals(countOf(target, "ASKING"), 150);
});

Deno.test("A server that has left and is named again is dialed anew", async () => {
  await using target: ScriptedServer = nodeBy(
    () => ":1\r\n",
    () => slotsOf(node.port),
  );
  let isMoved = true;
  await using node: ScriptedServer = nodeBy(
    () => isMoved ? `-MOVED ${SLOT} 127.0.0.1:${target.port}\r\n` : ":2\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), { retry: false });
  for (let i = 0; i < 3; i++) {
    isMoved = true;
    assertEquals(await redis.send(["INCR", "key"]), 1);
    // The question that the redirect has led to is answered: the target holds nothing.
    while (redis.originOf("key").port !== node.port) await delay(10);
    isMoved = false;
    assertEquals(await redis.send(["INCR", "key"]), 2);
  }
  assertEquals(target.heard.length, 3);
});

Deno.test("A redirect that makes no sense is an error of the call", async () => {
  for (
    const text of [
      "MOVED __proto__ x:1",
      "MOVED 99999 127.0.0.1:1",
      "MOVED 1",
      "ASK",
    ]
  ) {
    await using node = nodeBy(
      () => `-${text}\r\n`,
      (): string => slotsOf(node.port),
    );
    await using redis = new Redis(urlOf(node), { retry: false });
    const error = await assertRejects(
      () => redis.send(["INCR", "key"]),
      CommandError,
    );
    assertEquals([error.message, error.fate], [text, "unsent"]);
  }
});

Deno.test("A redirect within what a script answers is the script's own, and is not followed", async () => {
  await using node: ScriptedServer = nodeBy(
    () => `-MOVED ${(SLOT + 1) % 16384} 127.0.0.1:1\r\n`,
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node));
  const error = await assertRejects(
    () => redis.send(["EVAL", "return redis.call('GET', 'other')", 1, "key"]),
    CommandError,
  );
  assertEquals(fateOf(error), "unknown");
  assertEquals(countOf(node, "EVAL"), 1);
});

Deno.test("A redirect without a host leads to the host that was asked", async () => {
  await using target = nodeBy(() => ":1\r\n", () => undefined);
  await using node: ScriptedServer = nodeBy(
    () => `-MOVED ${SLOT} :${target.port}\r\n`,
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node));
  assertEquals(await redis.send(["INCR", "key"]), 1);
  assertEquals(countOf(target, "INCR"), 1);
});

Deno.test("A thousand calls that fail ask for the topology a few times", async () => {
  await using node: ScriptedServer = nodeBy(
    () => "-CLUSTERDOWN The cluster is down\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), { retry: false });
  await Promise.allSettled(
    Array.from({ length: 1000 }, () => redis.send(["GET", "key"])),
  );
  await delay(250);
  assertLess(countOf(node, "CLUSTER SLOTS"), 6);
});

Deno.test("Refusals of one moment cost one retry of the budget, however many commands are refused", async () => {
  let refused = 0;
  await using node: ScriptedServer = nodeBy(
    () => refused++ < 1500 ? "-CLUSTERDOWN The cluster is down\r\n" : "$-1\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 20 }),
  });
  await Promise.all(
    Array.from({ length: 1000 }, () => redis.send(["GET", "key"])),
  );
  assert(redis.stats().retries >= 1000);
  assert(redis.stats().retryBudget > 80, `${redis.stats().retryBudget}`);
});

Deno.test("A node that closes on every command is left to the policy, and dialed no more often than that", async () => {
  await using node = nodeBy(() => CLOSE, (): string => slotsOf(node.port));
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 2 }),
  });
  await assertRejects(() => redis.send(["GET", "key"]));
  assertLess(node.heard.length, 12);
});

Deno.test("An abort says that a pipeline may have run if one of its groups was lost", async () => {
  await using node: ScriptedServer = nodeBy(
    ([, key]) => key === "a" ? CLOSE : "-CLUSTERDOWN The cluster is down\r\n",
    () => slotsOfTwo(other.port, node.port),
  );
  await using other: ScriptedServer = nodeBy(
    () => "-CLUSTERDOWN The cluster is down\r\n",
    () => slotsOfTwo(other.port, node.port),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 100 }),
  });
  const caller = new AbortController();
  const reason = new Error("not needed any more");
  const replies = redis.pipeline([["INCR", "a"], ["INCR", "b"]], {
    signal: caller.signal,
  });
  while (countOf(node, "INCR a") === 0) await delay(10);
  await delay(50);
  caller.abort(reason);
  assertEquals(await assertRejects(() => replies), reason);
  assertEquals(fateOf(reason), "unknown");
});

Deno.test("On a lease a redirect is the answer, even where the map of addresses throws for it", async () => {
  await using node = nodeBy(
    ([name]) => name === "GET" ? `-MOVED ${SLOT} 127.0.0.1:1\r\n` : "+OK\r\n",
    (): string => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    cluster: {
      mapAddress(address) {
        if (address === "127.0.0.1:1") throw new Error("not on the map");
        return address;
      },
    },
  });
  await using lease = await redis.lease({ key: "key" });
  await assertRejects(() => lease.send(["GET", "key"]), CommandError, "MOVED");
  assertEquals(await lease.send(["SET", "key", 1]), "OK");
});

Deno.test("A redirect on a lease says which server the lease is of, and how to get another", async () => {
  for (const code of ["MOVED", "ASK"]) {
    const answer = `${code} ${SLOT} 127.0.0.1:1`;
    await using node = nodeBy(
      () => `-${answer}\r\n`,
      (): string => slotsOf(node.port),
    );
    await using redis = new Redis(urlOf(node), { retry: false });
    await using lease = await redis.lease({ key: "other" });
    const error = await assertRejects(
      () => lease.send(["GET", "key"]),
      CommandError,
    );
    assertEquals(
      error.message,
      `${answer}; this lease is of ${node.address}: take another with redis.lease({ key }), or give its keys the same {tag}`,
    );
    assertEquals([error.code, error.fate], [code, "unsent"]);
    const text = `Lease of connection 1 to ${node.address}, `;
    assertEquals(Deno.inspect(lease), `${text}held`);
    lease.release();
    assertEquals(Deno.inspect(lease), `${text}released`);
  }
});

Deno.test("A Sentinel that is asked for the topology is named as one", async () => {
  await using sentinel = new ScriptedServer(([name]) =>
    name === "HELLO"
      ? helloOf({ server: "redis", version: "7.0.0", mode: "sentinel" })
      : "-ERR unknown command 'CLUSTER', with args beginning with: 'SLOTS' \r\n"
  );
  await using redis = new Redis(urlOf(sentinel), { retry: false });
  await assertRejects(
    () => redis.send(["GET", "key"]),
    DialError,
    "it answered ERR unknown command 'CLUSTER'; this server is a Sentinel, which holds no keys: use ?sentinel=name instead of ?cluster=true",
  );
});

Deno.test("A frozen primary that was replaced is left at once, even if an ASK has named it before", async () => {
  let isFrozen = false;
  let isReplaced = false;
  const slots = () =>
    slotsOfTwo(node.port, isReplaced ? replica.port : primary.port);
  await using node: ScriptedServer = nodeBy(
    ([, key]) => `-ASK ${hashSlotOf(key!)} 127.0.0.1:${primary.port}\r\n`,
    () => slots(),
  );
  await using replica = nodeBy(() => "+new\r\n", () => slots());
  await using primary = nodeBy(
    () => isFrozen ? undefined : "+old\r\n",
    () => isFrozen ? undefined : slots(),
  );
  await using redis = new Redis(urlOf(node));
  assertEquals(await redis.send(["SET", "b", 1]), "old"); // by ASK
  assertEquals(await redis.send(["SET", "a", 1]), "old");
  isFrozen = true;
  const reply = redis.send(["SET", "a", 2]);
  await delay(200);
  isReplaced = true;
  const startedAt = performance.now();
  assertEquals(await reply, "new");
  assertLess(performance.now() - startedAt, 3000); // not after the reply timeout, 5 s
});

Deno.test("A call that finds too many others waiting says nothing against its server", async () => {
  await using node: ScriptedServer = nodeBy(
    () => undefined,
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    maxConnections: 1,
    maxWaiting: 1,
    retry: false,
  });
  const signal = AbortSignal.timeout(500);
  const failure = () =>
    redis.send(["BLPOP", "key", 10], { signal }).then(
      () => undefined,
      (error) => error,
    );
  const calls = [failure()];
  await delay(100);
  for (let i = 0; i < 20; i++) {
    calls.push(failure());
    await delay(10);
  }
  const ends = await Promise.all(calls);
  assert(ends.some((error) => error instanceof CheckoutTimeoutError));
  assertEquals(redis.stats().topology!.asked, 1);
});

Deno.test("After an ASK whose target refuses the command, the next attempt begins where its hash slot is", async () => {
  await using target = nodeBy(
    () => "-TRYAGAIN Multiple keys request during rehashing of slot\r\n",
    () => undefined,
  );
  await using node: ScriptedServer = nodeBy(
    () =>
      countOf(node, "INCR") === 1
        ? `-ASK ${SLOT} 127.0.0.1:${target.port}\r\n`
        : ":2\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 1 }),
  });
  assertEquals(await redis.send(["INCR", "key"]), 2);
  assertEquals([countOf(target, "ASKING"), countOf(target, "INCR")], [1, 1]);
});

Deno.test("Redirects after a refusal or a loss are counted anew", async () => {
  const ends: Answer[] = ["-CLUSTERDOWN The cluster is down\r\n", CLOSE];
  for (const between of ends) {
    let answers = 0;
    const answer = (other: ScriptedServer): Answer => {
      const n = ++answers;
      if (n === 5) return between;
      return n === 9 ? "+done\r\n" : `-ASK ${SLOT} 127.0.0.1:${other.port}\r\n`;
    };
    await using other: ScriptedServer = nodeBy(
      () => answer(node),
      () => slotsOf(node.port),
    );
    await using node: ScriptedServer = nodeBy(
      () => answer(other),
      () => slotsOf(node.port),
    );
    await using redis = new Redis(urlOf(node), {
      retry: new Retry({ retries: 1 }),
    });
    assertEquals(await redis.send(["GET", "key"]), "done");
    assertLess(redis.stats().retries, 2);
    assertEquals(redis.stats().redirects.ask, 7);
  }
});

Deno.test("A primary that is silent is asked for the topology after the others", async () => {
  let isFrozen = false;
  const slots = () => slotsOfTwo(node.port, frozen.port);
  await using node: ScriptedServer = nodeBy(() => "+OK\r\n", () => slots());
  await using frozen = nodeBy(
    () => isFrozen ? undefined : "+OK\r\n",
    () => isFrozen ? undefined : slots(),
  );
  await using redis = new Redis(urlOf(node), { replyTimeoutMs: 3000 });
  await redis.pipeline([["GET", "a"], ["GET", "b"]]);
  isFrozen = true;
  const before = countOf(frozen, "CLUSTER");
  const { asked } = redis.stats().topology!;
  await redis.send(["GET", "a"], { deadlineMs: 2200 }).catch(() => {});
  assert(redis.stats().topology!.asked > asked + 2);
  assertEquals(countOf(frozen, "CLUSTER"), before);
});

Deno.test("The error of a cluster of one address says that it has not answered", async () => {
  await using node = nodeBy(() => "+OK\r\n", () => "-NOPERM no\r\n");
  await using redis = new Redis(urlOf(node), { retry: false });
  await assertRejects(
    () => redis.send(["GET", "key"]),
    DialError,
    `its only known server has not answered CLUSTER SLOTS: 127.0.0.1:${node.port} it answered NOPERM no`,
  );
});

Deno.test("A command that the table does not have goes where MOVED says, whatever its first argument is", async () => {
  const slots = () => slotsOfTwo(first.port, second.port);
  await using first: ScriptedServer = nodeBy(
    () => `-MOVED ${hashSlotOf("a")} 127.0.0.1:${second.port}\r\n`,
    () => slots(),
  );
  await using second: ScriptedServer = nodeBy(() => "+done\r\n", () => slots());
  await using redis = new Redis(urlOf(first), { retry: false });
  assertEquals(await redis.send(["MODULE.READ", "b", "a"]), "done");
  const pipeline = await redis.pipeline([["MODULE.READ", "b", "a"]]);
  assertEquals(pipeline, ["done"]);
  assertEquals(countOf(first, "MODULE.READ"), 2);
});

Deno.test("In a pipeline, too, a redirect within what a script answers is the script's own", async () => {
  const other = (SLOT + 1) % 16384;
  await using node: ScriptedServer = nodeBy(
    ([name]) => name === "EVAL" ? `-MOVED ${other} 127.0.0.1:1\r\n` : "+OK\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node));
  const [error, ok] = await redis.pipeline([
    ["EVAL", "return redis.call('GET', 'other')", 1, "key"],
    ["SET", "key", 1],
  ]);
  assert(error instanceof CommandError);
  assertEquals([fateOf(error), ok], ["unknown", "OK"]);
  assertEquals(countOf(node, "EVAL"), 1);
});

Deno.test("A command that blocks at a frozen primary ends soon after that was replaced", async () => {
  let isReplaced = false;
  const slots = () =>
    slotsOfTwo(node.port, isReplaced ? replica.port : primary.port);
  await using node: ScriptedServer = nodeBy(() => "+OK\r\n", () => slots());
  await using replica = nodeBy(() => "+new\r\n", () => slots());
  await using primary: ScriptedServer = nodeBy(
    ([name]) => name === "BLPOP" ? undefined : "-CLUSTERDOWN down\r\n",
    () => slots(),
  );
  await using redis = new Redis(urlOf(node), {
    retry: new Retry({ retries: 10 }),
  });
  const frozen = assertRejects(
    () => redis.send(["BLPOP", "a", 0]),
    ConnectionClosedError,
  );
  const lease = await redis.lease({ key: "a" });
  const onLease = assertRejects(
    () => lease.send(["BLPOP", "a", 0]),
    ConnectionClosedError,
  );
  while (countOf(primary, "BLPOP") < 2) await delay(10);
  isReplaced = true;
  const startedAt = performance.now();
  assertEquals(await redis.send(["SET", "a", 1]), "new");
  const lost = await frozen;
  assertEquals(fateOf(lost), "unknown");
  await onLease;
  lease.release();
  const tookMs = performance.now() - startedAt;
  assert(
    tookMs > 1900,
    "a server that lives would have answered within a second",
  );
  assertLess(tookMs, 4000);
});

Deno.test("A redirect that a script on a lease answers changes nothing for other calls", async () => {
  const other = hashSlotOf("a");
  await using node: ScriptedServer = nodeBy(
    ([name]) => name === "EVAL" ? `-MOVED ${other} 127.0.0.1:1\r\n` : "+OK\r\n",
    () => slotsOf(node.port),
  );
  await using redis = new Redis(urlOf(node), { retry: false });
  await using lease = await redis.lease({ key: "key" });
  await assertRejects(() => lease.send(["EVAL", "return 1", 1, "key"]));
  assertEquals(redis.originOf("a").port, node.port);
  assertEquals(redis.stats().redirects.moved, 0);
});

Deno.test("No more than maxWaiting calls wait for a topology that does not come", async () => {
  await using node = nodeBy(() => undefined, () => undefined);
  await using redis = new Redis(urlOf(node), {
    maxWaiting: 100,
    retry: false,
    connectTimeoutMs: 500,
  });
  const failures = await Promise.all(
    Array.from(
      { length: 1000 },
      () => redis.send(["GET", "key"]).then(() => undefined, (error) => error),
    ),
  );
  const refused = failures.filter((error) =>
    error instanceof CheckoutTimeoutError
  );
  assert(refused.length >= 890, `${refused.length}`);
  assertEquals(fateOf(refused[0]), "unsent");
});
