// The outbox if the code that a store needs cannot be loaded.
import "../../support/strict.ts";
import { assertEquals } from "@std/assert";
import { fateOf, type RecordOutcome } from "../../../mod.ts";
import { CommandError } from "../../../client/command_error.ts";
import { Entry } from "../../../recorder/entries/entry.ts";
import { Epoch } from "../../../recorder/entries/epochs.ts";
import { Outbox } from "../../../recorder/outbox/outbox.ts";
import { Outcomes } from "../../../recorder/entries/outcomes.ts";
import type { OutboxError } from "../../../recorder/outbox/outbox_store.ts";
import { EVENT } from "../doubles.ts";
import { MapStore } from "../map_store.ts";

function setUp(usesMemory: boolean) {
  const store = new MapStore();
  const errors: OutboxError[] = [];
  const outcomes = new Outcomes({ onError() {}, onChange() {} });
  const outbox = new Outbox(
    outcomes,
    10,
    {
      store,
      usesMemory,
      onError: (error) => errors.push(error),
      isClosed: () => false,
      restore() {},
    },
    () => Promise.reject(new TypeError("no such module")),
  );
  const answers: RecordOutcome[] = [];
  const entryOf = () =>
    new Entry(EVENT, 1, new Epoch(), (outcome) => answers.push(outcome));
  return { store, errors, outcomes, outbox, answers, entryOf };
}

const WHY = "Cannot use the store, its code cannot be loaded: no such module";

for (const usesMemory of [false, true]) {
  const what = usesMemory ? "in memory alone" : "dropped";
  Deno.test(`If the code for a store cannot be loaded, events are ${what}, and nothing waits for it`, async () => {
    const { store, errors, outcomes, outbox, answers, entryOf } = setUp(
      usesMemory,
    );
    const gone = new CommandError("gone", "ZADD", "executed");
    const early = [entryOf(), entryOf()];
    for (const entry of early) outbox.add(entry, gone);
    outbox.recorded(early.slice(1)); // Redis took it meanwhile
    outcomes.recorded(early.slice(1));
    await outbox.flush(Promise.resolve());
    const late = entryOf();
    outbox.add(late, gone);
    const [, first, second] = answers;
    for (const outcome of [first!, second!]) {
      const { status, error } = outcome;
      assertEquals(status, usesMemory ? "queued" : "dropped");
      assertEquals(
        String(error),
        `OutboxError: ${usesMemory ? "Event is in memory alone: " : ""}${WHY}`,
      );
      assertEquals(fateOf(error), fateOf(gone));
    }
    assertEquals(outbox.pending, usesMemory ? 2 : 0);
    assertEquals(errors.map(String), [`OutboxError: ${WHY}`]);
    assertEquals(outbox.lastError, errors[0]);
    const held = usesMemory ? [early[0]!, late] : [];
    outbox.release(held);
    outbox.giveUp([...held, entryOf()], new Error("closed"));
    outbox.endRestoration();
    await outbox.end(Promise.resolve());
    assertEquals(outcomes.counts.dropped, 3);
    assertEquals(answers.at(-1)!.status, "dropped");
    assertEquals(store.calls, []);
  });
}
