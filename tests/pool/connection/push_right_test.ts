// That only the holder of a connection can write on it.
import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertGreater,
  assertInstanceOf,
  AssertionError,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  CheckoutTimeoutError,
  type Command,
  ConnectionClosedError,
  Redis,
  ReplyError,
  RetryError,
} from "../../../mod.ts";
import type { Connection } from "../../../pool/connection/connection.ts";
import { open } from "../../../pool/connection/open.ts";
import {
  PushRight,
  RevokedError,
} from "../../../pool/connection/push_right.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { dial } from "../../../pool/socket/dial.ts";
import type { Reply } from "../../../resp/types.ts";
import { Member } from "../../../pool/member.ts";
import { Random, searchLength } from "../../support/random.ts";
import { startRedis } from "../../support/redis_server.ts";
import { SOON_MS } from "../../support/wait.ts";

const connect = (port: number): Promise<Connection> =>
  open(new Endpoint(`redis://127.0.0.1:${port}`), {
    dial,
    connectTimeoutMs: 2000,
    replyTimeoutMs: 2000,
    number: 1,
    signal: new AbortController().signal,
  });

const slotOf = (command: Command, replies: unknown[]) => ({
  command,
  binary: false,
  extraReplyTimeoutMs: 0,
  resolve: (reply: unknown) => replies.push(reply),
  lose: (loss: unknown) => replies.push(loss),
});

Deno.test("PushRight pushes until it is revoked, and nothing afterwards", async () => {
  await using server = await startRedis();
  const connection = await connect(server.port);
  const right = new PushRight(connection);
  const replies: unknown[] = [];
  right.push(slotOf(["ECHO", "before"], replies));
  right.revoke();
  assert(right.isRevoked);
  const error = assertThrows(
    () => right.push(slotOf(["ECHO", "after"], replies)),
    RevokedError,
  );
  assertEquals(error.fate, "unsent");
  assertStringIncludes(error.message, "connection 1");
  assertThrows(() => right.pushUnanswered(["ECHO", "after"]), RevokedError);
  right.close("by a former holder");
  assertEquals(connection.report, undefined);
  const last = new PushRight(connection);
  last.push(slotOf(["ECHO", "last"], replies));
  while (replies.length < 2) await delay(1);
  assertEquals(replies, ["before", "last"]);
  last.close("by the holder");
  assertEquals(connection.report?.cause, "by the holder");
});

Deno.test("Member revokes the right of each state when it enters the next", async () => {
  await using server = await startRedis();
  const member = new Member(await connect(server.port), 1, Infinity);
  const path = ["suspect", "shared", "reserved", "shared", "leased", "shared"];
  for (const state of path as ("suspect" | "shared")[]) {
    const before = member.right;
    assertFalse(before.isRevoked);
    const right = member.enter(state);
    assert(before.isRevoked, state);
    assertEquals(member.right, right);
    assertEquals(member.state, state);
  }
  member.enter("leased");
  for (const state of ["suspect", "reserved", "retiring", "leased"] as const) {
    assertThrows(() => member.enter(state), Error, "no transition");
  }
  member.connection.close();
  const right = member.enter("gone");
  const replies: unknown[] = [];
  right.push(slotOf(["PING"], replies)); // told how it ended
  assertEquals(replies.length, 1);
  assertThrows(() => member.enter("shared"), Error, "no transition");
});

for (const mode of ["SKIP", "OFF"]) {
  Deno.test(`CLIENT REPLY ${mode} that the server refuses gives no reply to another caller`, async () => {
    await using server = await startRedis();
    await server.cli(
      ...["ACL", "SETUSER", "app", "on", ">pw", "~*", "+@read", "+@write"],
      ...["+hello", "+ping"],
    );
    await server.cli("MSET", "b", "B", "c", "C");
    await using redis = new Redis(`redis://app:pw@127.0.0.1:${server.port}`, {
      maxConnections: 1,
      replyTimeoutMs: 1000,
    });
    const lease = await redis.lease();
    const sent = [
      ["CLIENT", "REPLY", mode],
      ["SET", "a", "of the lease"],
      ["GET", "a"],
      ["CLIENT", "REPLY", "ON"],
      ["GET", "a"],
    ] as const;
    const got = await Promise.all(sent.map((command) => lease.send(command)));
    // What was asked for holds all the same: the client drops the replies.
    assertEquals(
      got,
      mode === "SKIP"
        ? [null, null, "of the lease", "OK", "of the lease"]
        : [null, null, null, "OK", "of the lease"],
    );
    const others = Promise.all([
      redis.send(["GET", "b"]),
      redis.send(["GET", "c"]),
    ]);
    lease.release();
    assertEquals(await others, ["B", "C"]);
  });
}

Deno.test("A lease that blocks unanswered is not shared", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, {
    maxConnections: 1,
    replyTimeoutMs: 1000,
  });
  const lease = await redis.lease();
  await lease.send(["CLIENT", "REPLY", "SKIP"]);
  assertEquals(await lease.send(["BLPOP", "nothing", 0]), null);
  lease.release();
  assertEquals(await redis.send(["ECHO", "shared"]), "shared");
  assertEquals(redis.stats().evicted["unclean-lease"], 1);
});

Deno.test("RESET on a lease is refused while replies are off", async () => {
  await using server = await startRedis();
  await server.cli("MSET", "a", "A", "b", "B");
  await using redis = new Redis(server.url, { retry: false });
  await using lease = await redis.lease();
  for (const mode of ["OFF", "SKIP"]) {
    const [, refused, on, a, b] = await Promise.allSettled(
      ([
        ["CLIENT", "REPLY", mode],
        ["RESET"],
        ["CLIENT", "REPLY", "ON"],
        ["GET", "a"],
        ["GET", "b"],
      ] as Command[]).map((command) => lease.send(command)),
    );
    assertInstanceOf((refused as PromiseRejectedResult).reason, TypeError);
    assertEquals(
      [on, a, b].map((result) =>
        (result as PromiseFulfilledResult<unknown>).value
      ),
      ["OK", "A", "B"],
    );
  }
  assertEquals(await lease.send(["RESET"]), "RESET");
});

Deno.test("A lease in the same turn as the first command that resolves its fate gets its own replies alone", async () => {
  await using server = await startRedis();
  for (let round = 0; round < 5; round++) {
    await using redis = new Redis(server.url, { maxConnections: 1 });
    if (round > 0) await redis.send(["PING"]);
    const settled = redis.send(["SET", "k", "v"], { resolveFate: true });
    await using lease = await redis.lease();
    await lease.send(["MULTI"]);
    for (let i = 0; i < 50; i++) await lease.send(["INCR", `n${round}`]);
    assertEquals(
      await lease.send(["EXEC"]),
      Array.from({ length: 50 }, (_, i) => i + 1),
    );
    lease.release();
    assertEquals(await settled, "OK");
  }
});

Deno.test("The post-mortem's baseline never lands in a lease", async () => {
  await using server = await startRedis();
  for (let round = 0; round < 5; round++) {
    const written: string[] = [];
    await using redis = new Redis(server.url, {
      maxConnections: 1,
      postMortem: true,
      dial: async (endpoint, options) => {
        const socket = await dial(endpoint, options);
        return {
          read: (buffer) => socket.read(buffer),
          write: (bytes) => {
            const text = new TextDecoder().decode(bytes);
            written.push(...text.match(/MULTI|EXEC|INCR|INFO|CONFIG/g) ?? []);
            return socket.write(bytes);
          },
          close: () => socket.close(),
          unref: () => socket.unref?.(),
        };
      },
    });
    const ping = round % 2 === 0 ? redis.send(["PING"]) : undefined;
    await using lease = await redis.lease();
    const replies = await Promise.all([
      lease.send(["MULTI"]),
      lease.send(["INCR", "n"]),
      lease.send(["EXEC"]),
    ]);
    assertEquals<Reply>(replies, ["OK", "QUEUED", [round + 1]]);
    await ping;
    // Leased at once: there was no moment at which it was shared.
    if (ping === undefined) assertEquals(written, ["MULTI", "INCR", "EXEC"]);
    const from = written.indexOf("MULTI");
    assertEquals(written.slice(from, from + 3), ["MULTI", "INCR", "EXEC"]);
  }
});

Deno.test("A mode of CLIENT REPLY that only looks like SKIP is refused, and shifts no reply", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  await redis.pipeline([["SET", "a", "of a"], ["SET", "b", "of b"]]);
  for (
    const mode of ["\u017fkip", "SKIP\0", "s\u212aip", new Uint8Array([83])]
  ) {
    await using lease = await redis.lease();
    const [refused, a, b] = await Promise.allSettled([
      lease.send(["CLIENT", "REPLY", mode]),
      lease.send(["GET", "a"]),
      lease.send(["GET", "b"]),
    ]);
    assertEquals(refused.status, "rejected");
    assertEquals(a, { status: "fulfilled", value: "of a" });
    assertEquals(b, { status: "fulfilled", value: "of b" });
  }
});

Deno.test("Every READONLY that a lease is answered retires its connection at the release", async () => {
  await using server = await startRedis();
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  const cases: Command[][] = [
    [["SET", "k", "v"]],
    [["MULTI"], ["SET", "k", "v"], ["EXEC"]],
  ];
  for (const commands of cases) {
    await using redis = new Redis(server.url, { maxConnections: 1 });
    const lease = await redis.lease();
    let refused = 0;
    for (const command of commands) {
      await lease.send(command).catch((error) => {
        assertInstanceOf(error, ReplyError);
        refused++;
      });
    }
    assert(refused > 0);
    assertEquals(redis.stats().open, 1); // while it is leased
    lease.release();
    assertEquals(redis.stats().open, 0);
    assertEquals(redis.stats().evicted.readonly, 1);
  }
});

Deno.test("A READONLY inside EXEC retires the lease's connection, too", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url, { maxConnections: 1 });
  const lease = await redis.lease();
  await lease.send(["MULTI"]);
  await lease.send(["SET", "k", "v"]);
  await server.cli("REPLICAOF", "127.0.0.1", "1");
  await assertRejects(() => lease.send(["EXEC"]), ReplyError);
  lease.release();
  assertEquals(redis.stats().evicted.readonly, 1);
});

Deno.test("No reply reaches another caller, whatever leases do to their connections", async () => {
  const random = new Random();
  await using server = await startRedis();
  const redis = new Redis(server.url, {
    maxConnections: 3,
    replyTimeoutMs: 2000,
    postMortem: true,
    validateAfterIdleMs: 5,
  });
  const endAt = performance.now() + searchLength(1500);
  let echoes = 0, leases = 0, token = 0;
  /** A busy machine may need longer for enough of both. */
  const isGoing = () =>
    performance.now() < endAt ||
    (echoes <= 100 || leases <= 50) && performance.now() < endAt + SOON_MS;
  /** What dies with a killed connection says so; anything else is wrong. */
  const tolerate = (error: unknown): void => {
    const expected = error instanceof ConnectionClosedError ||
      error instanceof RetryError || error instanceof ReplyError ||
      error instanceof CheckoutTimeoutError;
    if (!expected) throw error;
  };
  const share = async () => {
    while (isGoing()) {
      const mine = `shared-${token++}`;
      try {
        if (random.oneIn(3)) {
          assertEquals(
            await redis.pipeline([["ECHO", mine], ["ECHO", `${mine}b`]]),
            [mine, `${mine}b`],
          );
        } else if (random.oneIn(5)) {
          const reply = await redis.send(["SETNX", mine, "v"], {
            resolveFate: true,
          });
          assertEquals(reply, 1);
        } else assertEquals(await redis.send(["ECHO", mine]), mine);
        echoes++;
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        tolerate(error);
      }
      if (random.oneIn(20)) await delay(8);
    }
  };
  const habits: readonly Command[][] = [
    [["MULTI"], ["INCR", "n"]],
    [["MULTI"], ["INCR", "n"], ["EXEC"]],
    [["CLIENT", "REPLY", "OFF"], ["INCR", "n"]],
    [["CLIENT", "REPLY", "SKIP"], ["INCR", "n"], ["INCR", "n"]],
    [["CLIENT", "REPLY", "SKIP"], ["BLPOP", "nothing", 0]],
    [["CLIENT", "REPLY", "OFF"], ["INCR", "n"], ["CLIENT", "REPLY", "ON"]],
    [["SELECT", 3]],
    [["WATCH", "n"], ["MULTI"], ["UNWATCH"]],
    [["RESET"]],
    [["NOSUCHCOMMAND"], ["DISCARD"]],
    [["BLPOP", "nothing", 0.01]],
  ];
  const lease = async () => {
    while (isGoing()) {
      try {
        await using lease = await redis.lease();
        const mine = `lease-${token++}`;
        assertEquals(await lease.send(["ECHO", mine]), mine);
        const sent = random.pick(habits).map((command) => lease.send(command));
        sent.forEach((reply) => reply.catch(() => {}));
        if (random.oneIn(2)) await Promise.allSettled(sent);
        leases++;
      } catch (error) {
        if (error instanceof AssertionError) throw error;
        tolerate(error);
      }
    }
  };
  const kill = async () => {
    while (isGoing()) {
      await delay(60);
      await server.cli("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    }
  };
  await Promise.all([
    share(),
    share(),
    share(),
    share(),
    lease(),
    lease(),
    kill(),
  ]);
  assertGreater(echoes, 100);
  assertGreater(leases, 50);
  await redis.close({ drainMs: 0 });
});

Deno.test("A lease refuses an option that it does not know by name", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using lease = await redis.lease();
  const options = { deadlineMs: 100 } as object;
  await assertRejects(
    () => lease.send(["PING"], options),
    TypeError,
    "deadlineMs",
  );
  await assertRejects(
    () => lease.send(["PING"], { signal: 1 } as object),
    TypeError,
    "signal",
  );
  assertEquals(await lease.send(["PING"], { binary: false }), "PONG");
});
