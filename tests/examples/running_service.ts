// The example service as a process of its own, for tests.
import { importFlags } from "../support/imports.ts";
import { until } from "../support/wait.ts";

/** Its entry point. */
export const SERVICE =
  new URL("../../examples/webhook_service.ts", import.meta.url).href;

/** The variables that it may read. */
const VARIABLES = [
  "REDIS_URL",
  "PORT",
  "OUTBOX",
  "LIMIT",
  "WINDOW_SECONDS",
  "BLOCK_SECONDS",
  "ADMIN_TOKEN",
];

/** How to run it. */
export interface RunOptions {
  /** Further variables. `OUTBOX` is a path: it may read and write this file and no other. */
  readonly env?: Readonly<Record<string, string | number>>;
  /** Further flags of `deno run`. */
  readonly flags?: readonly string[];
  /** A program, with its arguments, that runs `deno` with the arguments after its own. */
  readonly through?: readonly string[];
  /** A program that runs it in place of `deno`, with its arguments, and in which folder. */
  readonly by?: {
    readonly command: readonly string[];
    readonly cwd: string;
  };
}

/** A line of the log. */
export interface LogLine {
  readonly time: string;
  readonly level: string;
  readonly message: string;
  readonly [more: string]: unknown;
}

/** The service as a user runs it: a process of its own. */
export class RunningService implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  url = "";
  /** All that it writes to its standard output, once it has ended. */
  out: Promise<string> = Promise.resolve("");
  /** All that it writes to its standard error, once it has ended. */
  readonly log: Promise<string>;

  private constructor(
    redisUrl: string,
    { env = {}, flags = [], through = [], by }: RunOptions,
  ) {
    const { OUTBOX } = env;
    const [program, ...args] = by?.command ?? [
      ...through,
      Deno.execPath(),
      "run",
      "--quiet",
      "--no-prompt",
      "--allow-net",
      `--allow-env=${VARIABLES.join(",")}`,
      ...(OUTBOX === undefined
        ? []
        : [`--allow-read=${OUTBOX}`, `--allow-write=${OUTBOX}`]),
      ...flags,
      ...importFlags,
      SERVICE,
    ];
    this.process = new Deno.Command(program!, {
      args,
      ...(by && { cwd: by.cwd }),
      env: {
        REDIS_URL: redisUrl,
        PORT: "0",
        NO_COLOR: "1",
        ...Object.fromEntries(
          Object.entries(env).map(([name, value]) => [name, `${value}`]),
        ),
      },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.log = new Response(this.process.stderr).text();
  }

  /** The lines of the log, once it has ended. */
  async lines(): Promise<LogLine[]> {
    const lines = (await this.log + await this.out).trim().split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line))
      .sort((a, b) => a.time < b.time ? -1 : 1);
  }

  /**
   * Starts it, and waits until it listens.
   *
   * @throws {Error} If it ends before.
   */
  static async start(
    redisUrl: string,
    options: RunOptions = {},
  ): Promise<RunningService> {
    const service = new RunningService(redisUrl, options);
    if (await service.#listens()) return service;
    throw new Error(`The service did not start: ${await service.log}`);
  }

  /**
   * Starts it where it cannot start.
   *
   * @returns Its exit code and its log.
   */
  static async refuses(
    redisUrl: string,
    options: RunOptions = {},
  ): Promise<{ code: number; lines: LogLine[] }> {
    await using service = new RunningService(redisUrl, options);
    if (await service.#listens()) throw new Error("The service did start");
    const { code } = await service.process.status;
    return { code, lines: await service.lines() };
  }

  /** Whether it listens in the end. */
  async #listens(): Promise<boolean> {
    const [lines, rest] = this.process.stdout.tee();
    this.out = new Response(rest).text();
    for await (const line of lines.pipeThrough(new TextDecoderStream())) {
      const port = /Listening on port (\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      this.url = `http://127.0.0.1:${port}`;
      return true;
    }
    return false;
  }

  async post(path: string, headers: HeadersInit = {}) {
    const init = { method: "POST", headers, body: '{"order":1}' };
    return await answer(await fetch(`${this.url}${path}`, init));
  }

  async get(path: string, headers: HeadersInit = {}) {
    return await answer(await fetch(`${this.url}${path}`, { headers }));
  }

  /** Waits until it can record and nothing is queued any more. */
  async drained(): Promise<void> {
    const isDrained = async () => {
      const { status, body } = await this.get("/healthz");
      return status === 200 && body.pending === 0;
    };
    await until(isDrained, "nothing is queued", 20_000);
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.process.status;
  }

  /** Ends it in good order. Returns its exit code. */
  async stop(): Promise<number> {
    this.process.kill("SIGTERM");
    return (await this.process.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await Promise.all([this.log, this.out]);
  }
}

/** The status of a response, and its JSON. */
export async function answer(response: Response) {
  return { status: response.status, body: await response.json() };
}
