// Processes of several runtimes that hold a file of queued events.
import { importFlags } from "../../../support/imports.ts";
import { programForTests, type ProgramName } from "../../../support/tools.ts";

/** A runtime, and why it cannot be used here if it cannot. */
export interface Runtime {
  readonly name: "deno" | "node" | "bun";
  readonly command: string;
  readonly missing?: string;
}

const FACE = new URL(
  "../../../../recorder/stores/file/file_outbox.ts",
  import.meta.url,
);

/** Opens a file, appends an event, says how many there were before, and waits. */
const programOf = (face: string, then: string): string => `
import process from "node:process";
import { isMainThread, Worker } from "node:worker_threads";
import { FileOutbox } from ${JSON.stringify(face)};
const [path, waitMs] = process.argv.slice(2);
try {
  const outbox = await FileOutbox.open(path, { waitMs: Number(waitMs) });
  const before = outbox.size;
  const id = Date.now() + "-" + process.pid;
  await outbox.append([{ id, key: "k", score: 1, members: ["m"], event: { mallId: "m", shopNo: 1, eventType: "t" } }]);
  const loaded = [];
  for await (const entry of await outbox.load()) loaded.push(entry);
  if (loaded.at(-1).id !== id) throw new Error("not loaded");
  console.log("holds " + before);
  if (isMainThread) { ${then} }
  setInterval(() => {}, 1000);
} catch (error) {
  console.log(error.name + " " + error.message);
}
`;

const bundled = await bundle();

/** Deno, and the others where they are installed. */
export const RUNTIMES: readonly Runtime[] = [
  { name: "deno", command: Deno.execPath() },
  await installed("node", "node24"),
  await installed("bun", "bun"),
];

/** One module of JavaScript, or why there is none: Node 20 does not read TypeScript. */
async function bundle(): Promise<{ code?: string; missing?: string }> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", FACE.href],
    stdout: "piped",
    stderr: "piped",
  }).output();
  const text = new TextDecoder();
  return success
    ? { code: text.decode(stdout) }
    : { missing: `deno bundle failed: ${text.decode(stderr).slice(0, 200)}` };
}

async function installed(
  name: "node" | "bun",
  program: ProgramName,
): Promise<Runtime> {
  const { path, ignore } = await programForTests(program);
  const missing = ignore ? "it is not installed" : bundled.missing;
  return { name, command: path, ...(missing === undefined ? {} : { missing }) };
}

/** A process that holds a file, or has been refused it. */
export interface OutboxProcess extends AsyncDisposable {
  readonly pid: number;
  /** What it says first. */
  readonly line: string | undefined;
  /** What it says next. */
  next(): Promise<string | undefined>;
  readonly ended: Promise<unknown>;
  kill(): void;
}

/** How {@linkcode startHolder} starts a process. */
export interface HolderOptions {
  /** How long it waits for the file, in milliseconds. */
  readonly waitMs?: number;
  /** The user that it runs as. */
  readonly uid?: number;
  /** A program, with its arguments, that runs what comes after them. */
  readonly through?: readonly string[];
  /** What it does once it has the file: statements that have `FileOutbox`, `path` and `Worker`. */
  readonly then?: string;
}

/** Starts a process that opens a file and holds it until it is killed. */
export async function startHolder(
  runtime: Runtime,
  path: string,
  { waitMs = 0, uid, through = [], then = "" }: HolderOptions = {},
): Promise<OutboxProcess> {
  const directory = path.slice(0, path.lastIndexOf("/"));
  const isDeno = runtime.name === "deno";
  const face = isDeno ? FACE.href : `${directory}/face.mjs`;
  if (!isDeno) await Deno.writeTextFile(face, bundled.code!);
  const program = `${directory}/holder.${isDeno ? "ts" : "mjs"}`;
  await Deno.writeTextFile(program, programOf(face, then));
  const [command, ...args] = [...through, runtime.command];
  const child = new Deno.Command(command!, {
    args: [
      ...args,
      ...(isDeno ? ["run", "-A", "--no-check", ...importFlags] : []),
      program,
      path,
      String(waitMs),
    ],
    stdout: "piped",
    ...(uid === undefined ? {} : { uid }),
  }).spawn();
  const chunks = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  const next = async (): Promise<string | undefined> => {
    while (!text.includes("\n")) {
      const { done, value } = await chunks.read();
      if (done) return undefined;
      text += value;
    }
    const line = text.slice(0, text.indexOf("\n"));
    text = text.slice(line.length + 1);
    return line;
  };
  const kill = (): void => {
    try {
      child.kill("SIGKILL");
    } catch {
      // it has ended
    }
  };
  return {
    pid: child.pid,
    line: await next(),
    next,
    ended: child.status,
    kill,
    [Symbol.asyncDispose]: async () => {
      kill();
      await chunks.cancel();
      await child.status;
    },
  };
}
