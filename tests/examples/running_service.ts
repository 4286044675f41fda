// The example service as a process of its own, for tests.
import { importFlags } from "../support/imports.ts";

/** Its entry point. */
export const SERVICE =
  new URL("../../examples/webhook_service.ts", import.meta.url).href;

/** The service as a user runs it: a process of its own. */
export class RunningService implements AsyncDisposable {
  readonly process: Deno.ChildProcess;
  url = "";
  /** All that it writes to its standard output, once it has ended. */
  out: Promise<string> = Promise.resolve("");
  /** All that it writes to its standard error, once it has ended. */
  readonly log: Promise<string>;

  private constructor(redisUrl: string) {
    this.process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--no-prompt",
        "--allow-net",
        "--allow-env=REDIS_URL,PORT",
        ...importFlags,
        SERVICE,
      ],
      env: { REDIS_URL: redisUrl, PORT: "0", NO_COLOR: "1" },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.log = new Response(this.process.stderr).text();
  }

  /** The lines of the log, once it has ended. */
  async lines(): Promise<
    { time: string; level: string; message: string; [more: string]: unknown }[]
  > {
    const lines = (await this.log + await this.out).trim().split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line))
      .sort((a, b) => a.time < b.time ? -1 : 1);
  }

  static async start(redisUrl: string): Promise<RunningService> {
    const service = new RunningService(redisUrl);
    const [lines, rest] = service.process.stdout.tee();
    service.out = new Response(rest).text();
    for await (const line of lines.pipeThrough(new TextDecoderStream())) {
      const port = /Listening on port (\d+)/.exec(line)?.[1];
      if (port === undefined) continue;
      service.url = `http://127.0.0.1:${port}`;
      return service;
    }
    throw new Error(`The service did not start: ${await service.log}`);
  }

  async post(path: string, headers: HeadersInit = {}) {
    const init = { method: "POST", headers, body: '{"order":1}' };
    return await answer(await fetch(`${this.url}${path}`, init));
  }

  async get(path: string) {
    return await answer(await fetch(`${this.url}${path}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.process.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.process.status;
    await Promise.all([this.log, this.out]);
  }
}

/** The status of a response, and its JSON. */
export async function answer(response: Response) {
  return { status: response.status, body: await response.json() };
}
