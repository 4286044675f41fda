// What a post-mortem asks a server, and what it counts as its own.

import "../../support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";
import { ReplyError } from "../../../mod.ts";
import { kills, NOW, report, Stage } from "./literal_server.ts";

Deno.test("CONFIG GET is sent once for baselines, and again after each end", async () => {
  const stage = new Stage();
  const connection = stage.connect();
  await stage.takeBaseline(connection, NOW - 9000);
  await stage.takeBaseline(connection, NOW - 8000);
  assertEquals(stage.asked.splice(0), [
    "CONFIG GET",
    "CONFIG GET",
    "INFO",
    "INFO",
  ]);
  await stage.why(report(), connection);
  assertEquals(stage.asked.splice(0), [
    "CLIENT LIST",
    "CONFIG GET",
    "CONFIG GET",
    "INFO",
  ]);
  await stage.why(report({ how: "silence", silentMs: 9e4 }), connection);
  assertEquals(stage.asked.splice(0), [
    "CLIENT LIST",
    "CONFIG GET",
    "CONFIG GET",
    "SLOWLOG GET",
    "LATENCY LATEST",
    "INFO",
  ]);
});

Deno.test("The reply to CONFIG GET is kept if the server refuses it later", async () => {
  const stage = new Stage();
  stage.replies["CONFIG GET"] = ["timeout", "60"];
  const connection = stage.connect();
  await stage.takeBaseline(connection, NOW - 9000);
  stage.replies["CONFIG GET"] = undefined;
  const verdict = await stage.why(
    report({ during: "idle", idleMs: 60_500 }),
    connection,
  );
  assertMatch(verdict.text, /the server's timeout is 60/);
  assertEquals(verdict.lookedAt.includes("CONFIG GET (refused)"), true);
});

Deno.test("A command that the server refuses for a moment is sent again, another one is not", async () => {
  const stage = new Stage();
  stage.replies["CLIENT LIST"] = new ReplyError("LOADING wait");
  const first = await stage.why(report(), stage.connect());
  assertEquals(first.lookedAt.join(), "the close report,INFO after");
  stage.replies["CLIENT LIST"] = undefined;
  const second = await stage.why(report(), stage.connect());
  assertEquals(second.lookedAt.includes("CLIENT LIST (refused)"), true);
  stage.asked.splice(0);
  await stage.why(report(), stage.connect());
  assertEquals(stage.asked.includes("CLIENT LIST"), false);
});

Deno.test("The commands of the post-mortem, and their refusals, are not counted as those of others", async () => {
  const stage = new Stage();
  const connection = stage.connect();
  stage.info = { run_id: "r1", errorstat_ERR: "count=0" };
  await stage.takeBaseline(connection, NOW - 9000);
  stage.replies["CLIENT LIST"] = undefined; // an ERR of our own
  stage.info = { run_id: "r1", errorstat_ERR: "count=1" };
  const bad = { how: "protocol-error", cause: "Bad type" } as const;
  const first = await stage.why(report(bad), connection);
  assertEquals(/errorstat/.test(first.text), false, first.text);
  stage.info = { run_id: "r1", errorstat_ERR: "count=2" };
  const second = await stage.why(report(bad), connection);
  assertMatch(second.text, /errorstat_ERR 0 -> 2, 1 of them by this client/);

  const older = new Stage();
  older.info = { run_id: "r1", cmdstat_client: "calls=3" };
  await older.takeBaseline(connection, NOW - 9000);
  older.info = { run_id: "r1", cmdstat_client: "calls=4" };
  const listed = await older.why(report(), connection);
  assertEquals(listed.cause, undefined, listed.text);
});

Deno.test("A CLIENT KILL by this client is counted once, and its connection is not looked for in CLIENT LIST", async () => {
  const stage = new Stage();
  const connection = stage.connect();
  stage.info = { ...kills(0), cmdstat_client: "calls=0" };
  await stage.takeBaseline(connection, NOW - 9000);
  stage.replies["CLIENT LIST"] = "id=7 addr=1 age=5 idle=4 flags=N\n";
  stage.postMortem.noteFence(connection);
  stage.info = { ...kills(1), cmdstat_client: "calls=1" };
  const verdict = await stage.why(report(), connection);
  assertEquals(
    [verdict.cause, verdict.lookedAt.includes("CLIENT LIST")],
    [undefined, false],
    verdict.text,
  );
  stage.info = { ...kills(2), cmdstat_client: "calls=2" };
  const another = await stage.why(report(), stage.connect());
  assertMatch(another.text, /CLIENT LIST has id=7 age=5 idle=4: the/);
});

Deno.test("A connection without an id is not looked for in CLIENT LIST", async () => {
  const stage = new Stage();
  await stage.why(report({ clientId: undefined }), stage.connect());
  assertEquals(stage.asked.includes("CLIENT LIST"), false);
});

Deno.test("A connection that is fenced while CLIENT LIST is asked is not reported as listed", async () => {
  const stage = new Stage();
  const connection = stage.connect();
  stage.replies["CLIENT LIST"] = "id=7 addr=1 age=5 idle=4 flags=N\n";
  const found = stage.why(report(), connection);
  stage.postMortem.noteFence(connection);
  const { cause, lookedAt } = await found;
  assertEquals([cause, lookedAt.includes("CLIENT LIST")], [undefined, false]);
});
