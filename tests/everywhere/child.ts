// program.ts in a process of Deno, Node or Bun.
import { bundled } from "../support/bundle.ts";
import { importFlags } from "../support/imports.ts";
import { linesOf } from "../support/lines.ts";
import type { RuntimeName } from "./env.ts";

/** A process that takes longer hangs, in milliseconds. */
const MOST_MS = 45_000;
const PROGRAM = new URL("./program.ts", import.meta.url);

/** A runtime that runs programs. */
export interface Host {
  /** In the names of tests, such as "Node 24". */
  readonly label: string;
  readonly name: RuntimeName;
  readonly version: string;
  /** The path of its program. */
  readonly path: string;
  /** Whether there is none, so that its tests are ignored. */
  readonly ignore: boolean;
}

/** This Deno. It loads the modules themselves, the others a bundle. */
export const DENO: Host = {
  label: "Deno",
  name: "Deno",
  version: Deno.version.deno,
  path: Deno.execPath(),
  ignore: false,
};

/** How a process ended. */
export interface End {
  readonly code: number;
  /** What it has printed. */
  readonly lines: readonly string[];
  /** How long it lived, in milliseconds. */
  readonly ms: number;
  /** How long it lived after its last line, in milliseconds. */
  readonly afterLastLineMs: number;
}

/** A process that runs the program, and is killed when it is disposed of. */
export class Child implements AsyncDisposable {
  /** The lines that it prints. */
  readonly lines: AsyncGenerator<string>;
  readonly #process: Deno.ChildProcess;
  readonly #dir: string;
  readonly #startedAt = performance.now();
  readonly #hang: ReturnType<typeof setTimeout>;
  readonly #said: string[] = [];
  #saidAt = this.#startedAt;

  private constructor(process: Deno.ChildProcess, dir: string) {
    this.#process = process;
    this.#dir = dir;
    this.lines = this.#read();
    this.#hang = setTimeout(() => this.kill(), MOST_MS);
  }

  static async start(host: Host, ...args: string[]): Promise<Child> {
    const dir = await Deno.makeTempDir();
    const process = new Deno.Command(host.path, {
      args: [...await programFor(host, dir), ...args],
      stdin: "null",
      stdout: "piped",
      stderr: args[0] === "unhandled" ? "null" : "inherit",
      env: { NO_COLOR: "1" },
    }).spawn();
    return new Child(process, dir);
  }

  /** Waits until the process has ended. */
  async end(): Promise<End> {
    for await (const _ of this.lines);
    const { code } = await this.#process.status;
    const now = performance.now();
    return {
      code,
      lines: this.#said,
      ms: now - this.#startedAt,
      afterLastLineMs: now - this.#saidAt,
    };
  }

  /** Kills it as a crash of the machine would. */
  kill(): void {
    try {
      this.#process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#hang);
    this.kill();
    for await (const _ of this.#read());
    await this.#process.status;
    await Deno.remove(this.#dir, { recursive: true });
  }

  async *#read(): AsyncGenerator<string> {
    if (this.#process.stdout.locked) return;
    for await (const line of linesOf(this.#process.stdout)) {
      this.#saidAt = performance.now();
      this.#said.push(line);
      yield line;
    }
  }
}

async function programFor({ name }: Host, dir: string): Promise<string[]> {
  if (name === "Deno") {
    return ["run", "-A", "--no-check", ...importFlags, PROGRAM.href];
  }
  const bundle = `${dir}/program.mjs`;
  await Deno.writeTextFile(bundle, await bundled(PROGRAM));
  return [bundle];
}
