// That Sentinels are asked in their order, which answer counts, and that an error says what each failed with.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertInstanceOf,
  assertLess,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import type { Address } from "../../../pool/socket/address.ts";
import {
  SentinelDiscovery,
  type SentinelDiscoveryOptions,
} from "../../../client/servers/sentinel_discovery.ts";
import { DialError } from "../../../mod.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { FakeServer } from "../../support/fake_server.ts";
import { startRedis } from "../../support/redis_server.ts";
import { SOON_MS, until } from "../../support/wait.ts";
import { SentinelDouble } from "./sentinel_double.ts";

const NOWHERE = 1; // a port on which no server listens

/** Asks one Sentinel after the other: on a busy machine an answer may take longer than 100 ms. */
const IN_TURN = { nextAfterMs: SOON_MS };

/** Asks Sentinels on these ports; closed when it is disposed of. */
class Asking implements AsyncDisposable {
  readonly discovery: SentinelDiscovery;

  constructor(
    ports: number[],
    options: Partial<SentinelDiscoveryOptions> = {},
  ) {
    const seeds = ports.map((port): Address => ({
      hostname: "127.0.0.1",
      port,
    }));
    this.discovery = new SentinelDiscovery({
      name: "mymaster",
      seeds,
      dial,
      random: () => 0, // in their order
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.discovery.close(new Error("the test is over"));
  }
}

const failureOf = (discovery: SentinelDiscovery): Promise<DialError> =>
  assertRejects(() => discovery.ask(), DialError);

Deno.test("A Sentinel is asked three questions at once, and then on the same connection for the address alone", async () => {
  let now = 0;
  await using sentinel = new SentinelDouble({ primary: "db:6380", epoch: 3 });
  await using asking = new Asking([sentinel.port], { now: () => now });
  const ask = async () => {
    assertEquals(await asking.discovery.ask(), {
      primary: { hostname: "db", port: 6380 },
      epoch: sentinel.says.epoch,
      others: [],
      by: sentinel.address,
    });
    return sentinel.heard.flat();
  };
  const address = "SENTINEL GET-MASTER-ADDR-BY-NAME mymaster";
  const all = [
    address,
    "SENTINEL SENTINELS mymaster",
    "SENTINEL MASTER mymaster",
  ];
  assertEquals(await ask(), ["HELLO 2", ...all]);
  assertEquals(await ask(), ["HELLO 2", ...all, address]);
  now = 10_000;
  sentinel.says.epoch = 4;
  assertEquals(await ask(), ["HELLO 2", ...all, address, ...all]);
  assertEquals(sentinel.accepted, 1);
});

Deno.test("Another address counts after all three questions", async () => {
  await using sentinel = new SentinelDouble({ primary: "old:6379", epoch: 3 });
  await using asking = new Asking([sentinel.port]);
  await asking.discovery.ask();
  Object.assign(sentinel.says, { primary: "new:6380", epoch: 2 });
  assertStringIncludes(
    (await failureOf(asking.discovery)).message,
    "names the primary before the last failover, new:6380",
  );
  sentinel.says.epoch = 4;
  assertEquals((await asking.discovery.ask()).primary.hostname, "new");
});

Deno.test("Sentinels are asked in an order by chance at first, so that clients spread over them", async () => {
  const randoms = [0.5, 0.2];
  await using one = new SentinelDouble({ primary: "db:6380" });
  await using two = new SentinelDouble({ primary: "db:6380" });
  await using asking = new Asking([one.port, two.port], {
    ...IN_TURN,
    random: () => randoms.shift()!,
  });
  assertEquals((await asking.discovery.ask()).by, two.address);
});

Deno.test("The Sentinel that answered last is asked first, and alone", async () => {
  await using late = new SentinelDouble({ primary: "db:6380" });
  await using good = new SentinelDouble({
    primary: "db:6380",
    others: [late.address],
  });
  await using asking = new Asking([NOWHERE, good.port], IN_TURN);
  for (let i = 0; i < 3; i++) await asking.discovery.ask();
  assertEquals(asking.discovery.size, 3);
  assertEquals([good.asked, late.asked], [3, 0]);
});

Deno.test("A Sentinel that another one lists is asked when that one has gone, and no longer once it is not listed", async () => {
  let now = 0;
  await using listed = new SentinelDouble({ primary: "db:6380" });
  const seed = new SentinelDouble({
    primary: "db:6380",
    others: [listed.address],
  });
  await using asking = new Asking([seed.port], {
    ...IN_TURN,
    now: () => now,
  });
  const { discovery } = asking;
  await discovery.ask();
  await seed[Symbol.asyncDispose]();
  assertEquals((await discovery.ask()).by, listed.address);
  listed.says.others = [`127.0.0.1:${NOWHERE}`];
  now += 10_000;
  await discovery.ask();
  assertEquals(discovery.size, 3);
  listed.says.others = [];
  now += 10_000;
  await discovery.ask();
  assertEquals(discovery.size, 2); // the seed stays
});

Deno.test("A Sentinel that is silent holds up a question for a tenth of a second", async () => {
  await using silent = new FakeServer(() => {});
  await using good = new SentinelDouble({ primary: "db:6380" });
  await using asking = new Asking([silent.port, good.port]);
  const startedAt = performance.now();
  assertEquals((await asking.discovery.ask()).by, good.address);
  const tookMs = performance.now() - startedAt;
  assert(tookMs >= 95, `${tookMs} ms`);
  assertLess(tookMs, 400);
});

Deno.test("A Sentinel that falls silent on its kept connection is given up after half a second", async () => {
  await using sentinel = new SentinelDouble({ primary: "db:6380" });
  await using asking = new Asking([sentinel.port]);
  await asking.discovery.ask();
  sentinel.says.isSilent = true;
  const startedAt = performance.now();
  const error = await failureOf(asking.discovery);
  assertLess(performance.now() - startedAt, 900);
  assertStringIncludes(error.message, "gave no answer for 500 ms");
  sentinel.says.isSilent = false;
  await asking.discovery.ask();
  assertEquals(sentinel.accepted, 2);
});

Deno.test("An error says what each Sentinel failed with, and another attempt may succeed", async () => {
  await using other = new SentinelDouble({ primary: undefined });
  await using silent = new FakeServer(() => {});
  await using redis = await startRedis();
  await using asking = new Asking([
    NOWHERE,
    other.port,
    silent.port,
    redis.port,
  ]);
  const error = await failureOf(asking.discovery);
  const at = (port: number) => `127.0.0.1:${port}`;
  assertStringIncludes(
    error.message,
    "Cannot connect to the primary mymaster: 4 Sentinels asked: " +
      `${at(NOWHERE)} connection refused`,
  );
  for (
    const text of [
      `${at(other.port)} has no primary of the name mymaster`,
      `${at(silent.port)} connected, but no answer to the Redis handshake`,
      `${at(redis.port)} is no Sentinel: it does not answer SENTINEL`,
    ]
  ) assertStringIncludes(error.message, text);
  assertInstanceOf(error.cause, DialError);
  assert(error.isRetriable);
});

Deno.test("A Sentinel that asks for a password says so, and is not asked again if all do", async () => {
  const noAuth = "-NOAUTH Authentication required.\r\n";
  await using locked = new SentinelDouble({
    primary: "db:6380",
    instead: ([, , auth, , password]) =>
      auth === "AUTH" && password === "right" ? undefined : noAuth,
  });
  {
    await using asking = new Asking([locked.port]);
    const error = await failureOf(asking.discovery);
    assertStringIncludes(
      error.message,
      "asks for a password: give it in sentinel.password if it is a Sentinel (most listen on port 26379)",
    );
    assertFalse(error.isRetriable);
  }
  {
    await using asking = new Asking([locked.port, NOWHERE]);
    assert((await failureOf(asking.discovery)).isRetriable);
  }
});

Deno.test("A password for the Sentinels is used there, and a wrong one is not printed", async () => {
  await using sentinel = await startRedis({ password: "s3cret" });
  await using asking = new Asking([sentinel.port], { password: "wr0ng!" });
  const error = await failureOf(asking.discovery);
  assertStringIncludes(error.message, "WRONGPASS");
  assertFalse(error.message.includes("wr0ng!"));
  assertFalse(error.isRetriable);
  await using known = new Asking([sentinel.port], { password: "s3cret" });
  assertStringIncludes(
    (await failureOf(known.discovery)).message,
    "is no Sentinel",
  );
});

Deno.test("A Sentinel that has not heard of a failover is passed over", async () => {
  const ahead = new SentinelDouble({ primary: "new:6380", epoch: 4 });
  await using behind = new SentinelDouble({ primary: "old:6379", epoch: 3 });
  await using asking = new Asking([ahead.port, behind.port], IN_TURN);
  await asking.discovery.ask();
  asking.discovery.distrustLast(); // asks the other one first
  assertEquals((await asking.discovery.ask()).primary.hostname, "new");
  assertEquals([ahead.asked, behind.asked], [2, 1]);
  await ahead[Symbol.asyncDispose]();
  assertStringIncludes(
    (await failureOf(asking.discovery)).message,
    `${behind.address} names the primary before the last failover, old:6379`,
  );
});

Deno.test("A lower epoch counts after ten seconds: the Sentinels were set up anew", async () => {
  await using sentinel = new SentinelDouble({ primary: "old:6379", epoch: 9 });
  let now = 0;
  await using asking = new Asking([sentinel.port], { now: () => now });
  await asking.discovery.ask();
  Object.assign(sentinel.says, { primary: "new:6380", epoch: 0 });
  now = 9_999;
  await failureOf(asking.discovery);
  now = 10_000;
  assertEquals((await asking.discovery.ask()).primary.hostname, "new");
});

Deno.test("The addresses that a Sentinel names are mapped to those that can be reached", async () => {
  await using hidden = new SentinelDouble({ primary: "db:6380" });
  const seed = new SentinelDouble({
    primary: "db:6380",
    others: ["inside:26379"],
  });
  await using asking = new Asking([seed.port], {
    ...IN_TURN,
    mapAddress: ({ hostname, port }) =>
      hostname === "inside"
        ? { hostname: "127.0.0.1", port: hidden.port }
        : { hostname: `${hostname}.outside`, port },
  });
  const { primary } = await asking.discovery.ask();
  assertEquals(primary, { hostname: "db.outside", port: 6380 });
  await seed[Symbol.asyncDispose]();
  assertEquals((await asking.discovery.ask()).by, hidden.address);
});

Deno.test("Connections to Sentinels are closed when they are not needed", async () => {
  await using one = new SentinelDouble({ primary: "db:6380" });
  await using two = new SentinelDouble({ primary: "db:6380" });
  await using asking = new Asking([one.port, two.port], IN_TURN);
  const { discovery } = asking;
  await discovery.ask();
  discovery.distrustLast();
  await discovery.ask();
  discovery.hangUp();
  await discovery.ask();
  assertEquals([one.accepted, two.accepted], [1, 2]);
});

Deno.test("A question under way ends when the discovery is closed, with the reason, and leaves no dial", async () => {
  await using silent = new FakeServer(() => {});
  const { discovery } = new Asking([silent.port, NOWHERE]);
  const reason = new Error("closed");
  const asked = assertRejects(() => discovery.ask(), Error, "closed");
  await until(() => silent.accepted === 1);
  await discovery.close(reason);
  await asked;
  await assertRejects(() => discovery.ask(), Error, "closed");
});
