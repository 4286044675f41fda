// That retries are a reserve, and then a share of the calls that succeeded.

import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { RetryBudget } from "../../client/budget.ts";

Deno.test("RetryBudget allows a reserve, then a tenth of the successes", () => {
  const budget = new RetryBudget();
  let spent = 0;
  while (budget.spend({})) spent++;
  assertEquals(spent, 100);
  for (let i = 0; i < 1005; i++) budget.earn();
  while (budget.spend({})) spent++;
  assertEquals(spent, 200);
});
