// That retries are a reserve, and then a share of the calls that succeeded.

import "../support/strict.ts";
import {
  assert,
  assertEquals,
  assertGreaterOrEqual,
  assertLess,
} from "@std/assert";
import { RetryBudget } from "../../client/retries.ts";

Deno.test("RetryBudget allows a reserve, then a tenth of the successes", () => {
  const budget = new RetryBudget();
  let spent = 0;
  while (budget.spend({})) spent++;
  assertEquals(spent, 100);
  for (let i = 0; i < 1005; i++) budget.earn();
  while (budget.spend({})) spent++;
  assertEquals(spent, 200);
});

Deno.test("RetryBudget takes one token for one cause, however many calls it took along", () => {
  const budget = new RetryBudget();
  const cause = {};
  for (let i = 0; i < 3; i++) assert(budget.spend(cause));
  assertEquals(budget.tokens, 99);
  assert(budget.spend({}));
  assertEquals(budget.tokens, 98);
  budget.earn();
  assertEquals(Math.round(budget.tokens * 10), 981);
  for (let i = 0; i < 100; i++) budget.earn();
  assertLess(budget.tokens, 100.1);
  while (budget.spend({}));
  assert(budget.spend(cause), "it was paid for");
  assertGreaterOrEqual(budget.tokens, 0);
});
