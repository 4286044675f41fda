// What FileOutbox keeps, in which order, and what it refuses.
import { textOf } from "../../../../recorder/stores/file/event_text.ts";
import "../../../support/strict.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import {
  FileOutbox,
  OutboxFileError,
  type StoredEvent,
} from "../../../../recorder/stores/file/file_outbox.ts";
import { Disk } from "../../../../recorder/stores/file/disk.ts";
import {
  contentsOf,
  idsOf,
  loaded,
  openOutbox,
  storedEvent,
  storedEvents,
  temporaryFile,
} from "./files.ts";

Deno.test("What was appended is loaded in its order, by this process and by the next, until it is removed", async () => {
  await using file = await temporaryFile();
  const entries = storedEvents(5);
  const { outbox } = await openOutbox(file.path);
  assertEquals(await loaded(outbox), []);
  await outbox.append(entries.slice(0, 3));
  await outbox.append(entries.slice(3));
  assertEquals(await loaded(outbox), entries);
  await outbox.remove([entries[1]!.id, "0-not-there"]);
  const left = entries.toSpliced(1, 1);
  assertEquals(await loaded(outbox), left);
  assertEquals(outbox.size, 4);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, left);
  const again = await openOutbox(file.path);
  await again.outbox.remove(idsOf(left));
  await again.outbox.close();
  assertEquals((await contentsOf(file.path)).events, []);
});

Deno.test("Any text comes back as it was, and any order of properties", async () => {
  await using file = await temporaryFile();
  const eventType =
    '주문/생성 \u0000 é \u{1f9df} \ud800 "\\u0041\n\r\u007f\u2028';
  const { id, ...rest } = storedEvent(eventType);
  const entries: StoredEvent[] = [
    { ...rest, id, key: eventType },
    { id, ...rest, event: { mallId: eventType, shopNo: 1, eventType } },
  ].map((entry, n) => ({ ...entry, id: `${n}-a` }));
  const { outbox } = await openOutbox(file.path);
  await outbox.append(entries);
  assertEquals(await loaded(outbox), entries);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, entries);
  const bytes = await Deno.readFile(file.path);
  assert(bytes.every((byte) => byte < 0x7f), "the file is ASCII");
});

Deno.test("An event of 10,000 members comes and goes as a whole", async () => {
  await using file = await temporaryFile();
  const members = Array.from({ length: 10_000 }, () => crypto.randomUUID());
  const entries = [storedEvent(), { ...storedEvent(), members }, storedEvent()];
  const { outbox } = await openOutbox(file.path);
  await outbox.append(entries);
  assertEquals(await loaded(outbox), entries);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, entries);
});

Deno.test("Calls that overlap take effect in their order", async () => {
  await using file = await temporaryFile();
  const [a, b, c] = storedEvents(3) as [StoredEvent, StoredEvent, StoredEvent];
  const { outbox } = await openOutbox(file.path);
  await Promise.all([
    outbox.append([a, b]),
    outbox.remove([a.id]),
    outbox.append([c]),
    outbox.append([a]),
    outbox.remove([c.id]),
    outbox.append([b]),
  ]);
  assertEquals(await loaded(outbox), [b, a]);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, [b, a]);
});

Deno.test("Calls of one turn share one sync, and those that come during a sync share the next", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const { sync } = Disk.prototype;
  let syncs = 0;
  Disk.prototype.sync = function () {
    syncs++;
    return sync.call(this);
  };
  try {
    const first = storedEvents(50).map((entry) => outbox.append([entry]));
    await undefined;
    await undefined;
    const later = storedEvents(50).map((entry) => outbox.append([entry]));
    await Promise.all([...first, ...later]);
    assertEquals(syncs, 2);
  } finally {
    Disk.prototype.sync = sync;
    await outbox.close();
  }
});

Deno.test("An event that is changed after the call is stored as it was", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const entry = structuredClone(storedEvent()) as StoredEvent & { key: string };
  const { key } = entry;
  const appended = outbox.append([entry]);
  entry.key = "changed";
  await appended;
  assertEquals((await loaded(outbox))[0]!.key, key);
  await outbox.close();
});

Deno.test("An event that is set aside is not loaded, stays in the file with the reason, and can be removed", async () => {
  await using file = await temporaryFile();
  const entries = storedEvents(3);
  const { outbox } = await openOutbox(file.path);
  await outbox.append(entries);
  await outbox.setAside([entries[0]!.id, "0-not-there"], 'WRONGTYPE é "why"');
  assertEquals(outbox.size, 2);
  assertEquals(await loaded(outbox), entries.slice(1));
  for (let round = 0; round < 3; round++) {
    const others = storedEvents(200, "x".repeat(2000));
    await outbox.append(others);
    await outbox.remove(idsOf(others));
  }
  await outbox.close();
  assert(outbox.bytes < 20_000, `${outbox.bytes}`);
  assertEquals((await contentsOf(file.path)).events, entries.slice(1));
  const text = await Deno.readTextFile(file.path);
  assertMatch(
    text,
    new RegExp(`! ${entries[0]!.id} "WRONGTYPE \\\\u00e9 \\\\"why\\\\""\n`),
  );
  assert(text.includes(`+ ${textOf(entries[0]!)}`));
  const again = await openOutbox(file.path);
  await again.outbox.remove([entries[0]!.id]);
  await again.outbox.append([entries[0]!]);
  assertEquals(await loaded(again.outbox), [...entries.slice(1), entries[0]!]);
  await again.outbox.close();
});

Deno.test("A load that is under way leaves out what is removed, holds all that was there, and survives compactions", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const entries = storedEvents(3000, "x".repeat(500));
  for (let n = 0; n < entries.length; n += 500) {
    await outbox.append(entries.slice(n, n + 500));
  }
  const full = outbox.bytes;
  const found: string[] = [];
  const removed = new Set<string>();
  for await (const { id } of await outbox.load()) {
    assert(!removed.has(id), "it was removed");
    found.push(id);
    if (found.length % 100 === 0) {
      // The recorder sends what it has loaded, and removes it.
      const ids = found.slice(-100);
      if (found.length === 1000) ids.push(entries[1234]!.id);
      await outbox.remove(ids);
      for (const id of ids) removed.add(id);
    }
  }
  assertEquals(found, idsOf(entries.toSpliced(1234, 1)));
  await outbox.close();
  assert(outbox.bytes < full / 2, `${outbox.bytes} of ${full}`);
});

Deno.test("A load that is not read to its end keeps nothing from being compacted", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const [refused, ...entries] = storedEvents(300, "x".repeat(2000));
  await outbox.append([refused!, ...entries]);
  await outbox.load(); // and not read at all
  for await (const { id } of await outbox.load()) {
    assertEquals(id, refused!.id);
    break;
  }
  await outbox.remove(idsOf(entries));
  await outbox.close();
  assert(outbox.bytes < 20_000, `${outbox.bytes}`);
  assertEquals((await contentsOf(file.path)).events, [refused]);
});

Deno.test("A full file says so, takes none of what is too much, and takes events again once there is room", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path, { maxBytes: 2 ** 20 });
  const size = "x".repeat(2000);
  const stored: StoredEvent[] = [];
  const fill = async (): Promise<OutboxFileError> => {
    for (;;) {
      const entries = storedEvents(20, size);
      try {
        await outbox.append(entries);
      } catch (error) {
        return error as OutboxFileError;
      }
      stored.push(...entries);
    }
  };
  const error = await fill();
  assertEquals(error.reason, "full");
  assertMatch(
    error.message,
    /^Cannot store 20 events of 4\d KiB: outbox \/.*\/queued.log holds (9\d\d|10[0-2]\d) KiB of at most 1024 KiB \(maxBytes\)$/,
  );
  assert(outbox.bytes <= 2 ** 20);
  assertEquals(idsOf(await loaded(outbox)), idsOf(stored));
  // Others of the same commit have room.
  const small = storedEvent();
  const results = await Promise.allSettled([
    outbox.append(storedEvents(20, size)),
    outbox.append([small]),
  ]);
  assertEquals(results.map(({ status }) => status), ["rejected", "fulfilled"]);
  await outbox.remove(idsOf(stored.splice(0)));
  await fill();
  assert(stored.length > 200);
  await outbox.close();
  assertEquals(idsOf((await contentsOf(file.path)).events), [
    small.id,
    ...idsOf(stored),
  ]);
});

Deno.test("A closed outbox has written what was called before, and refuses all calls after", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const entry = storedEvent();
  const appended = outbox.append([entry]);
  const loading = await outbox.load();
  const closed = outbox.close();
  assertEquals(outbox.close(), closed);
  await closed;
  await appended;
  await outbox[Symbol.asyncDispose]();
  const calls: [string, () => Promise<unknown>][] = [
    ["append to", () => outbox.append([entry])],
    ["remove from", () => outbox.remove([entry.id])],
    ["set aside in", () => outbox.setAside([entry.id], "why")],
    ["load", () => outbox.load()],
    ["load", () => Array.fromAsync(loading)],
  ];
  for (const [task, call] of calls) {
    const error = await assertRejects(
      call,
      OutboxFileError,
      `Cannot ${task} outbox ${file.path}: it was closed`,
    );
    assertEquals(error.reason, "closed");
  }
  assertEquals((await contentsOf(file.path)).events, [entry]);
});

Deno.test("Wrong arguments are refused with what is expected", async () => {
  await using file = await temporaryFile();
  // deno-lint-ignore no-explicit-any
  const open = FileOutbox.open as any;
  const cases: [unknown[], string][] = [
    [[5], "Cannot open outbox: path is 5, expected the path of a file"],
    [[""], 'Cannot open outbox: path is "", expected the path of a file'],
    [
      [file.path, { maxBytes: 5 }],
      `Cannot open outbox ${file.path}: maxBytes is 5, expected a whole number from 65536 to 2147483648`,
    ],
    [
      [file.path, { waitMs: -1 }],
      `Cannot open outbox ${file.path}: waitMs is -1, expected a whole number from 0 to 2147483647`,
    ],
    [
      [file.path, { onProblem: 5 }],
      "Cannot use onProblem 5: expected a function",
    ],
    [
      [file.path, { size: 5 }],
      'Cannot use option "size": expected one of maxBytes, waitMs, onProblem',
    ],
  ];
  for (const [args, message] of cases) {
    await assertRejects(() => open(...args), TypeError, message);
  }
  const { outbox } = await openOutbox(file.path);
  for (const id of ["", "A", "a b", "x".repeat(41), 5, undefined]) {
    await assertRejects(
      () =>
        outbox.append([storedEvent(), { ...storedEvent(), id: id as string }]),
      TypeError,
      "expected 1 to 40 of the characters 0-9, a-z and -",
    );
  }
  await assertRejects(
    () => outbox.append([storedEvent("x".repeat(2 ** 21))]),
    TypeError,
    "bytes; expected at most",
  );
  assertEquals(await loaded(outbox), []);
  await outbox.close();
});

Deno.test("It shows its file, its size and whether it is closed, and no events", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  await outbox.append([storedEvent("secret")]);
  const text = Deno.inspect(outbox);
  assertMatch(
    text,
    /^FileOutbox \{\s+path: ".*queued.log",\s+size: 1,\s+bytes: \d+,\s+isClosed: false\s+\}$/,
  );
  await outbox.close();
});
