// What is queued and stored, sent again and forgotten.
import "../support/strict.ts";
import { assertEquals } from "@std/assert";
import { delay } from "@std/async/delay";
import type { RecordOutcome } from "../../mod.ts";
import { Backlog } from "../../recorder/backlog.ts";
import { Entry } from "../../recorder/entry.ts";
import { Epoch } from "../../recorder/epochs.ts";
import type { Kept, OutboxStore } from "../../recorder/outbox.ts";
import { Outcomes } from "../../recorder/outcomes.ts";
import { Writer } from "../../recorder/writer.ts";

const GONE = new Error("gone");

/** A store whose calls end when a test says so. */
class SlowStore implements OutboxStore {
  readonly appends: { members: string[]; end: PromiseWithResolvers<void> }[] =
    [];
  readonly removed: string[] = [];

  load(): Promise<readonly Kept[]> {
    return Promise.resolve([]);
  }

  append(entries: readonly Kept[]): Promise<void> {
    const members = entries.flatMap(({ members }) => members);
    const end = Promise.withResolvers<void>();
    this.appends.push({ members, end });
    return end.promise;
  }

  remove(entries: readonly Kept[]): Promise<void> {
    this.removed.push(...entries.flatMap(({ members }) => members));
    return Promise.reject(new Error("cannot remove"));
  }
}

/** A backlog for 3 events, whose Redis is away until a test says otherwise. */
class Away {
  isAway = true;
  readonly sent: string[] = [];
  readonly store = new SlowStore();
  readonly changes: string[] = [];
  readonly outcomes = new Outcomes({
    onError: (error, status) => this.changes.push(`${status}: ${error}`),
    onChange: () => {},
  });
  readonly #writer = new Writer(
    {
      origin: { hostname: "nowhere", port: 1, database: 0 },
      isClosed: false,
      send: (command) => {
        if (this.isAway) return Promise.reject(GONE);
        this.sent.push(
          ...command.slice(2).map(String).filter((it) => it !== "1"),
        );
        return Promise.resolve(1);
      },
      pipeline: () => Promise.reject(new Error("not used")),
    },
    {},
    undefined,
  );
  readonly backlog = new Backlog(this.#writer, this.outcomes, this.store, 3);

  hold(member: string): Promise<RecordOutcome> {
    const event = { mallId: "mall", shopNo: 1, eventType: "e" };
    return new Promise((resolve) => {
      const entry = new Entry(event, 1, new Epoch(), resolve);
      entry.key = "key";
      entry.score = 1;
      entry.members = [member];
      this.backlog.hold(entry, GONE);
    });
  }
}

Deno.test("An event is called queued once the store has it, those of one turn in one call", async () => {
  const away = new Away();
  const { store, changes, backlog } = away;
  const outcomes: RecordOutcome[] = [];
  const held = ["a", "b"].map((member) => away.hold(member));
  for (const outcome of held) outcome.then((it) => outcomes.push(it));
  await delay(0);
  const third = away.hold("c"); // while the first call is under way
  await delay(0);
  assertEquals(store.appends.map(({ members }) => members), [["a", "b"]]);
  assertEquals([outcomes, changes], [[], []]);
  assertEquals(backlog.pending, 3);
  store.appends[0]!.end.resolve();
  await Promise.all(held);
  assertEquals(outcomes.map(({ status }) => status), ["queued", "queued"]);
  assertEquals(changes, ["queued: Error: gone", "queued: Error: gone"]);
  assertEquals(store.appends[1]!.members, ["c"]);
  store.appends[1]!.end.resolve();
  assertEquals((await third).status, "queued");
  backlog.clear();
});

Deno.test("What is sent is forgotten by the store, in the order in which it came", async () => {
  const away = new Away();
  const { store, backlog } = away;
  const held = ["a", "b", "c"].map((member) => away.hold(member));
  await delay(0);
  store.appends[0]!.end.resolve();
  await Promise.all(held);
  assertEquals((await away.hold("d")).status, "dropped"); // there is no room
  away.isAway = false;
  while (backlog.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals(away.sent, ["a", "b", "c"]);
  assertEquals(store.removed, ["a", "b", "c"]);
});

Deno.test("An event that Redis takes before the store has it is recorded", async () => {
  const away = new Away();
  const { store, backlog, changes } = away;
  const held = away.hold("a");
  away.isAway = false;
  while (backlog.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals((await held).status, "recorded");
  store.appends[0]!.end.resolve();
  await delay(0);
  assertEquals(changes, []);
});

Deno.test("What the store cannot take is dropped with its error, and not sent", async () => {
  const away = new Away();
  const { store, backlog, outcomes } = away;
  const lost = away.hold("a");
  await delay(0);
  const kept = away.hold("b");
  const full = new Error("disk full");
  store.appends[0]!.end.reject(full);
  assertEquals(await lost, { status: "dropped", count: 1, error: full });
  await delay(0);
  store.appends[1]!.end.resolve();
  assertEquals((await kept).status, "queued");
  assertEquals(backlog.pending, 1);
  away.isAway = false;
  while (backlog.pending > 0) {
    backlog.wake();
    await delay(1);
  }
  assertEquals(away.sent, ["b"]);
  const { queued, sent, dropped, reason } = outcomes.stats;
  assertEquals([queued, sent, dropped, reason], [2, 1, 1, undefined]);
});
