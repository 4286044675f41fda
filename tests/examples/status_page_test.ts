// That the status page of the example service says how it stands, in a real browser.
import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotEquals,
} from "@std/assert";
import { Random } from "../support/random.ts";
import { conversation, ignore } from "../support/browser_for_tests.ts";
import { startRedis } from "../support/redis_server.ts";
import type { SeenStatus } from "./look_at_status.ts";
import { RunningService } from "./running_service.ts";

const TOKEN = "a long word: with : and spaces";
const LOOK = new URL("look_at_status.ts", import.meta.url);

Deno.test({
  name: "Status page shows an outage, its end, and why a connection has ended",
  ignore,
  async fn() {
    const random = new Random();
    await using server = await startRedis();
    await using service = await RunningService.start(server.url, {
      env: { ADMIN_TOKEN: TOKEN },
    });
    const post = () => service.post(`/webhooks/mall/${random.below(9)}/orders`);
    for (let i = 0; i < 5; i++) await post();
    const actions = [
      async () => {
        await server.kill();
        await post();
      },
      async () => {
        await server.start();
        await service.drained();
        await server.cli("CLIENT", "KILL", "TYPE", "normal");
        await post();
      },
    ];
    const seen = await conversation<SeenStatus>(
      LOOK,
      [`${service.url}/status`, TOKEN],
      () => actions.shift()!(),
    );
    const [first, away, back] = seen.headlines;
    assertEquals([first, back], ["All is well", "All is well"]);
    assertMatch(away!, /^Redis is away, for \d+ s: Cannot connect to /);
    assertMatch(seen.deaths.join("\n"), /ended by (?:CLIENT KILL|a restart)/);
    const { figures } = seen;
    assertEquals(figures["lost so far"], "0");
    assertEquals(figures["queued so far"], "1");
    assert(Number(figures["recorded a minute"]!.replace(",", "")) > 0);
    assert(seen.keepsFocus);
    assertEquals(seen.paused, "Updates are paused.");
    assertEquals(seen.widths, [0, 0]);
    assertNotEquals(seen.backgrounds[0], seen.backgrounds[1]);
    assertEquals(seen.errors, []);
    assertEquals([seen.refresh, seen.unknown], ["5", 401]);
    assertMatch(seen.withoutScript, /^127\.0\.0\.1:\d+$/);
  },
});

Deno.test("Status page is for those who have the token, and is not there without one", async () => {
  await using server = await startRedis({ password: "s3cret" });
  {
    await using service = await RunningService.start(server.url, {
      env: { ADMIN_TOKEN: TOKEN },
    });
    const ask = async (authorization: string) => {
      const response = await fetch(`${service.url}/status`, {
        headers: { authorization },
      });
      return [response.status, await response.text()] as const;
    };
    for (
      const wrong of [
        "",
        "Bearer wrong",
        `Bearer ${TOKEN} `.replace("word", "sword"),
        "Basic ?",
        `Basic ${btoa("admin:wrong")}`,
        `Basic ${btoa(TOKEN)}`,
        TOKEN,
      ]
    ) assertEquals((await ask(wrong))[0], 401, wrong);
    for (const right of [`Bearer ${TOKEN}`, `Basic ${btoa(`me:${TOKEN}`)}`]) {
      const [status, page] = await ask(right);
      assertEquals(status, 200);
      assert(!page.includes("s3cret") && !page.includes(TOKEN));
    }
  }
  await using service = await RunningService.start(server.url);
  const response = await fetch(`${service.url}/status`);
  assertEquals(response.status, 404);
  await response.body?.cancel();
});
