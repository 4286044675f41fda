// Which results prove something.

import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { flawOf } from "../../../cli/proof/result.ts";
import { failed, fine, good, type Results } from "./samples.ts";

Deno.test("A proof has errors without retry, none with it, kills, and every event once", () => {
  assertEquals(flawOf(good), undefined);
  const flaws: [Partial<Results>, string][] = [
    [
      { withRetry: { failed: 1, requests: [fine, failed] } },
      "requests failed with retry, too",
    ],
    [
      { withoutRetry: { failed: 1, requests: [failed, fine] } },
      "not every zombie cost a request without retry",
    ],
    [
      {
        withoutRetry: {
          failed: 2,
          requests: [failed, {
            ...fine,
            error: { name: "ReplyError", message: "" },
          }],
        },
      },
      "requests failed for another reason than a closed connection",
    ],
    [
      { events: { ...good.events, connectionsKilled: 0 } },
      "no connection was killed while events were recorded",
    ],
    [
      { events: { ...good.events, stored: 999 } },
      "the sorted sets do not hold every event once",
    ],
    [
      { events: { ...good.events, stored: 1001, lastError: "gone" } },
      "the sorted sets do not hold every event once",
    ],
    [
      { events: { ...good.events, stored: 998, lastError: "gone" } },
      "2 events could not be delivered: gone",
    ],
  ];
  for (const [change, flaw] of flaws) {
    assertEquals(flawOf({ ...good, ...change }), flaw);
  }
});
