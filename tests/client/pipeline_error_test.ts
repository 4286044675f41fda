// What a pipeline that was answered in part says: its text, its fate, and that of each command.

import "../support/strict.ts";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import {
  CommandError,
  ConnectionClosedError,
  DeadlineError,
  type Fate,
  fateOf,
  PipelineError,
  type Reply,
  RetryError,
} from "../../mod.ts";
import { outlookOf } from "../../client/outlook.ts";
import { asUnsent } from "../../client/pipeline_error.ts";
import { CLOSE_REPORT } from "../support/loss.ts";

const lost = (fate: Fate) => new ConnectionClosedError(CLOSE_REPORT, fate);
const refusal = new CommandError("READONLY no", "SET", "unsent");
const executed = new CommandError("WRONGTYPE no", "INCR", "executed");

Deno.test("A pipeline is unsent or executed only if all of its commands are", () => {
  const cases: [(Reply | Error)[], Fate][] = [
    [[lost("unsent"), lost("unsent")], "unsent"],
    [[lost("unsent"), refusal], "unsent"],
    [["OK", null, executed], "executed"],
    [["OK", lost("unsent")], "unknown"],
    [["OK", refusal], "unknown"],
    [["OK", lost("unknown")], "unknown"],
    [[lost("unknown"), lost("unsent")], "unknown"],
  ];
  for (const [outcomes, fate] of cases) {
    const error = new PipelineError(outcomes, lost("unknown"));
    assertEquals(fateOf(error), fate, Deno.inspect(outcomes));
    assertEquals(error.outcomes, outcomes);
  }
});

Deno.test("The error of a pipeline counts what was answered, and what only refused", () => {
  const cause = new Error("why");
  const says = (...outcomes: (Reply | Error)[]) =>
    new PipelineError(outcomes, cause).message;
  const start = "Cannot send a pipeline of";
  assertEquals(
    says("OK", cause, cause),
    `${start} 3 commands: 1 was answered, 2 not: why`,
  );
  assertEquals(
    says("OK", executed, refusal, cause),
    `${start} 4 commands: 3 were answered, 1 not: why`,
  );
  assertEquals(
    says("OK", executed, refusal),
    `${start} 3 commands: 2 ran, 1 was refused: why`,
  );
});

Deno.test("Replies are not printed with the error of a pipeline", () => {
  const error = new PipelineError(
    ["a secret", lost("unknown")],
    lost("unknown"),
  );
  const text = Deno.inspect(error);
  assertStringIncludes(text, "1 was answered, 1 not");
  assert(!text.includes("a secret"), text);
});

Deno.test("What ended a pipeline says what to expect of a later attempt", () => {
  const away = new PipelineError(["OK", lost("unknown")], lost("unknown"));
  assertEquals(outlookOf(away), "away");
  const refused = new PipelineError(["OK", refusal], refusal);
  assertEquals(outlookOf(refused), "refused");
});

Deno.test("The error of a command that was not sent is of the same kind where another one may have run", () => {
  const closed = asUnsent(lost("unknown"));
  assert(closed instanceof ConnectionClosedError);
  const retried = asUnsent(
    new RetryError([lost("unknown"), lost("unsent")], { replays: 1 }),
  );
  assert(retried instanceof RetryError);
  assertEquals([retried.attempts, retried.replays], [2, 1]);
  const expired = asUnsent(new DeadlineError("SET", 5, "unknown", "it waited"));
  for (const error of [closed, retried, expired]) {
    assertEquals(fateOf(error), "unsent");
  }
  const unsent = lost("unsent");
  assert(asUnsent(unsent) === unsent);
});
