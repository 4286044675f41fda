// That the environment of the service is checked before anything is opened.
import "../../support/strict.ts";
import { assertEquals, assertThrows } from "@std/assert";
import { settingsOf } from "../../../examples/webhook_service/settings.ts";

const from = (variables: Record<string, string>) =>
  settingsOf({ get: (name) => variables[name] });

Deno.test("The settings of the service have defaults, and a blacklist only with a limit", () => {
  assertEquals(from({}), {
    redisUrl: undefined,
    port: 8000,
    outbox: undefined,
    limits: undefined,
    adminToken: undefined,
  });
  assertEquals(from({ LIMIT: "3" }).limits, {
    limit: 3,
    windowSeconds: 60,
    blockSeconds: 600,
  });
});

Deno.test("A setting that no blacklist or server takes is refused with what is expected", () => {
  const refused = (name: string, value: string, least: number, most: number) =>
    assertThrows(
      () => from({ LIMIT: "3", [name]: value }),
      TypeError,
      `Cannot use ${name}: it is "${value}", expected a whole number from ${least} to ${most}`,
    );
  refused("PORT", "65536", 0, 65_535);
  refused("LIMIT", "0", 1, 1e9);
  refused("WINDOW_SECONDS", "604801", 1, 604_800);
  refused("BLOCK_SECONDS", "31622401", 1, 31_622_400);
});
