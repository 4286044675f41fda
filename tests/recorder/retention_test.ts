// Which sets are trimmed, when, and by which time.
import "../support/strict.ts";
import { assertEquals, assertGreater } from "@std/assert";
import { delay } from "@std/async/delay";
import { type Command, ReplyError } from "../../mod.ts";
import { Entry } from "../../recorder/entry.ts";
import { Epoch } from "../../recorder/epochs.ts";
import { Retention } from "../../recorder/retention.ts";

function writtenTo(key: string, score: number): Entry {
  const event = { mallId: "m", shopNo: 1, eventType: "e" };
  const entry = new Entry(event, 1, new Epoch(), () => {});
  entry.key = key;
  entry.score = score;
  return entry;
}

/** A retention of 10 seconds, on a server whose time is 1000. */
class Trimmed {
  readonly flushes: Command[][] = [];
  readonly refusals: [error: unknown, key: string][] = [];
  answer: (command: Command) => unknown = () => 1;
  readonly retention = new Retention({
    origin: { hostname: "nowhere", port: 1, database: 0 },
    isClosed: false,
    send: () => Promise.reject(new Error("not used")),
    pipeline: async (commands) => {
      this.flushes.push([...commands]);
      await undefined;
      return commands.map((command) =>
        command[0] === "TIME" ? ["1000", "0"] : this.answer(command)
      );
    },
  }, {
    seconds: 10,
    sendOptions: {},
    onRefused: (error, { key }) => this.refusals.push([error, key]),
  });
}

Deno.test("A set is trimmed once for all that was written to it, by the latest of its times", async () => {
  const { retention, flushes } = new Trimmed();
  retention.add([500, 700, 600].map((score) => writtenTo("a", score)));
  retention.add([writtenTo("a", 650)]);
  retention.add([writtenTo("b", 5000)]); // later than the server's time
  await retention.flush();
  assertEquals(flushes, [[["TIME"]], [
    ["ZREMRANGEBYSCORE", "a", "-inf", "(690"],
    ["EXPIRE", "a", 10],
    ["ZREMRANGEBYSCORE", "b", "-inf", "(990"],
    ["EXPIRE", "b", 10],
  ]]);
  await retention.flush();
  assertEquals(flushes.length, 2); // nothing is left
});

Deno.test("Sets are trimmed by themselves soon after a write, all of that time together", async () => {
  const { retention, flushes } = new Trimmed();
  const keys: string[] = [];
  const startedAt = performance.now();
  for (let i = 0; i < 200; i++) {
    keys.push(`${i}`);
    retention.add([writtenTo(`${i}`, 1)]);
    await undefined;
  }
  assertEquals(flushes, []);
  while (flushes.length < 2) await delay(1);
  assertGreater(performance.now() - startedAt, 8);
  assertEquals(flushes.length, 2);
  const trimmed = flushes[1]!.filter(([name]) => name === "EXPIRE");
  assertEquals(trimmed.map(([, key]) => key), keys);
  retention.add([writtenTo("later", 1)]);
  while (flushes.length < 3) await delay(1);
  assertEquals(flushes[2]!.map(([, key]) => key), ["later", "later"]);
});

Deno.test("A flush trims 1000 sets and leaves the others to the next", async () => {
  const { retention, flushes } = new Trimmed();
  for (let i = 0; i < 2500; i++) retention.add([writtenTo(`${i}`, 1)]);
  await retention.flush();
  assertEquals(
    flushes.map(({ length }) => length),
    [1, 2000, 2000, 1000],
  );
});

Deno.test("Of a row of refusals the first is reported, with an entry of its set", async () => {
  const trimmed = new Trimmed();
  const { retention, refusals } = trimmed;
  const no = new ReplyError("NOPERM no");
  const round = async (answer: typeof trimmed.answer) => {
    trimmed.answer = answer;
    for (const key of ["a", "b", "c"]) retention.add([writtenTo(key, 1)]);
    await retention.flush();
  };
  await round(([name, key]) => name === "EXPIRE" && key === "b" ? no : 1);
  assertEquals(refusals, [[no, "b"]]);
  await round(() => no);
  assertEquals(refusals.length, 1);
  await round(() => 1);
  await round(() => no);
  assertEquals(refusals, [[no, "b"], [no, "a"]]);
});

Deno.test("Nothing is trimmed any more once a retention has ended", async () => {
  const { retention, flushes } = new Trimmed();
  retention.add([writtenTo("a", 1)]);
  retention.end();
  await delay(30);
  await retention.flush();
  assertEquals(flushes, []);
});
