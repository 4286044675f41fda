// What a recorder takes, and what it refuses by name.
import "../support/strict.ts";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  type RecorderOptions,
  Redis,
  type Sender,
  type WebhookEvent,
  WebhookRecorder,
} from "../../mod.ts";
import { startRedis } from "../support/redis_server.ts";
import { Counting, EVENT, KEY, ofShop, Told } from "./doubles.ts";

Deno.test("receivedAt is the time of an event, and keeps it through an outage", async () => {
  await using server = await startRedis({ durable: true });
  await using redis = new Redis(server.url, { retry: false });
  await using recorder = new WebhookRecorder(redis);
  await recorder.record({ ...EVENT, receivedAt: 1_700_000_000_999 });
  await server.stop();
  await recorder.record({ ...EVENT, receivedAt: 0 });
  await server.start();
  await recorder.flush();
  const words = await server.cli("ZRANGE", KEY, 0, -1, "WITHSCORES");
  assertEquals(
    words.split("\n").filter((_, i) => i % 2 === 1),
    ["0", "1700000000"],
  );
  for (const receivedAt of [-1, NaN, Infinity, "0", null, new Date()]) {
    await assertRejects(
      () => recorder.record({ ...EVENT, receivedAt } as WebhookEvent),
      TypeError,
      "receivedAt is ",
    );
  }
});

Deno.test("A field that is unknown is refused by name", async () => {
  await using redis = new Redis("redis://127.0.0.1:1");
  await using recorder = new WebhookRecorder(redis);
  for (const name of ["deliveryID", "delivery_id", "count", "id"]) {
    const event = { ...EVENT, [name]: undefined } as WebhookEvent;
    const says = `unknown field "${name}", expected mallId, shopNo`;
    await assertRejects(() => recorder.record(event), TypeError, says);
    await assertRejects(
      () => recorder.frequency(event, { windowSeconds: 1 }),
      TypeError,
      says,
    );
  }
});

Deno.test("What keyOf, now and newMember throw or make costs their event alone", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  const told = new Told();
  let turn = 0;
  const fails = new Error("of the user");
  const wrong = (value: unknown) => value as never;
  for (
    const options of [
      { keyOf: () => ++turn === 2 ? wrong(undefined) : "k" },
      {
        keyOf: () => {
          if (++turn === 2) throw fails;
          return "k";
        },
      },
      { now: () => ++turn === 2 ? NaN : 1000, keyOf: () => "k" },
      {
        now: () => {
          if (++turn === 2) throw fails;
          return 1000;
        },
        keyOf: () => "k",
      },
      {
        newMember: () => ++turn === 2 ? wrong({}) : `${turn}`,
        keyOf: () => "k",
      },
    ] satisfies RecorderOptions[]
  ) {
    turn = 0;
    told.calls.length = 0;
    await using recorder = new WebhookRecorder(redis, {
      ...options,
      onError: told.onError,
    });
    const outcomes = await Promise.all(
      [1, 2, 3].map((shopNo) => recorder.record(ofShop(shopNo))),
    );
    assertEquals(
      outcomes.map(({ status }) => status),
      ["recorded", "dropped", "recorded"],
    );
    assertEquals(told.lines, ["dropped 2"]);
    assertEquals(told.calls[0]!.error, outcomes[1]!.error);
  }
});

Deno.test("Anything with send, pipeline and an origin will do as a client; nothing less", async () => {
  await using server = await startRedis();
  await using redis = new Redis(server.url);
  await using recorder = new WebhookRecorder(new Counting(redis));
  assertEquals((await recorder.record(EVENT)).status, "recorded");
  assertEquals(await recorder.frequency(EVENT, { windowSeconds: 60 }), 1);
  for (const client of [undefined, null, {}, { send() {} }, "redis://"]) {
    assertThrows(
      () => new WebhookRecorder(client as unknown as Sender),
      TypeError,
      "expected a Redis or another Sender",
    );
  }
  for (const deadlineMs of [0, -1, 1.5, NaN, "1"]) {
    assertThrows(
      () => new WebhookRecorder(redis, { deadlineMs: deadlineMs as number }),
      TypeError,
      "deadlineMs is ",
    );
  }
});
