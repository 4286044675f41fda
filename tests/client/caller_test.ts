// That calls count as under way while the code for them is loaded: each file of tests loads it anew.

import "../support/strict.ts";
import { assertEquals, assertRejects } from "@std/assert";
import { ClosedError, Redis } from "../../mod.ts";
import { helloOf, ScriptedServer } from "../support/scripted_server.ts";

Deno.test("close() waits for the first pipeline of a cluster, whose code is still being loaded", async () => {
  await using node: ScriptedServer = new ScriptedServer(([name]) => {
    if (name === "HELLO") {
      return helloOf({ server: "redis", version: "7.0.0", mode: "cluster" });
    }
    return name === "CLUSTER"
      ? `*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:${node.port}\r\n`
      : ":1\r\n";
  });
  const redis = new Redis(`redis://${node.address}?cluster=true`);
  const replies = redis.pipeline([["INCR", "a"], ["INCR", "b"]]);
  const closed = redis.close();
  const refused = redis.pipeline([["INCR", "a"], ["INCR", "b"]]);
  await assertRejects(() => refused, ClosedError, "Cannot send a pipeline");
  assertEquals(await replies, [1, 1]);
  await closed;
});
