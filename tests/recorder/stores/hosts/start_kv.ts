// Starts a process that has KvOutboxes of a database file.
import { importFlags } from "../../../support/imports.ts";
import type { Host } from "./host.ts";

/** @param path The file. */
export async function startKv(path: string): Promise<Host> {
  const program = new URL("./kv_host.ts", import.meta.url);
  let process: Deno.ChildProcess;
  let url = "";
  const host: Host = {
    get url() {
      return url;
    },
    async start() {
      process = new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "-A",
          "--no-check",
          "--unstable-kv",
          ...importFlags,
          program.href,
          path,
        ],
        stdout: "piped",
      }).spawn();
      const reader = process.stdout.getReader();
      const { value } = await reader.read();
      await reader.cancel();
      url = `http://127.0.0.1:${new TextDecoder().decode(value).trim()}`;
    },
    async kill() {
      process.kill("SIGKILL");
      await process.status;
    },
    async [Symbol.asyncDispose]() {
      await this.kill().catch(() => {});
    },
  };
  await host.start();
  return host;
}
