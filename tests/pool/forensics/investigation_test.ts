// When an investigation is due.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { PostMortem } from "../../../pool/forensics/post_mortem.ts";
import { NOW, report, Stage } from "./literal_server.ts";

Deno.test("By default an investigation is due after five seconds", async () => {
  const stage = new Stage();
  let at = NOW;
  const postMortem = new PostMortem({ now: () => at });
  const look = () =>
    postMortem.investigate(
      report(),
      stage.connect(),
      stage.source(stage.connect()),
    );
  await look();
  at = NOW + 4999;
  assertEquals(await look(), "not-due");
  at = NOW + 5000;
  assertEquals(typeof await look(), "object");
});

Deno.test("An investigation for which nothing could be asked does not put off the next", async () => {
  const stage = new Stage(60_000);
  const revoked = { connection: stage.connect(), ask: () => undefined };
  stage.at = NOW;
  assertEquals(
    await stage.postMortem.investigate(report(), stage.connect(), revoked),
    "not-asked",
  );
  assertEquals((await stage.why(report(), stage.connect())).causes, []);
});

Deno.test("An investigation is due after the interval, also if the clock was set back", async () => {
  const stage = new Stage(5000);
  const look = () =>
    stage.postMortem.investigate(
      report(),
      stage.connect(),
      stage.source(stage.connect()),
    );
  stage.at = NOW;
  assertEquals(typeof await look(), "object");
  for (const at of [0, 4999, -4999]) {
    stage.at = NOW + at;
    assertEquals(await look(), "not-due", `${at}`);
  }
  stage.at = NOW - 5000;
  const first = look();
  stage.at = NOW + 50_000;
  assertEquals(await look(), "not-due"); // one is under way
  assertEquals(typeof await first, "object");
  assertEquals(typeof await look(), "object");
});
