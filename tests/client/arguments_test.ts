// One caller's argument harms no other caller, whatever becomes of it.

import "../support/strict.ts";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Command, Redis } from "../../mod.ts";
import { startProxy } from "../support/fault_proxy.ts";
import { startRedis } from "../support/redis_server.ts";

/** Takes bytes away from under a command, as `postMessage` to a worker does. */
const transfer = (bytes: Uint8Array<ArrayBuffer>): void => {
  structuredClone(bytes, { transfer: [bytes.buffer] });
};

Deno.test("Bytes that are transferred in the turn in which they were sent arrive, and all others, too", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  for (const size of [46, 70_000, 1_000_000]) {
    const sent: Uint8Array<ArrayBuffer>[] = [];
    const make = () => {
      const bytes = new Uint8Array(size).fill(size % 251);
      sent.push(bytes);
      return bytes;
    };
    const lease = await redis.lease();
    const leased = lease.send(["SET", "leased", make()]);
    sent.forEach(transfer);
    assertEquals(await leased, "OK");
    lease.release();
    const calls = [
      redis.send(["SET", "single", make()]),
      redis.send(["ECHO", "a"]),
      redis.pipeline([["SET", "first", make()], ["ECHO", "b"]]),
      redis.send(["ECHO", "c"]),
    ];
    sent.slice(1).forEach(transfer);
    assertEquals(await Promise.all(calls), ["OK", "a", ["OK", "b"], "c"]);
    for (const key of ["leased", "single", "first"]) {
      const got = await redis.send(["GET", key], { binary: true });
      assertEquals(got, new Uint8Array(size).fill(size % 251));
    }
  }
});

Deno.test("A buffer that shrinks or grows while its command waits for a connection lets no value run as a command", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const buffer = new ArrayBuffer(64, { maxByteLength: 1024 });
  const fixed = new Uint8Array(buffer, 8, 40);
  const tracking = new Uint8Array(buffer);
  tracking.fill(65);
  const shared = new Uint8Array(new SharedArrayBuffer(4)).fill(65);
  const calls = [
    redis.send(["SET", "fixed", fixed]),
    redis.send(["SET", "tracking", tracking]),
    redis.send(["SET", "shared", shared]),
    redis.send(["SET", "victim", "\r\n*1\r\n$8\r\nFLUSHALL\r\n".repeat(9)]),
  ];
  buffer.resize(1);
  shared.fill(66);
  assertEquals(await Promise.all(calls), ["OK", "OK", "OK", "OK"]);
  buffer.resize(1000);
  assertEquals(
    await redis.send(["MGET", "fixed", "tracking", "shared"]),
    ["A".repeat(40), "A".repeat(64), "A".repeat(4)],
  );
  // No longer there: this call alone fails, at once.
  buffer.resize(1);
  await assertRejects(
    () => redis.send(["SET", "fixed", fixed]),
    TypeError,
    "the buffer of argument 2, a Uint8Array, has been transferred or has shrunk",
  );
  assertEquals(await redis.send(["DBSIZE"]), 4);
});

Deno.test("What is sent again is what was sent, whatever became of its bytes meanwhile", async () => {
  await using server = await startRedis();
  await using proxy = await startProxy({ target: server });
  await using redis = new Redis(proxy.url, { maxConnections: 1 });
  await redis.send(["PING"]);
  for (const size of [10, 70_000, 600_000]) {
    proxy.silence();
    const bytes = new Uint8Array(size).fill(1);
    const changed = new Uint8Array(size).fill(1);
    const calls = [
      redis.send(["SET", "bytes", bytes], { replay: "always" }),
      redis.pipeline([["SET", "changed", changed]], { replay: "always" }),
      redis.send(["ECHO", "other"]),
    ];
    await new Promise((resolve) => setTimeout(resolve, 50));
    transfer(bytes);
    changed.fill(2);
    proxy.pass();
    await proxy.killAll("rst");
    assertEquals(await Promise.all(calls), ["OK", ["OK"], "other"]);
    for (const key of ["bytes", "changed"]) {
      const got = await redis.send(["GET", key], { binary: true });
      assertEquals(got, new Uint8Array(size).fill(1), key);
    }
  }
  assert(redis.stats().replays >= 3);
});

Deno.test("An argument that cannot be sent fails its own call, and no other", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const evil = [
    new Proxy(new Uint8Array(3), {}),
    Object.create(Uint8Array.prototype),
    {
      toString() {
        throw new Error("must not be asked");
      },
    },
    new Uint8Array(2 ** 31 + 8), // its pages are never touched
    new Uint8Array(2 ** 29 + 1),
    NaN,
    undefined,
  ];
  const throwing = new Proxy(["GET", "k"], {
    get(_, key) {
      throw new Error(`asked for ${String(key)}`);
    },
  });
  const bad = [
    ...evil.map((argument) => ["SET", "k", argument]),
    throwing,
  ] as unknown as Command[];
  await redis.send(["PING"]);
  const before = redis.stats();
  for (const command of bad) {
    const echoes = (n: number) =>
      Array.from({ length: n }, (_, i) => redis.send(["ECHO", `${i}`]));
    const first = echoes(3);
    const failed = [
      redis.send(command),
      redis.pipeline([["SET", "never", "sent"], command]),
    ].map((call) => call.then(() => "sent", (error) => error.constructor.name));
    const last = echoes(3);
    assertEquals(await Promise.all([...first, ...last]), [
      ...["0", "1", "2"],
      ...["0", "1", "2"],
    ]);
    for (const outcome of await Promise.all(failed)) {
      assert(["TypeError", "RangeError", "Error"].includes(outcome), outcome);
    }
    const lease = await redis.lease();
    await assertRejects(() => lease.send(command));
    assertEquals(await lease.send(["ECHO", "d"]), "d");
    lease.release();
  }
  assertEquals(await redis.send(["EXISTS", "k", "never"]), 0);
  assertEquals(redis.stats().dialed, before.dialed);
});

Deno.test("A command travels by what is sent, not by what its array says at another time", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const names = ["GET", "GET", "SUBSCRIBE", "SUBSCRIBE", "SUBSCRIBE"];
  const changing = () => {
    let reads = 0;
    return new Proxy(["GET", "k"], {
      get: (target, key) =>
        key === "0" ? names[Math.min(reads++, 4)] : Reflect.get(target, key),
    }) as unknown as Command;
  };
  const calls = [
    redis.send(changing()),
    redis.pipeline([changing()]),
    redis.send(["ECHO", "other"]),
  ];
  assertEquals(await Promise.all(calls), [null, [null], "other"]);
});
