// Clients in a process of Node or Bun, which is called by lines of JSON.
import { deadline } from "@std/async/deadline";
import type { Fate } from "../../mod.ts";
import { bundled } from "../support/bundle.ts";
import { linesOf } from "../support/lines.ts";
import { findProgram } from "../support/tools.ts";
import {
  type Client,
  type ClientEvent,
  type ClientOptions,
  METHODS,
} from "./client.ts";

/** The runtimes of such processes. */
export const RUNTIMES = { node: "node24", bun: "bun" } as const;

/** One of them. */
export type RuntimeName = keyof typeof RUNTIMES;

/** What is written to the process, each a line. */
export type Call =
  | {
    readonly id: number;
    readonly method: "make";
    readonly options: ClientOptions;
  }
  | {
    readonly id: number;
    readonly method: keyof Client;
    readonly args: readonly unknown[];
  };

/** What it writes. */
export type Answer =
  | { readonly client: number; readonly event: ClientEvent }
  | { readonly id: number; readonly result?: unknown }
  | {
    readonly id: number;
    readonly error: { readonly message: string; readonly fate: Fate };
  };

/** How long the process may take to end, in milliseconds. A look-up of a name that was given up holds it for 10 s. */
const END_MS = 12_000;
const PROGRAM = new URL("./client_program.ts", import.meta.url);

/** A process that has one client at a time. */
export class ClientHost implements AsyncDisposable {
  readonly runtime: RuntimeName;
  readonly #process: Deno.ChildProcess;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #bundle: string;
  readonly #read: Promise<void>;
  #calls = 0;
  #client = 0;
  #ended: Error | undefined; // what calls reject with from then on
  #on: (event: ClientEvent) => void = () => {};

  private constructor(
    runtime: RuntimeName,
    process: Deno.ChildProcess,
    bundle: string,
  ) {
    this.runtime = runtime;
    this.#process = process;
    this.#bundle = bundle;
    this.#writer = process.stdin.getWriter();
    this.#read = this.#answers();
  }

  /** @throws {Error} If the runtime cannot be had. */
  static async start(runtime: RuntimeName): Promise<ClientHost> {
    const program = await findProgram(RUNTIMES[runtime]);
    if ("reason" in program) throw new Error(program.reason);
    const bundle = await Deno.makeTempFile({ suffix: ".mjs" });
    await Deno.writeTextFile(bundle, await bundled(PROGRAM));
    const process = new Deno.Command(program.path, {
      args: [bundle],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    return new ClientHost(runtime, process, bundle);
  }

  /** The process. */
  get pid(): number {
    return this.#process.pid;
  }

  /** Makes a client in place of the last one, which must be closed. */
  client(options: ClientOptions, on: (event: ClientEvent) => void): Client {
    this.#on = on;
    this.#client = ++this.#calls;
    this.#write({ id: this.#client, method: "make", options });
    return Object.fromEntries(
      METHODS.map((method) => [
        method,
        (...args: readonly unknown[]) => {
          if (this.#ended !== undefined) return Promise.reject(this.#ended);
          const id = ++this.#calls;
          const waiting = Promise.withResolvers<unknown>();
          this.#waiting.set(id, waiting);
          this.#write({ id, method, args });
          return waiting.promise;
        },
      ]),
    ) as unknown as Client;
  }

  /** @throws {Error} If it does not end by itself once its clients are closed. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#writer.close().catch(() => {}); // it has ended
    try {
      await deadline(this.#process.status, END_MS);
    } catch (cause) {
      this.#process.kill("SIGKILL");
      throw new Error(`${this.runtime} did not end by itself`, { cause });
    } finally {
      await this.#read;
      await this.#process.status;
      await Deno.remove(this.#bundle);
    }
  }

  #write(call: Call): void {
    // What is not written is not answered: the reader says why.
    this.#writer.write(new TextEncoder().encode(`${JSON.stringify(call)}\n`))
      .catch(() => {});
  }

  async #answers(): Promise<void> {
    for await (const line of linesOf(this.#process.stdout)) {
      this.#take(JSON.parse(line));
    }
    this.#ended = new Error(`${this.runtime} has ended`);
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
  }

  #take(answer: Answer): void {
    if ("event" in answer) {
      if (answer.client === this.#client) this.#on(answer.event);
      return;
    }
    const waiting = this.#waiting.get(answer.id)!;
    this.#waiting.delete(answer.id);
    if (!("error" in answer)) return waiting.resolve(answer.result);
    const { message, fate } = answer.error;
    waiting.reject(Object.assign(new Error(message), { fate }));
  }
}
