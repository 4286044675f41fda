// Starts a workerd whose Durable Object has DurableObjectOutboxes in a directory.
import { freePort } from "../../../support/free_port.ts";
import { importFlags } from "../../../support/imports.ts";
import { until } from "../../../support/wait.ts";
import type { Host } from "./host.ts";

const CONFIG = (port: number): string => `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "data", disk = (path = "data", writable = true)),
    (name = "network", network = (allow = ["local", "private"])),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:${port}", http = (), service = "main"),
  ],
);

const worker :Workerd.Worker = (
  modules = [(name = "worker.js", esModule = embed "worker.js")],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = ["nodejs_compat"],
  durableObjectNamespaces = [
    (className = "Stores", uniqueKey = "stores", enableSql = true),
  ],
  durableObjectStorage = (localDisk = "data"),
  bindings = [(name = "STORES", durableObjectNamespace = "Stores")],
  globalOutbound = "network",
);
`;

/**
 * @param program The path of workerd.
 * @param dir An empty directory.
 * @throws {Error} If the Worker cannot be bundled.
 */
export async function startWorker(
  program: string,
  dir: string,
): Promise<Host> {
  await bundle(`${dir}/worker.js`);
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  await Deno.mkdir(`${dir}/data`);
  await Deno.writeTextFile(`${dir}/config.capnp`, CONFIG(port));
  let process: Deno.ChildProcess;
  const host: Host = {
    url,
    async start() {
      process = new Deno.Command(program, {
        args: ["serve", "--experimental", "config.capnp"],
        cwd: dir,
        stdin: "null",
      }).spawn();
      await until(() => isListening(port), "workerd listens");
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

async function bundle(target: string): Promise<void> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bundle",
      "--quiet",
      "--no-check",
      ...importFlags,
      "--output",
      target,
      new URL("./worker.ts", import.meta.url).href,
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
