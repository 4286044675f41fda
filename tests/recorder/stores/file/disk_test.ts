// That a disk which is full, read-only or missing costs only what it refuses, and that errors say what is expected.
import "../../../support/strict.ts";
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { Disk } from "../../../../recorder/stores/file/disk.ts";
import { OutboxFileError } from "../../../../recorder/stores/file/file_outbox.ts";
import { runProgram } from "../../../support/run_program.ts";
import {
  contentsOf,
  idsOf,
  loaded,
  openOutbox,
  storedEvent,
  storedEvents,
  temporaryFile,
} from "./files.ts";

/** A disk of so many KiB at a directory; `undefined` where this user may not mount one. */
async function mountSmallDisk(
  directory: string,
  kibibytes: number,
): Promise<AsyncDisposable | undefined> {
  const run = async (...args: string[]): Promise<boolean> => {
    try {
      const [command, ...rest] = args;
      const { success } = await new Deno.Command(command!, {
        args: rest,
        stderr: "null",
      }).output();
      return success;
    } catch {
      return false;
    }
  };
  const isMounted = await run(
    "mount",
    "-t",
    "tmpfs",
    "-o",
    `size=${kibibytes}k`,
    "tmpfs",
    directory,
  );
  if (!isMounted) {
    console.log("not tested: this user may not mount a small disk");
    return undefined;
  }
  return {
    [Symbol.asyncDispose]: async () => {
      await run("umount", directory);
    },
  };
}

Deno.test("A full disk refuses events, loses none of those before, and takes events again once there is room", async () => {
  await using file = await temporaryFile();
  await using disk = await mountSmallDisk(file.directory, 600);
  if (disk === undefined) return;
  const { outbox } = await openOutbox(file.path);
  const stored = [];
  let refused: OutboxFileError | undefined;
  while (refused === undefined) {
    const entries = storedEvents(10, "x".repeat(1500));
    try {
      await outbox.append(entries);
      stored.push(...entries);
    } catch (error) {
      refused = error as OutboxFileError;
    }
  }
  assertMatch(
    refused.message,
    /^Cannot write outbox \/.*\/queued.log: .*; expected room on the disk$/,
  );
  assertEquals(refused.reason, "failed");
  assertEquals(await loaded(outbox), stored);
  const copy = await Deno.readFile(file.path);
  assertEquals(copy.length, outbox.bytes);
  // Removals have no room either: what they remove is gone all the same, and the file is cut when nothing is left.
  const removals = stored.map(({ id }) => outbox.remove([id]));
  await Promise.allSettled(removals);
  assertEquals(outbox.size, 0);
  const next = storedEvents(10, "x".repeat(1500));
  await outbox.append(next);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, next);
});

Deno.test("Room that comes back on a full disk is used, and a removal that could not be written is written then", async () => {
  await using file = await temporaryFile();
  await using disk = await mountSmallDisk(file.directory, 300);
  if (disk === undefined) return;
  const { outbox } = await openOutbox(file.path);
  const entries = storedEvents(20, "x".repeat(1500));
  await outbox.append(entries);
  const other = `${file.directory}/other`;
  await Deno.writeFile(other, new Uint8Array(300 * 1024)).catch(() => {});
  // To the end of the page that the file has.
  const small = [];
  for (;;) {
    const entry = storedEvent();
    try {
      await outbox.append([entry]);
      small.push(entry);
    } catch {
      break;
    }
  }
  await assertRejects(
    () => outbox.remove(idsOf(entries.slice(0, 8))),
    OutboxFileError,
  );
  assertEquals(outbox.size, 12 + small.length);
  await Deno.remove(other);
  const next = storedEvent();
  await outbox.append([next]);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, [
    ...entries.slice(8),
    ...small,
    next,
  ]);
});

Deno.test("A file on a full disk is opened as often as it takes, and what is removed makes room", async () => {
  await using file = await temporaryFile();
  await using disk = await mountSmallDisk(file.directory, 600);
  if (disk === undefined) return;
  const { outbox } = await openOutbox(file.path);
  const entries = storedEvents(100, "x".repeat(1000));
  await outbox.append(entries);
  await outbox.close();
  using other = await Deno.create(`${file.directory}/other`);
  const isWritten = () => other.write(new Uint8Array(4096)).catch(() => 0);
  while (await isWritten() > 0);
  // Each process leaves some bytes, until the last block is full, and may be killed at any of them.
  for (let n = 0; n < 20; n++) {
    const { events, problems } = await contentsOf(file.path);
    assertEquals(events, entries);
    assertEquals(problems, []);
    const { size } = await Deno.stat(file.path);
    if (n < 5) await Deno.truncate(file.path, size - n);
  }
  const { outbox: last } = await openOutbox(file.path);
  await last.remove(idsOf(entries.splice(0, 99))).catch(() => {});
  await other.truncate(0);
  entries.push(storedEvent());
  await last.append(entries.slice(1));
  await last.close();
  const { events, problems } = await contentsOf(file.path);
  assertEquals(events, entries);
  assertEquals(problems, []);
});

Deno.test("A compaction that has no room on the disk is reported once, not with each call", async () => {
  await using file = await temporaryFile();
  await using disk = await mountSmallDisk(file.directory, 1500);
  if (disk === undefined) return;
  const { outbox, problems } = await openOutbox(file.path);
  const staying = storedEvents(500, "x".repeat(1000));
  await outbox.append(staying);
  const calls: Promise<void>[] = [];
  for (let n = 0; n < 100; n++) {
    const entries = storedEvents(10, "x".repeat(1000));
    calls.push(outbox.append(entries), outbox.remove(idsOf(entries)));
    await Promise.allSettled(calls.slice(-2));
  }
  const results = await Promise.allSettled(calls);
  assert(results.some(({ status }) => status === "rejected"));
  assertEquals(problems.length, 1);
  assertMatch(problems[0]!.message, /; expected room on the disk$/);
  await outbox.close();
  assertEquals((await contentsOf(file.path)).events, staying);
});

Deno.test("A sync that fails rejects its batch alone", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const [first, second, third] = storedEvents(3);
  await outbox.append([first!]);
  const { sync, truncate } = Disk.prototype;
  const failure = Object.assign(new Error("EIO: i/o error, fdatasync"), {
    code: "EIO",
  });
  const fail = () => Promise.reject(failure);
  for (const broken of [{ sync: fail }, { sync: fail, truncate: fail }]) {
    Object.assign(Disk.prototype, broken);
    try {
      const error = await assertRejects(
        () => outbox.append([second!]),
        OutboxFileError,
        `Cannot write outbox ${file.path}: EIO: i/o error, fdatasync; expected a disk that works`,
      );
      assertEquals(error.cause, failure);
    } finally {
      Object.assign(Disk.prototype, { sync, truncate });
    }
    assertEquals(await loaded(outbox), [first]);
  }
  await outbox.append([third!]);
  assertEquals(await loaded(outbox), [first, third]);
  await outbox.close();
  const found = idsOf((await contentsOf(file.path)).events);
  assert(found.includes(first!.id) && found.includes(third!.id));
});

Deno.test("A path that cannot be a file is refused with what is expected", async () => {
  await using file = await temporaryFile();
  await Deno.writeTextFile(`${file.directory}/text`, "");
  const cases: [string, RegExp][] = [
    [
      file.directory,
      /^Cannot open outbox \S+: .*; expected a file, and it is a directory$/,
    ],
    [`${file.directory}/none/queued.log`, /; expected its directory to exist$/],
    [
      `${file.directory}/text/queued.log`,
      /; expected its directory to exist, and part of the path is a file$/,
    ],
    ["/dev/null", /: it is a pipe, a device or a socket; expected a file$/],
  ];
  for (const [path, message] of cases) {
    const error = await assertRejects(() => openOutbox(path), OutboxFileError);
    assert(
      error.message.startsWith(`Cannot open outbox ${path}: `),
      error.message,
    );
    assertMatch(error.message, message);
  }
});

Deno.test("A file system that cannot be written is refused with what is expected", async () => {
  await using file = await temporaryFile();
  await using disk = await mountSmallDisk(file.directory, 600);
  if (disk === undefined) return;
  await (await openOutbox(file.path)).outbox.close();
  await new Deno.Command("mount", {
    args: ["-o", "remount,ro", file.directory],
  }).output();
  await assertRejects(
    () => openOutbox(file.path),
    OutboxFileError,
    "; expected a file system that can be written",
  );
});

Deno.test("Deno needs the permissions for the file alone, and an error names those that are missing", async () => {
  await using file = await temporaryFile();
  const program = `
    import { FileOutbox } from "@unzombie/redis/outbox";
    try {
      await using outbox = await FileOutbox.open(${JSON.stringify(file.path)});
      await outbox.append([{ id: "1", key: "k", score: 1, members: ["m"], event: { mallId: "m", shopNo: 1, eventType: "t" } }]);
      console.log(outbox.size);
    } catch (error) {
      console.log(error.message);
    }`;
  const read = `--allow-read=${file.path}`;
  const write = `--allow-write=${file.path}`;
  const expected = `; expected ${read} ${write}\n`;
  for (const permissions of [[], [read], [write]]) {
    const { stdout } = await runProgram(permissions, program);
    assert(stdout.startsWith(`Cannot open outbox ${file.path}: `), stdout);
    assert(stdout.endsWith(expected), stdout);
  }
  const { stdout, stderr } = await runProgram([read, write], program);
  assertEquals(stdout, "1\n", stderr);
  assertEquals((await contentsOf(file.path)).events.length, 1);
});
