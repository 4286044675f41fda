// The events of a watch as text.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import type { DeathEvent } from "../../../cli/watch/json_lines.ts";
import { deaths } from "../../../cli/watch/text.ts";

Deno.test("Deaths of one moment share a line if they share a cause and a confidence", () => {
  const death = {
    at: "2025-01-31T00:00:00Z",
    ...{ how: "fin", during: "idle", role: "idle", idleMs: 5, frozenMs: 0 },
    ...{ close: "closed", outcome: "it", cause: "client-kill" },
    confidence: "likely",
  } as unknown as DeathEvent;
  const count = (...more: Partial<DeathEvent>[]) =>
    deaths([death, ...more.map((one) => ({ ...death, ...one }))]).length;
  assertEquals(count({}), 1);
  assertEquals(count({ how: "rst" }), 1);
  assertEquals(count({ cause: "restart" }), 2);
  assertEquals(count({ confidence: "possible" }), 2);
  assertEquals(count({ cause: null }, { cause: null }), 2);
  assertEquals(count({ cause: null }, { cause: null, how: "rst" }), 3);
});
