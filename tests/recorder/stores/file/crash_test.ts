// That no crash loses an event that was promised: at any write, in any order of the disk, by kill -9.
import "../../../support/strict.ts";
import { assert, assertEquals, assertGreater } from "@std/assert";
import { Disk } from "../../../../recorder/stores/file/disk.ts";
import { importFlags } from "../../../support/imports.ts";
import { Random } from "../../../support/random.ts";
import {
  contentsOf,
  forgetHolder,
  idsOf,
  openOutbox,
  storedEvent,
  storedEvents,
  temporaryFile,
  writeImage,
} from "./files.ts";
import { HEADER, readHeader } from "../../../../recorder/stores/file/header.ts";
import { idsIn } from "./image.ts";

/** A change of the file that a loss of power may undo, as long as no sync has ended. */
type Pending = { offset: number; bytes: Uint8Array } | { length: number };

/** A disk that keeps what was synced, and of the rest any part. */
class ShadowDisk {
  #synced = new Uint8Array();
  #pending: Pending[] = [];
  #size = 0;
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  append(bytes: Uint8Array): void {
    this.write(bytes, this.#size);
  }

  write(bytes: Uint8Array, offset: number): void {
    this.#pending.push({ bytes: bytes.slice(), offset });
    this.#size = Math.max(this.#size, offset + bytes.length);
  }

  truncate(length: number): void {
    this.#pending.push({ length });
    this.#size = length;
  }

  sync(): void {
    this.#synced = this.#with(this.#pending);
    this.#pending = [];
  }

  /** What may be left of the file if the power fails now. */
  *afterPowerLoss(): Generator<Uint8Array> {
    yield this.#with([]);
    yield this.#with(this.#pending);
    for (let n = 0; n < 3; n++) {
      yield this.#with(
        this.#pending.filter(() => this.#random.oneIn(2)).flatMap((change) =>
          "bytes" in change ? this.#pages(change.offset, change.bytes) : change
        ),
      );
    }
  }

  /** Some of the sectors of a write. */
  #pages(offset: number, bytes: Uint8Array): Pending[] {
    const pages: Pending[] = [];
    for (let from = 0; from < bytes.length;) {
      const to = Math.min(
        bytes.length,
        (Math.floor((offset + from) / 512) + 1) * 512 - offset,
      );
      if (!this.#random.oneIn(4)) {
        pages.push({ offset: offset + from, bytes: bytes.subarray(from, to) });
      }
      from = to;
    }
    return pages;
  }

  #with(changes: readonly Pending[]): Uint8Array<ArrayBuffer> {
    let image = this.#synced.slice();
    for (const change of changes) {
      if ("length" in change) {
        const cut = new Uint8Array(change.length);
        cut.set(image.subarray(0, change.length));
        image = cut;
        continue;
      }
      const { offset, bytes } = change;
      const size = Math.max(image.length, offset + bytes.length);
      const grown = new Uint8Array(size);
      grown.set(image);
      grown.set(bytes, offset);
      image = grown;
    }
    return image;
  }
}

Deno.test("A loss of power at any write of a commit or a compaction leaves each event that was promised, whatever the disk has written by then", async () => {
  const random = new Random();
  await using file = await temporaryFile();
  const shadow = new ShadowDisk(random);
  const promised = new Set<string>();
  let crashes = 0;
  const images: Uint8Array[] = [];
  const crash = (): void => {
    for (const image of shadow.afterPowerLoss()) {
      const found = new Set(idsIn(image));
      const lost = [...promised].filter((id) => !found.has(id));
      assertEquals(lost, [], `crash ${crashes}`);
      crashes++;
      if (random.oneIn(40)) images.push(image);
    }
  };
  const { append, sync, truncate, writeAt } = Disk.prototype;
  const original = { append, sync, truncate, writeAt };
  const faults: unknown[] = [];
  const noted = (note: () => void): void => {
    try {
      note();
      crash();
    } catch (error) {
      faults.push(error);
    }
  };
  Object.assign(Disk.prototype, {
    async append(this: Disk, bytes: Uint8Array) {
      await append.call(this, bytes);
      noted(() => shadow.append(bytes));
    },
    async writeAt(this: Disk, bytes: Uint8Array, offset: number) {
      await writeAt.call(this, bytes, offset);
      noted(() => shadow.write(bytes, offset));
    },
    async truncate(this: Disk, length: number) {
      await truncate.call(this, length);
      noted(() => shadow.truncate(length));
    },
    async sync(this: Disk) {
      await sync.call(this);
      shadow.sync();
    },
  });
  try {
    const { outbox } = await openOutbox(file.path);
    const ids: string[] = [];
    for (let round = 0; round < 36; round++) {
      const entries = storedEvents(20, "x".repeat(2000));
      await outbox.append(entries);
      for (const id of idsOf(entries)) promised.add(id);
      ids.push(...idsOf(entries));
      // Now and then the oldest stays: it must be moved to the end.
      const from = round % 3 === 0 ? 3 : 0;
      const gone = ids.splice(from, round % 4 === 3 ? ids.length : 12);
      for (const id of gone) promised.delete(id);
      await outbox.remove(gone);
    }
    await outbox.close();
    const { generation } = readHeader(
      file.path,
      (await Deno.readFile(file.path)).subarray(0, HEADER),
      outbox.bytes,
    )!.header;
    console.log(`${crashes} crashes in ${generation - 1} compactions`);
    assertGreater(generation, 3);
  } finally {
    Object.assign(Disk.prototype, original);
  }
  assertEquals(faults, []);
  for (const image of images) {
    await writeImage(file.path, image);
    const before = idsIn(image);
    const { outbox } = await openOutbox(file.path);
    const entry = storedEvent();
    await outbox.append([entry]);
    await outbox.close();
    assertEquals(idsOf((await contentsOf(file.path)).events), [
      ...before,
      entry.id,
    ]);
  }
});

/** Appends and removes for ever, and says what is promised. */
const CHILD = `
const { FileOutbox } = await import(${
  JSON.stringify(
    import.meta.resolve("../../../../recorder/stores/file/file_outbox.ts"),
  )
});
const outbox = await FileOutbox.open(Deno.args[0]);
const waiting = [];
for (let n = Date.now(); ; n++) {
  const ids = Array.from({ length: 20 }, (_, i) => n + "-" + i);
  await Promise.all(ids.map((id) => outbox.append([
    { id, key: "k", score: 1, members: ["x".repeat(500)], event: { mallId: "m", shopNo: 1, eventType: "t" } },
  ])));
  console.log("+ " + ids.join(" "));
  waiting.push(...ids);
  if (waiting.length > 200) {
    const gone = waiting.splice(0, 190);
    console.log("- " + gone.join(" "));
    await outbox.remove(gone);
  }
}
`;

Deno.test("kill -9 of a process that appends and removes loses nothing that it has promised", async () => {
  const random = new Random();
  await using file = await temporaryFile();
  const program = `${file.directory}/child.ts`;
  await Deno.writeTextFile(program, CHILD);
  const promised = new Set<string>();
  for (let round = 0; round < 3; round++) {
    const child = new Deno.Command(Deno.execPath(), {
      // The permissions of one file, and no other.
      args: [
        "run",
        "--no-prompt",
        "--no-check",
        `--allow-read=${file.path}`,
        `--allow-write=${file.path}`,
        ...importFlags,
        program,
        file.path,
      ],
      stdout: "piped",
    }).spawn();
    let text = "";
    let commits = 10 + random.below(100);
    for await (
      const chunk of child.stdout.pipeThrough(new TextDecoderStream())
    ) {
      text += chunk;
      commits -= chunk.split("+").length - 1;
      if (commits <= 0) child.kill("SIGKILL");
    }
    await child.status;
    for (const line of text.split("\n").slice(0, -1)) {
      const [kind, ...ids] = line.split(" ");
      for (const id of ids) {
        kind === "+" ? promised.add(id) : promised.delete(id);
      }
    }
    await forgetHolder(file.path);
    const { events, problems } = await contentsOf(file.path);
    const found = new Set(idsOf(events));
    assertEquals([...promised].filter((id) => !found.has(id)), []);
    assertEquals(problems, []);
    assert(promised.size > 0);
  }
});
