// That the environment of the service is checked before anything is opened.
import "../../support/strict.ts";
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  settingsOf,
  withoutEffectIn,
} from "../../../examples/webhook_service/settings.ts";

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

Deno.test("A setting that is empty has its default", () => {
  const names = ["REDIS_URL", "PORT", "OUTBOX", "LIMIT", "ADMIN_TOKEN"];
  const empty = Object.fromEntries(names.map((name) => [name, ""]));
  assertEquals(from(empty), from({}));
});

Deno.test("A token that no header can have is refused, and not shown", () => {
  for (const token of ["tökén", " secret", "secret "]) {
    const { message } = assertThrows(
      () => from({ ADMIN_TOKEN: token }),
      TypeError,
      "Cannot use ADMIN_TOKEN: expected printable ASCII characters",
    );
    assert(!message.includes(token.trim()), message);
  }
  assertEquals(from({ ADMIN_TOKEN: "a token" }).adminToken, "a token");
});

Deno.test("Settings that have no effect without a limit are named", () => {
  const variables: Record<string, string> = {
    WINDOW_SECONDS: "5",
    BLOCK_SECONDS: "",
    ADMIN_TOKEN: "t", // that of /status, too
  };
  const idle = () => withoutEffectIn({ get: (name) => variables[name] });
  assertEquals(idle(), ["WINDOW_SECONDS"]);
  variables.BLOCK_SECONDS = "6";
  assertEquals(idle(), ["WINDOW_SECONDS", "BLOCK_SECONDS"]);
  variables.LIMIT = "3";
  assertEquals(idle(), []);
});
