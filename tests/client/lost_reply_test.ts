// Which commands are sent again whose reply was lost.

import "../support/strict.ts";
import { assertEquals, assertStringIncludes } from "@std/assert";
import { delay } from "@std/async/delay";
import type { Command, Reply } from "../../mod.ts";
import { dial } from "../../pool/socket/dial.ts";
import type { Dial } from "../../pool/socket/socket.ts";
import { testWithFixture as test } from "../support/fixture.ts";
import { later, until } from "../support/wait.ts";
import { LateSockets } from "../../cli/proof/late_socket.ts";
import { lossOf } from "../support/loss.ts";

/** Dials as usual; while `hold` is set, writes wait for it. */
class GatedDial {
  hold: Promise<void> | undefined;

  readonly dial: Dial = async (endpoint, options) => {
    const socket = await dial(endpoint, options);
    return {
      read: (buffer) => socket.read(buffer),
      write: async (bytes) => {
        await this.hold;
        return await socket.write(bytes);
      },
      close: () => socket.close(),
      unref: () => socket.unref?.(),
    };
  };
}

test("A lost reply counts once: INCR that ran is not run again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(redis.send(["INCR", "counter"]));
  assertEquals(error.fate, "unknown");
  assertEquals(await redis.send(["GET", "counter"]), "1");
});

test("A lost reply of a harmless command is fetched by running it again", async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.send(["SET", "key", "value"]), "OK");
  assertEquals(await fixture.calls("set"), 2);
  assertEquals(redis.stats().replays, 1);
});

test('replay "reads" sends what only reads again, and no write', async (fixture) => {
  const redis = fixture.client();
  const reads = { replay: "reads" } as const;
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.pipeline([["GET", "k"], ["LLEN", "l"]], reads), [
    null,
    0,
  ]);
  assertEquals(redis.stats().replays, 1);
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  const error = await lossOf(redis.send(["SET", "k", "v"], reads));
  assertEquals(error.fate, "unknown");
  assertStringIncludes(
    error.message,
    'SET was not replayed: replay is "reads", and the command may write',
  );
  assertEquals(await fixture.calls("set"), 1);
});

test("A pipeline of reads, and one of writes that expire, is sent again", async (fixture) => {
  const redis = fixture.client();
  const cached: Command = ["SET", "k", "v", "EX", 60];
  for (
    const [pipeline, replies] of [
      [[["LLEN", "l"], ["LLEN", "l"]], [0, 0]],
      [[["HLEN", "h"], ["DBSIZE"], ["TYPE", "k"]], [0, 0, "none"]],
      [[cached, cached], ["OK", "OK"]],
    ] as [Command[], Reply[]][]
  ) {
    await redis.send(["PING"]);
    fixture.proxy.cut(0, { scope: "open" });
    assertEquals(await redis.pipeline(pipeline), replies);
  }
  assertEquals(redis.stats().replays, 3);
});

test('replay "always" runs INCR again, replay "never" not even GET', async (fixture) => {
  const redis = fixture.client();
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(await redis.send(["INCR", "counter"], { replay: "always" }), 2);
  assertEquals(redis.stats().replays, 1);

  fixture.proxy.cut(0, { scope: "open" });
  const never = { replay: "never" } as const;
  const error = await lossOf(redis.send(["GET", "counter"], never));
  assertEquals(error.fate, "unknown");
  assertStringIncludes(error.message, 'it was not replayed: replay is "never"');
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  await lossOf(redis.pipeline([["GET", "counter"]], never));
  await redis.send(["PING"]);
  fixture.proxy.cut(0, { scope: "open" });
  assertEquals(
    await redis.pipeline([["INCR", "counter"], ["GET", "counter"]], {
      replay: "always",
    }),
    [4, "4"],
  );
});

test("A command that was never written is sent again, even INCR", async (fixture) => {
  const gated = new GatedDial();
  const redis = fixture.client({ dial: gated.dial, maxConnections: 1 });
  await redis.send(["PING"]);
  const gate = Promise.withResolvers<void>();
  gated.hold = gate.promise;
  const written = later(redis.send(["GET", "key"]));
  await delay(0);
  const unsent = [
    later(redis.send(["INCR", "counter"])),
    later(redis.send(["INCR", "counter"], { replay: "never" })),
  ];
  const piped = later(
    redis.pipeline([["INCR", "counter"], ["INCR", "counter"]]),
  );
  await delay(0);
  gated.hold = undefined;
  await fixture.proxy.killAll("fin");
  await until(() => redis.stats().evicted.fin === 1, "the eviction");
  gate.resolve();
  assertEquals(await written, null);
  assertEquals(await Promise.all(unsent), [1, 2]);
  assertEquals(await piped, [3, 4]);
  // Only GET may have run before.
  assertEquals(redis.stats().replays, 1);
  assertEquals(
    fixture.retried.filter(({ isReplay }) => isReplay).map((i) => i.command),
    ["GET"],
  );
});

test("What is sent again is what was sent, whatever became of the array", async (fixture) => {
  const redis = fixture.client({ dial: new LateSockets().dial });
  const cold: [string, ...string[]] = ["SET", "cold", "right"];
  const coldSent = redis.send(cold);
  cold[2] = "wrong";
  cold.push("NX");
  await coldSent;

  await fixture.kill();
  const late: [string, ...string[]] = ["SET", "late", "right"];
  const lateSent = redis.send(late);
  late[0] = "DEL";
  late[2] = "wrong";
  assertEquals(await lateSent, "OK");

  await fixture.kill();
  const first: [string, ...string[]] = ["SET", "piped", "right"];
  const pipeline: Command[] = [first];
  const piped = later(redis.pipeline(pipeline));
  first[2] = "wrong";
  pipeline.push(["DEL", "cold"]);
  assertEquals(await piped, ["OK"]);
  assertEquals(redis.stats().replays, 2);
  assertEquals(await redis.send(["MGET", "cold", "late", "piped"]), [
    "right",
    "right",
    "right",
  ]);
});

test("A socket whose write throws ends its connection, not the process", async (fixture) => {
  let fails = false;
  const closed: number[] = [];
  let dials = 0;
  const redis = fixture.client({
    dial: async (endpoint, options) => {
      const socket = await dial(endpoint, options);
      const number = ++dials;
      return {
        read: (buffer) => socket.read(buffer),
        write: (bytes) => {
          if (fails && number === 1) throw new Error("write after end");
          return socket.write(bytes);
        },
        close: () => {
          closed.push(number);
          socket.close();
        },
        unref: () => socket.unref?.(),
      };
    },
  });
  assertEquals(await redis.send(["PING"]), "PONG");
  fails = true;
  assertEquals(await redis.send(["INCR", "n"], { replay: "always" }), 1);
  assertEquals(closed, [1]);
  assertEquals(dials, 2);
  const [report] = fixture.reports;
  assertEquals(fixture.reports.length, 1);
  assertEquals(report?.connection, 1);
  assertStringIncludes(report?.cause ?? "", "write after end");
  await until(() => fixture.proxy.open === 1, "the first socket is closed");
});
