// That one process at a time has a file of queued events, on whatever runtime.
import { textOf } from "../../../../recorder/stores/file/event_text.ts";
import "../../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  FileOutbox,
  OutboxFileError,
  OutboxLockedError,
} from "../../../../recorder/stores/file/file_outbox.ts";
import { Disk } from "../../../../recorder/stores/file/disk.ts";
import { HEADER, readHeader } from "../../../../recorder/stores/file/header.ts";
import { recordOf } from "../../../../recorder/stores/file/record.ts";
import { searchLength } from "../../../support/random.ts";
import { until } from "../../../support/wait.ts";
import {
  contentsOf,
  HAS_KERNEL_LOCK,
  idsOf,
  loaded,
  openOutbox,
  storedEvent,
  storedEvents,
  temporaryFile,
} from "./files.ts";
import { type OutboxProcess, RUNTIMES, startHolder } from "./processes.ts";

Deno.test("A second outbox of this process is refused, with the process and the time", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const error = await assertRejects(
    () => openOutbox(file.path),
    OutboxLockedError,
  );
  assertMatch(
    error.message,
    new RegExp(
      `^Cannot open outbox .*/queued.log: process ${Deno.pid} on host \\S+ \\(deno\\) has held it since 20\\S+Z; expected a file of this process alone: close it there, or use another file$`,
    ),
  );
  assertEquals(error.holder?.pid, Deno.pid);
  assertEquals(error.reason, "locked");
  await outbox.append([storedEvent()]);
  await outbox.close();
  await (await openOutbox(file.path)).outbox.close();
});

Deno.test({
  name:
    "A closed outbox can be opened at once, although a worker starts programs all the time",
  ignore: !HAS_KERNEL_LOCK || Deno.build.os === "windows",
  async fn() {
    await using file = await temporaryFile();
    const source = `
      postMessage("begins");
      for (;;) new Deno.Command("true").outputSync();`;
    const worker = new Worker(
      `data:text/javascript,${encodeURIComponent(source)}`,
      { type: "module" },
    );
    try {
      await new Promise((resolve) => worker.onmessage = resolve);
      for (let i = 0; i < 200; i++) {
        await (await openOutbox(file.path)).outbox.close();
      }
    } finally {
      worker.terminate();
    }
  },
});

Deno.test("An outbox that is opened while another has the file gets it when that is closed", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const opening = FileOutbox.open(file.path, { waitMs: 10_000 });
  const entry = storedEvent();
  await outbox.append([entry]);
  await outbox.close();
  await using next = await opening;
  assertEquals(await loaded(next), [entry]);
});

/** Without the kernel's lock, as on Node: claims in the log alone. */
async function withoutKernelLock(run: () => Promise<void>): Promise<void> {
  const { tryLock } = Deno.FsFile.prototype;
  Reflect.deleteProperty(Deno.FsFile.prototype, "tryLock");
  try {
    await run();
  } finally {
    Object.assign(Deno.FsFile.prototype, { tryLock });
  }
}

Deno.test("Of many that open a file at the same time one gets it, without the kernel's lock as well", async () => {
  const race = async (path: string): Promise<void> => {
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, () => openOutbox(path)),
    );
    const opened = results.filter((result) => result.status === "fulfilled");
    assertEquals(opened.length, 1);
    for (const result of results) {
      if (result.status === "rejected") {
        assertInstanceOf(result.reason, OutboxLockedError);
      }
    }
    const { outbox, problems } = opened[0]!.value;
    const entry = storedEvent();
    await outbox.append([entry]);
    await outbox.close();
    assertEquals(problems, []);
    assertEquals((await contentsOf(path)).events.at(-1), entry);
  };
  for (let round = 0; round < 3; round++) {
    await using file = await temporaryFile();
    await race(file.path);
    await race(file.path);
    await withoutKernelLock(async () => {
      await race(file.path);
      await race(file.path);
      await Deno.remove(file.path);
      await race(file.path);
    });
  }
});

Deno.test("A file that another process has taken over is not written any more, and what is refused says so", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const entries = storedEvents(2);
  await outbox.append(entries);
  const text = await Deno.readTextFile(file.path);
  const [, nonce] = /"nonce":"([^"]+)"/.exec(text)!;
  const claim = {
    nonce: "other",
    pid: 4711,
    host: "web-2",
    runtime: "node",
    since: new Date().toISOString(),
    supersedes: nonce,
  };
  await Deno.writeTextFile(
    file.path,
    recordOf(`@ ${JSON.stringify(claim)}`, 1),
    { append: true },
  );
  const before = await Deno.readFile(file.path);
  for (
    const call of [
      () => outbox.append([storedEvent()]),
      () => outbox.remove([entries[0]!.id]),
      () => outbox.append([storedEvent()]),
    ]
  ) {
    const error = await assertRejects(call, OutboxFileError);
    assertEquals(error.reason, "lost");
    assertEquals(
      error.message,
      `Cannot write outbox ${file.path}: process 4711 on host web-2 (node) has taken it over; expected a file of this process alone: open it again`,
    );
  }
  await outbox.close();
  assertEquals(await Deno.readFile(file.path), before);
});

Deno.test("What a frozen process appends late, after its file was taken over, is kept", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const [own, late, next] = storedEvents(3);
  await outbox.append([own!]);
  await Deno.writeTextFile(
    file.path,
    recordOf(`+ ${textOf(late!)}`, 1),
    { append: true },
  );
  await outbox.append([next!]);
  assertEquals(await loaded(outbox), [own, late, next]);
  await Deno.writeTextFile(file.path, "half a record", { append: true });
  const last = storedEvent();
  await outbox.append([last]);
  await outbox.close();
  assertEquals(
    idsOf((await contentsOf(file.path)).events),
    idsOf([own!, late!, next!, last]),
  );
});

Deno.test("What another process appends while a commit is written costs the commit nothing, wherever it comes", async () => {
  // One that has lost the race for the file, one that was frozen, and one that was cut short.
  const claim = { nonce: "late", pid: 4711, runtime: "node", since: "then" };
  const late = storedEvent();
  const appended = [
    recordOf(`@ ${JSON.stringify(claim)}`, 1),
    recordOf(`+ ${textOf(late)}`, 1),
    "half a record",
  ];
  const { append, sync } = Disk.prototype;
  for (const when of ["before", "behind", "both"]) {
    await using file = await temporaryFile();
    const { outbox } = await openOutbox(file.path);
    const entries = storedEvents(4);
    await outbox.append([entries.pop()!]);
    const expected = new Set([...idsOf(entries), late.id]);
    for (const [n, entry] of entries.entries()) {
      const other = () =>
        Deno.writeTextFile(file.path, appended[n]!, { append: true });
      Disk.prototype.append = async function (bytes) {
        Disk.prototype.append = append;
        if (when !== "behind") await other();
        await append.call(this, bytes);
      };
      Disk.prototype.sync = async function () {
        Disk.prototype.sync = sync;
        if (when !== "before") await other();
        await sync.call(this);
      };
      await outbox.append([entry]);
      // The index has the place of each event.
      assert(idsOf(await loaded(outbox)).includes(entry.id));
    }
    await outbox.remove(
      idsOf(await loaded(outbox)).filter((id) => !expected.has(id)),
    );
    assertEquals(new Set(idsOf(await loaded(outbox))), expected, when);
    await outbox.close();
    const { events } = await contentsOf(file.path);
    assertEquals(new Set(idsOf(events)), expected, when);
  }
});

Deno.test("A file that was deleted, moved, replaced or cut is not written any more", async () => {
  const cases: [(path: string) => Promise<void>, RegExp][] = [
    [
      (path) => Deno.remove(path),
      /: it was deleted, moved or replaced; expected a file of this process alone: open it again$/,
    ],
    [
      (path) => Deno.rename(path, `${path}.1`),
      /: it was deleted, moved or replaced; /,
    ],
    [
      async (path) => {
        await Deno.link(path, `${path}.1`);
        await Deno.writeTextFile(`${path}.2`, "");
        await Deno.rename(`${path}.2`, path);
      },
      /: it was deleted, moved or replaced; /,
    ],
    [
      (path) => Deno.truncate(path, 100),
      /: it was cut from \d+ to 100 bytes by something else; /,
    ],
  ];
  for (const [harm, message] of cases) {
    await using file = await temporaryFile();
    const { outbox } = await openOutbox(file.path);
    await outbox.append([storedEvent()]);
    await harm(file.path);
    for (let n = 0; n < 2; n++) {
      const error = await assertRejects(
        () => outbox.append([storedEvent()]),
        OutboxFileError,
      );
      assertMatch(error.message, message);
      assertEquals(error.reason, "lost");
    }
    await outbox.close();
  }
});

/** Opens a file that this process has already, as another one does that finds it frozen. */
async function takeOver(path: string): Promise<FileOutbox> {
  const longAgo = new Date(Date.now() - 120_000);
  await Deno.utime(path, longAgo, longAgo);
  return (await openOutbox(path)).outbox;
}

Deno.test("A process that was frozen does not write to a file that another one has compacted and made longer", async () => {
  await using file = await temporaryFile();
  await withoutKernelLock(async () => {
    const { outbox: frozen } = await openOutbox(file.path);
    const old = storedEvents(100, "x".repeat(4000));
    await frozen.append(old);
    const length = frozen.bytes;
    const outbox = await takeOver(file.path);
    await outbox.remove(idsOf(old));
    await until(() => outbox.bytes < length, "it is compacted");
    const entries = storedEvents(110, "x".repeat(4000));
    await outbox.append(entries);
    assertLess(length, outbox.bytes);
    await assertRejects(
      () => frozen.append([storedEvent()]),
      OutboxFileError,
      "another process has taken it over",
    );
    await frozen.close();
    assertEquals(await loaded(outbox), entries);
    await outbox.close();
  });
});

Deno.test("A process that is frozen while it compacts writes nothing more once another one has the file", async () => {
  await using file = await temporaryFile();
  const { writeAt } = Disk.prototype;
  await withoutKernelLock(async () => {
    const { outbox: frozen, problems } = await openOutbox(file.path);
    const dead = storedEvents(700, "x".repeat(10_000));
    await frozen.append(dead);
    const entries = storedEvents(300, "x".repeat(10_000));
    await frozen.append(entries);
    let outbox: FileOutbox | undefined;
    Disk.prototype.writeAt = async function (bytes, offset) {
      await writeAt.call(this, bytes, offset);
      if (offset < HEADER) return;
      Disk.prototype.writeAt = writeAt;
      outbox = await takeOver(file.path);
      await outbox.remove(idsOf(entries.splice(0, 155)));
      const before = outbox.bytes;
      await until(() => outbox!.bytes < before, "it is compacted", 5000);
    };
    try {
      await frozen.remove(idsOf(dead));
      await frozen.close();
    } finally {
      Disk.prototype.writeAt = writeAt;
    }
    assertMatch(problems[0]!.message, /has taken it over|has replaced it/);
    await outbox!.close();
    assertEquals(
      idsOf((await contentsOf(file.path)).events),
      idsOf(entries),
    );
  });
});

const node = RUNTIMES.find(({ name }) => name === "node")!;
Deno.test({
  name: "A file of another user is touched, too, while it is held",
  ignore: node.missing !== undefined || Deno.uid() !== 0,
  fn: async () => {
    await using file = await temporaryFile();
    await Deno.chmod(file.directory, 0o777);
    await Deno.writeTextFile(file.path, "");
    await Deno.chmod(file.path, 0o666);
    await using holder = await startHolder(node, file.path, { uid: 65534 });
    assertEquals(holder.line, "holds 0");
    const longAgo = new Date(Date.now() - 120_000);
    await Deno.utime(file.path, longAgo, longAgo);
    const isTouched = async () =>
      (await Deno.stat(file.path)).mtime!.getTime() > longAgo.getTime();
    await until(isTouched, "the file is touched", 5000);
  },
});

Deno.test(
  "A claim of this process id from before it began is that of a dead process",
  { ignore: !HAS_KERNEL_LOCK },
  async () => {
    await using file = await temporaryFile();
    const { outbox } = await openOutbox(file.path);
    const entry = storedEvent();
    await outbox.append([entry]);
    await outbox.close();
    // As the first process of a container has it that was killed and started again.
    const claim = {
      nonce: "old",
      pid: Deno.pid,
      runtime: "deno",
      since: new Date().toISOString(),
      hasKernelLock: true,
    };
    await Deno.writeTextFile(
      file.path,
      recordOf(`@ ${JSON.stringify(claim)}`, 1),
      { append: true },
    );
    const startedAt = performance.now();
    assertEquals((await contentsOf(file.path)).events, [entry]);
    assertLess(performance.now() - startedAt, 3000);
  },
);

Deno.test("A file of another host is refused while it is touched each second, and taken over when it is not", async () => {
  await using file = await temporaryFile();
  const { outbox } = await openOutbox(file.path);
  const longAgo = new Date(Date.now() - 120_000);
  await Deno.utime(file.path, longAgo, longAgo);
  while (
    (await Deno.stat(file.path)).mtime!.getTime() < Date.now() - 60_000
  ) await delay(50);
  await outbox.close();
  const touched = (await Deno.stat(file.path)).mtime!;
  assertLess(Date.now() - touched.getTime(), 10_000);
  const claim = {
    nonce: "other",
    pid: 4711,
    host: "web-2",
    runtime: "node",
    since: "2026-05-01T00:00:00.000Z",
  };
  await Deno.writeTextFile(
    file.path,
    recordOf(`@ ${JSON.stringify(claim)}`, 1),
    { append: true },
  );
  await assertRejects(
    () => openOutbox(file.path),
    OutboxLockedError,
    "process 4711 on host web-2 (node) has held it since 2026-05-01T00:00:00.000Z; ",
  );
  await Deno.utime(file.path, longAgo, longAgo);
  await (await openOutbox(file.path)).outbox.close();
});

for (const [i, first] of RUNTIMES.entries()) {
  for (const [j, second] of RUNTIMES.entries()) {
    // Each holds it once and is refused once; Deno alone has the kernel's lock, which both sides need.
    const isTelling = j === (i + 1) % RUNTIMES.length ||
      first.name === "deno" && second === first;
    if (!isTelling && searchLength(1) === 1) continue;
    Deno.test({
      name:
        `A file that ${first.name} holds is refused on ${second.name}, and taken over after a kill -9`,
      ignore: first.missing !== undefined || second.missing !== undefined,
      fn: async () => {
        await using file = await temporaryFile();
        await using holder = await startHolder(first, file.path);
        assertEquals(holder.line, "holds 0");
        const refused = await outcomeOf(await startHolder(second, file.path));
        assertMatch(
          refused,
          new RegExp(
            `^OutboxLockedError Cannot open outbox .*: process ${holder.pid} on host \\S+ \\(${first.name}\\) has held it since `,
          ),
        );
        holder.kill();
        await holder.ended;
        const startedAt = performance.now();
        assertEquals(
          await outcomeOf(
            await startHolder(second, file.path, { waitMs: 10_000 }),
          ),
          "holds 1",
        );
        // Five seconds would be those of a holder that has not touched the file.
        console.log(
          `taken over in ${Math.round(performance.now() - startedAt)} ms`,
        );
        const { header } = readHeader(
          file.path,
          (await Deno.readFile(file.path)).subarray(0, HEADER),
          HEADER,
        )!;
        assertEquals(header.generation, 1);
        assertEquals((await contentsOf(file.path)).events.length, 2);
      },
    });
  }
}

async function outcomeOf(process: OutboxProcess): Promise<string> {
  await using held = process;
  assert(held.line !== undefined);
  held.kill();
  return held.line;
}
