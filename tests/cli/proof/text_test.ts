// The proof as text.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import type { Proof } from "../../../cli/proof/result.ts";
import {
  conclusion,
  request,
  requestsSummary,
} from "../../../cli/proof/text.ts";
import { failed, fine, good } from "./samples.ts";

Deno.test("The text of a proof has the numbers of its results", () => {
  const environment: Proof["environment"] = {
    deno: "2.5.0",
    system: "linux x86_64",
    server: "Redis 7.0.15",
    origin: "--url",
    endpoint: "redis.example:6379",
    tls: false,
  };
  const method = { name: "kill", reason: null } as const;
  const lines = conclusion({ ...good, environment, method, ok: true });
  assertEquals(lines.slice(1, 5), [
    "  Settings                               Errors      Result",
    "  retry: false                           2 of 2      requests lost",
    "  default retry                          0 of 2      every request answered",
    "  default retry, killed again and again  0 of 1,000  1,000 of 1,000 events recorded",
  ]);
  const events = {
    ...good.events,
    stored: 993,
    outcomes: { recorded: 990, queued: 3, dropped: 7 },
    lastError: "gone",
  };
  const poor = conclusion({ ...good, environment, method, events, ok: false });
  assertEquals(
    poor[4],
    "  default retry, killed again and again  7 of 1,000  993 of 1,000 events recorded",
  );
  assertEquals(
    poor.at(-1),
    "Not proved: 7 events could not be delivered: gone.",
  );
  assertEquals(request({ ...fine, retries: 2 }, 7), [
    "   7  ok      3 ms, 1 replay, 2 retries",
  ]);
  assertEquals(request({ ...fine, replays: 2, retries: 1 }, 12), [
    "  12  ok      3 ms, 2 replays, 1 retry",
  ]);
  const why = { cause: "client-kill", confidence: "likely", text: "" } as const;
  assertEquals(
    requestsSummary({
      failed: 2,
      requests: [{ ...failed, verdict: why }, {
        ...failed,
        verdict: { ...why, cause: null },
      }, fine],
    }, "kill"),
    [
      "  2 of 3 requests failed",
      "  causes found: 1 of 3 client-kill (likely), 1 of 3 none, 1 of 3 not looked for",
      "  actual cause: CLIENT KILL from the admin connection",
    ],
  );
});
