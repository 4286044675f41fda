// That each attempt asks again which server is in charge.

import "../../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { Attempts } from "../../../client/attempts.ts";
import type { CallEngine } from "../../../client/call.ts";
import { Drain } from "../../../client/drain.ts";
import { LeaseCall } from "../../../client/exclusive_call.ts";
import { NO_OPTIONS } from "../../../client/send_options.ts";
import { publishedEvents } from "../../../client/server_events.ts";
import type { Router } from "../../../client/servers/directory.ts";
import { Server } from "../../../client/servers/server.ts";
import { settingsOf } from "../../../client/settings.ts";
import { SingleCall } from "../../../client/single_call.ts";
import {
  ClosedError,
  type Command,
  type Reply,
  Retry,
  type RetryInfo,
} from "../../../mod.ts";
import { dial } from "../../../pool/socket/dial.ts";
import { Endpoint } from "../../../pool/socket/endpoint.ts";
import { startRedis } from "../../support/redis_server.ts";

function serverAt(url: string): Server {
  const endpoint = new Endpoint(url);
  const options = { ...settingsOf({}), dial, limits: {}, postMortem: false };
  return new Server(endpoint, options, publishedEvents(endpoint, {}));
}

/** A router by a function that gives the server in charge. */
const routerBy = (serverOf: Router["serverOf"]): Router => ({
  isCluster: false,
  endpoint: new Endpoint(),
  name: "a test",
  serverOf,
  find: () => undefined,
  heed: () => undefined,
});

const sendWith = (engine: CallEngine & Attempts, command: Command) =>
  new Promise<Reply>((resolve, reject) =>
    engine.start(new SingleCall(engine, command, NO_OPTIONS, resolve, reject))
  );

Deno.test("A call whose server cannot be reached goes to the server that is in charge at its next attempt", async () => {
  await using redis = await startRedis();
  const away = serverAt("redis://127.0.0.1:1");
  const there = serverAt(redis.url);
  const asked: (Command | undefined)[] = [];
  const router = routerBy(({ command }) => {
    asked.push(command);
    return asked.length === 1 ? away : there;
  });
  const retried: RetryInfo[] = [];
  const attempts = new Attempts(router, {
    retry: new Retry({ sleep: () => Promise.resolve() }),
    onRetry: (info) => retried.push(info),
    drain: new Drain(),
  });
  const command: Command = ["SET", "key", "value"];
  assertEquals(await sendWith(attempts, command), "OK");
  assertEquals(asked, [command, command]);
  assertEquals(retried.length, 1);
  assertEquals(
    [away.stats().dialFailures, there.stats().dialed],
    [1, 1],
  );
  await Promise.all([away.close("over"), there.close("over")]);
});

Deno.test("A lease goes back to the server that it came from, whichever is in charge by then", async () => {
  await using redis = await startRedis();
  const first = serverAt(redis.url);
  const second = serverAt(redis.url);
  let inCharge = first;
  const drain = new Drain();
  const attempts = new Attempts(
    routerBy(() => inCharge),
    { retry: false, onRetry: undefined, drain },
  );
  const held = await new Promise<{ release(clean: boolean): void }>(
    (resolve, reject) =>
      attempts.start(new LeaseCall(attempts, NO_OPTIONS, resolve, reject)),
  );
  inCharge = second;
  assertEquals(await sendWith(attempts, ["PING"]), "PONG");
  assertEquals([first.stats().leased, second.stats().leased], [1, 0]);
  let isDrained = false;
  const drained = drain.within(60_000).then(() => isDrained = true);
  await Promise.resolve();
  assertEquals(isDrained, false); // it is still held
  held.release(true);
  await drained;
  assertEquals([first.stats().leased, first.stats().idle], [0, 1]);
  await Promise.all([first.close("over"), second.close("over")]);
});

Deno.test("A server that closes ends its dials beside the pool, and leaves no connection there", async () => {
  await using redis = await startRedis();
  const server = serverAt(redis.url);
  const reason = new ClosedError("over");
  const connect = () =>
    new Promise((take, fail) => server.connect("beside", { take, fail }));
  await connect(); // is never released
  redis.freeze();
  const left = assertRejects(() => connect(), ClosedError);
  await server.close(reason);
  assertEquals(await left, reason);
  redis.thaw();
  const clients = await redis.cli("CLIENT", "LIST", "TYPE", "normal");
  assertEquals(clients.trim().split("\n").length, 1, clients);
});
