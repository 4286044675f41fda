// That a process which lives is not taken for one that has ended: in another container, in another thread, and after a jump of the clock.
import "../../../support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";
import { delay } from "@std/async/delay";
import { forgetHolder, temporaryFile } from "./files.ts";
import { type Runtime, RUNTIMES, startHolder } from "./processes.ts";

/** Runs a program as the first process of a container: each has the id 1, and the host's name. */
const CONTAINER = ["unshare", "--pid", "--fork", "--kill-child"];

/** Opens the file once more: in another thread, which is younger than the claim, and an hour later by the clock. */
const AGAIN = `
  await new Promise((resolve) => setTimeout(resolve, 1200));
  const worker = new Worker(new URL(import.meta.url), { argv: [path, "0"] });
  await new Promise((resolve) => worker.once("exit", resolve));
  globalThis.Date = class extends Date {
    constructor() {
      super(new.target.now());
    }
    static now() {
      return super.now() + 3_600_000;
    }
  };
  await new Promise((resolve) => setTimeout(resolve, 1200)); // the file is touched
  await FileOutbox.open(path, { waitMs: 0 }).then(
    () => console.log("held twice"),
    (error) => console.log(error.name),
  );
`;

async function canMakeContainers(): Promise<boolean> {
  try {
    const [program, ...args] = CONTAINER;
    const command = new Deno.Command(program!, {
      args: [...args, "true"],
      stderr: "null",
    });
    return (await command.output()).success;
  } catch {
    return false;
  }
}

const hasContainers = await canMakeContainers();

/** Those without the kernel's lock. */
const others = RUNTIMES.filter(({ name, missing }) =>
  name !== "deno" && missing === undefined
);

Deno.test({
  name:
    "A file that a container with the same host name holds is refused on Node and Bun, and taken over once it is not touched",
  ignore: others.length === 0 || !hasContainers,
  fn: () => onEach(isRefusedInContainers),
});

Deno.test({
  name:
    "A process of Node or Bun that has a file is not taken for dead by its own threads, nor when the clock is put forward",
  ignore: others.length === 0,
  fn: () => onEach(isRefusedWithin),
});

async function onEach(fn: (runtime: Runtime) => Promise<void>): Promise<void> {
  await Promise.all(others.map(fn));
}

async function isRefusedInContainers(runtime: Runtime): Promise<void> {
  await using file = await temporaryFile();
  const through = CONTAINER;
  await using first = await startHolder(runtime, file.path, { through });
  assertEquals(first.line, "holds 0");
  await delay(1200); // the next one is younger than the claim
  {
    await using second = await startHolder(runtime, file.path, { through });
    assertMatch(second.line!, /^OutboxLockedError .*: process 1 on host /);
  }
  first.kill();
  await first.ended;
  await delay(100); // its child has ended, too
  await forgetHolder(file.path);
  await using third = await startHolder(runtime, file.path, { through });
  assertEquals(third.line, "holds 1");
}

async function isRefusedWithin(runtime: Runtime): Promise<void> {
  await using file = await temporaryFile();
  await using holder = await startHolder(runtime, file.path, { then: AGAIN });
  assertEquals(holder.line, "holds 0");
  assertMatch((await holder.next())!, /^OutboxLockedError /);
  assertEquals(await holder.next(), "OutboxLockedError");
}
