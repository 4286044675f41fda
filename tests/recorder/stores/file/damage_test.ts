// That a file which was cut or changed anywhere is opened, and that nothing beside the damage is lost.
import "../../../support/strict.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { textOf } from "../../../../recorder/stores/file/event_text.ts";
import {
  OutboxFileError,
  type StoredEvent,
} from "../../../../recorder/stores/file/file_outbox.ts";
import { HEADER, placed } from "../../../../recorder/stores/file/header.ts";
import { recordOf } from "../../../../recorder/stores/file/record.ts";
import {
  contentsOf,
  idsOf,
  openOutbox,
  storedEvent,
  storedEvents,
  temporaryFile,
  writeImage,
} from "./files.ts";
import { idsIn } from "./image.ts";

/** A log of several commits, and how long it was after each. */
async function smallLog(path: string) {
  const { outbox } = await openOutbox(path);
  const commits: { end: number; ids: string[] }[] = [];
  const ids: string[] = [];
  const note = () => commits.push({ end: outbox.bytes, ids: [...ids] });
  note();
  for (const count of [1, 2, 2]) {
    const entries = storedEvents(count);
    await outbox.append(entries);
    ids.push(...idsOf(entries));
    note();
  }
  await outbox.remove(ids.splice(1, 1));
  note();
  await outbox.close();
  return { bytes: await Deno.readFile(path), commits };
}

/** Most of a slot of the header are spaces. */
const stepAt = (at: number): number => at < HEADER && at % 4096 > 120 ? 17 : 1;

Deno.test("A file that is cut at any byte has what was committed before", async () => {
  await using file = await temporaryFile();
  const { bytes, commits } = await smallLog(file.path);
  const { ids: left } = commits.at(-1)!;
  for (let cut = 0; cut <= bytes.length; cut += stepAt(cut)) {
    const cutOff = bytes.subarray(0, cut);
    // The last change is a removal, which may be whole before its commit is.
    const promised = (commits.findLast(({ end }) => end <= cut)?.ids ?? [])
      .filter((id) => left.includes(id));
    const found = idsIn(cutOff);
    assert(promised.every((id) => found.includes(id)), `cut at ${cut}`);
    if (cut % (cut < HEADER ? 1021 : 23) !== 0) continue;
    await writeImage(file.path, cutOff);
    const { events, problems } = await contentsOf(file.path);
    assertEquals(idsOf(events), found, `cut at ${cut}`);
    assertEquals(problems, [], `cut at ${cut}`);
    // The next process finds the same, and takes more.
    const { outbox, problems: later } = await openOutbox(file.path);
    const next = storedEvent();
    await outbox.append([next]);
    await outbox.close();
    assertEquals(later, [], `cut at ${cut}`);
    assertEquals(
      idsIn(await Deno.readFile(file.path)),
      [...found, next.id],
      `cut at ${cut}`,
    );
  }
});

Deno.test("One byte that is changed costs no event but its own, whatever it becomes", async () => {
  await using file = await temporaryFile();
  const { bytes, commits } = await smallLog(file.path);
  const { ids } = commits.at(-1)!;
  const text = new TextDecoder("latin1").decode(bytes);
  for (let at = 0; at < bytes.length; at += stepAt(at)) {
    const original = bytes[at]!;
    const start = text.lastIndexOf("\n", at - 1) + 1;
    const line = text.slice(start, text.indexOf("\n", at) + 1);
    for (const value of [original ^ 1, original ^ 0x80, 10, 0, 32]) {
      bytes[at] = value;
      const found = idsIn(bytes);
      const lost = ids.filter((id) => !found.includes(id));
      assert(
        lost.every((id) => line.includes(id)) && lost.length < 2,
        `byte ${at} was ${original} and became ${value}: lost ${lost}`,
      );
      if (at % (at < HEADER ? 499 : 41) !== 0 || value !== 10) continue;
      await writeImage(file.path, bytes);
      assertEquals(idsOf((await contentsOf(file.path)).events), found);
    }
    bytes[at] = original;
  }
});

Deno.test("What was damaged is reported with its place, kept, carried over by compactions, and not reported again", async () => {
  await using file = await temporaryFile();
  const { bytes } = await smallLog(file.path);
  const text = new TextDecoder("latin1").decode(bytes);
  const at = text.indexOf("+ ", HEADER) + 20;
  const start = text.lastIndexOf("\n", at) + 1;
  const line = text.slice(start, text.indexOf("\n", at) + 1);
  bytes[at]! ^= 1;
  const damaged = bytes.slice(start, start + line.length);
  await writeImage(file.path, bytes);
  const { outbox, problems } = await openOutbox(file.path);
  assertEquals(problems.map(({ message }) => message), [
    `Outbox ${file.path}: ${line.length} bytes at offset ${start} are no record; kept and skipped`,
  ]);
  assertEquals(problems[0]!.reason, "unreadable");
  const before = outbox.size;
  for (let round = 0; round < 3; round++) {
    const entries = storedEvents(200, "x".repeat(2000));
    await outbox.append(entries);
    await outbox.remove(idsOf(entries));
  }
  assertEquals(outbox.size, before);
  await outbox.close();
  assert(outbox.bytes < 20_000, `${outbox.bytes}`);
  const raw = await Deno.readTextFile(file.path);
  const [, base64] = / \? (\S+)\n/.exec(raw)!;
  assertEquals(atob(base64!), String.fromCharCode(...damaged));
  assertEquals((await contentsOf(file.path)).problems, []);
});

Deno.test("Zeros in the place of a last write, as a loss of power leaves them, are ignored", async () => {
  await using file = await temporaryFile();
  const { bytes, commits } = await smallLog(file.path);
  const [, first, second] = commits;
  for (
    const [from, to] of [[first!.end, second!.end], [
      first!.end + 5,
      second!.end - 5,
    ], [first!.end, second!.end - 30]] as const
  ) {
    const cut = bytes.slice(0, second!.end);
    cut.fill(0, from, to);
    await writeImage(file.path, cut);
    const { events, problems } = await contentsOf(file.path);
    assertEquals(problems, []);
    assert(first!.ids.every((id) => idsOf(events).includes(id)));
  }
});

Deno.test("Many damaged places are reported ten times, and then as a number", async () => {
  await using file = await temporaryFile();
  const { bytes } = await smallLog(file.path);
  const lines = new TextEncoder().encode("no record\n".repeat(25));
  await writeImage(
    file.path,
    new Uint8Array([
      ...bytes.slice(0, HEADER),
      ...lines,
      ...bytes.slice(HEADER),
    ]),
  );
  const { problems, events } = await contentsOf(file.path);
  assertEquals(problems.length, 11);
  assertMatch(
    problems.at(-1)!.message,
    /: 15 more places hold no records; kept/,
  );
  assertEquals(events.length, 4);
});

Deno.test("A file that is something else, or of a newer version, is refused and not touched", async () => {
  await using file = await temporaryFile();
  const { bytes } = await smallLog(file.path);
  const slot = (text: string) => text.padEnd(4095) + "\n";
  const { crc32 } = await import("node:zlib");
  const newer = `unzombie-outbox 7 ${
    crc32("x", 7).toString(16).padStart(8, "0")
  } x`;
  const damaged = bytes.slice();
  damaged[30]! ^= 1;
  damaged[4096 + 30]! ^= 1;
  const encode = (text: string) => new TextEncoder().encode(text);
  const cases: [Uint8Array, string, string][] = [
    [
      encode("hello\n"),
      "foreign",
      "it is something else, and was not touched; expected an outbox, or no file",
    ],
    [encode("x".repeat(20_000)), "foreign", "it is something else"],
    [new Uint8Array(20_000), "foreign", "it is something else"],
    [
      encode(slot(newer).repeat(2)),
      "newer",
      "it has version 7 of the format; expected version 1, or a newer version of this module",
    ],
    [encode(slot(newer)), "newer", "it has version 7 of the format"],
    [
      damaged,
      "damaged",
      "its header is damaged in both places; it was not touched",
    ],
  ];
  for (const [content, reason, text] of cases) {
    await writeImage(file.path, content);
    const error = await assertRejects(
      () => openOutbox(file.path),
      OutboxFileError,
      `Cannot open outbox ${file.path}: ${text}`,
    );
    assertEquals(error.reason, reason);
    assertEquals(await Deno.readFile(file.path), content);
  }
});

Deno.test("A crash while the file is made leaves a new file", async () => {
  await using file = await temporaryFile();
  const { bytes } = await smallLog(file.path);
  for (
    const content of [
      new Uint8Array(0),
      new Uint8Array(100),
      new Uint8Array(HEADER),
      bytes.subarray(0, 5),
      bytes.subarray(0, 5000),
    ]
  ) {
    await writeImage(file.path, content);
    const { outbox } = await openOutbox(file.path);
    const entry = storedEvent();
    await outbox.append([entry]);
    await outbox.close();
    assertEquals((await contentsOf(file.path)).events, [entry]);
  }
});

Deno.test("A file that is cut before the place where its records begin takes events again", async () => {
  await using file = await temporaryFile();
  const { bytes } = await smallLog(file.path);
  // A compaction that a crash has ended leaves such a header.
  const header = { sequence: 2, generation: 1, start: bytes.length };
  for (const slot of [0, 1]) {
    const { bytes: text, offset } = placed(header, slot);
    bytes.set(text, offset);
  }
  for (const length of [HEADER, HEADER + 100, bytes.length - 1]) {
    await writeImage(file.path, bytes.subarray(0, length));
    const { outbox } = await openOutbox(file.path);
    const entries = storedEvents(2);
    await outbox.append(entries);
    await outbox.close();
    const { events, problems } = await contentsOf(file.path);
    assertEquals(idsOf(events), idsOf(entries));
    assertEquals(problems, []);
  }
});

Deno.test("A slot of the header that was damaged is written anew", async () => {
  await using file = await temporaryFile();
  const { bytes, commits } = await smallLog(file.path);
  for (const at of [25, 4096 + 25]) {
    const changed = bytes.slice();
    changed[at]! ^= 1;
    await writeImage(file.path, changed);
    await contentsOf(file.path);
    const healed = await Deno.readFile(file.path);
    healed[(at + 4096) % HEADER]! ^= 1;
    await writeImage(file.path, healed);
    assertEquals(
      idsOf((await contentsOf(file.path)).events),
      commits.at(-1)!.ids,
    );
  }
});

/** A log with the line of one event between others, which takes all that a record may have. */
async function logWithLine(path: string, line: string) {
  const { outbox } = await openOutbox(path);
  const [before, after] = [storedEvents(2), storedEvents(2)];
  await outbox.append(before);
  await outbox.append(after);
  await outbox.close();
  const text = await Deno.readTextFile(path);
  const at = text.lastIndexOf("\n", text.indexOf(` + ${after[0]!.id}`)) + 1;
  const encode = (part: string) => new TextEncoder().encode(part);
  await writeImage(
    path,
    encode(`${text.slice(0, at)}${line}${text.slice(at)}`),
  );
  return { events: [...before, ...after], offset: at };
}

Deno.test("A damaged line in which a record could begin at 190,000 places costs no more than a second to look through", async () => {
  await using file = await temporaryFile();
  const begins = "0123abcd - ";
  const line = `${begins.repeat(190_000)}x\n`;
  const { events, offset } = await logWithLine(file.path, line);
  const start = performance.now();
  const found = await contentsOf(file.path);
  const elapsedMs = performance.now() - start;
  assertEquals(found.events, events);
  assertEquals(found.problems.map(({ message }) => message), [
    `Outbox ${file.path}: ${line.length} bytes at offset ${offset} are no record; kept and skipped`,
  ]);
  assert(elapsedMs < 5000, `${elapsedMs} ms`);
});

Deno.test("A good record behind a damaged one is found in the same line, whatever looks like the beginning of one before it and in it", async () => {
  await using file = await temporaryFile();
  const begins = "0123abcd + x ".repeat(2000);
  const hidden: StoredEvent = {
    ...storedEvent(),
    event: { mallId: begins, shopNo: 1, eventType: "order" },
  };
  const record = recordOf(`+ ${textOf(hidden)}`, 1);
  const line = `0123abcd + ${begins}\u0001${record}`;
  const { events, offset } = await logWithLine(file.path, line);
  const found = await contentsOf(file.path);
  assertEquals(found.events, [
    ...events.slice(0, 2),
    hidden,
    ...events.slice(2),
  ]);
  assertEquals(found.problems.map(({ message }) => message), [
    `Outbox ${file.path}: ${
      line.length - record.length
    } bytes at offset ${offset} are no record; kept and skipped`,
  ]);
});
