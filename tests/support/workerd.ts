// A workerd for a test: Workers of this repository, bundled and served by Cloudflare's runtime.
import { bundled } from "./bundle.ts";
import { freePort } from "./free_port.ts";
import { programForTests } from "./tools.ts";
import { until } from "./wait.ts";

/** A Worker, which others reach as a service of its name. */
export interface WorkerOptions {
  readonly name: string;
  /** Its main module. */
  readonly main?: URL;
  /** Its code, where it is bundled already. */
  readonly code?: string;
  /** Further compatibility flags. */
  readonly flags?: readonly string[];
  /** Its classes of Durable Objects, by the names of their bindings. */
  readonly durableObjects?: Readonly<Record<string, string>>;
  /** Texts, by the names of their bindings. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Other Workers, by the names of their bindings. */
  readonly services?: Readonly<Record<string, string>>;
  /** Workers that take messages as a queue does, by the names of their bindings. */
  readonly queues?: Readonly<Record<string, string>>;
}

/** Options of {@linkcode Workerd.start}. */
export interface WorkerdOptions {
  /** The first one is served. */
  readonly workers: readonly WorkerOptions[];
  /** PEM of an authority that is trusted. */
  readonly caCert?: string;
}

const program = await programForTests("workerd");

/** Whether tests in workerd are ignored, since there is none. */
export const ignore: boolean = program.ignore;

/** A running workerd with a directory of its own, which goes away with it. */
export class Workerd implements AsyncDisposable {
  /** Where the first Worker listens. */
  readonly url: string;
  readonly #dir: string;
  readonly #port: number;
  #process: Deno.ChildProcess | undefined;

  private constructor(dir: string) {
    this.#dir = dir;
    this.#port = freePort();
    this.url = `http://127.0.0.1:${this.#port}`;
  }

  /** @throws {Error} If a Worker cannot be bundled, or workerd does not start. */
  static async start(options: WorkerdOptions): Promise<Workerd> {
    const dir = await Deno.makeTempDir();
    const workerd = new Workerd(dir);
    try {
      await Deno.mkdir(`${dir}/data`);
      for (const { name, main, code } of options.workers) {
        const text = code ?? await bundled(main!);
        await Deno.writeTextFile(`${dir}/${name}.js`, text);
      }
      await Deno.writeTextFile(
        `${dir}/config.capnp`,
        configOf(options, workerd.#port),
      );
      await workerd.start();
      return workerd;
    } catch (error) {
      await workerd[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Starts it again, on the same data. */
  async start(): Promise<void> {
    const process = this.#process = new Deno.Command(program.path, {
      args: ["serve", "--experimental", "config.capnp"],
      cwd: this.#dir,
      stdin: "null",
      stdout: "null",
      // What fails in a Worker is in its answers; "inherit" shows the rest.
      stderr: "null",
    }).spawn();
    let hasEnded = false;
    process.status.then(() => hasEnded = true);
    await until(() => hasEnded || isListening(this.#port), "workerd listens");
    if (hasEnded) throw new Error("workerd cannot use its configuration");
  }

  /** Kills it with SIGKILL. */
  async kill(): Promise<void> {
    const process = this.#process;
    this.#process = undefined;
    if (process === undefined) return;
    process.kill("SIGKILL");
    await process.status;
  }

  /** Calls the Worker, and reads its answer as JSON. */
  async call(path: string, body?: unknown): Promise<unknown> {
    const response = await fetch(this.url + path, {
      method: "POST",
      body: JSON.stringify(body ?? null),
    });
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${response.status} ${text}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill().catch(() => {});
    await Deno.remove(this.#dir, { recursive: true });
  }
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}

/** @see {@link https://github.com/cloudflare/workerd/blob/main/src/workerd/server/workerd.capnp} */
function configOf({ workers, caCert }: WorkerdOptions, port: number): string {
  const tls = caCert === undefined
    ? ""
    : `, tlsOptions = (trustedCertificates = [${JSON.stringify(caCert)}])`;
  return `
using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    ${
    workers.map(({ name }) => `(name = "${name}", worker = .${name}),`).join("")
  }
    (name = "data", disk = (path = "data", writable = true)),
    (name = "network", network = (allow = ["local", "private"]${tls})),
  ],
  sockets = [
    (name = "http", address = "127.0.0.1:${port}", http = (), service = "${
    workers[0]!.name
  }"),
  ],
);
${workers.map(workerOf).join("\n")}`;
}

function workerOf(
  {
    name,
    flags = [],
    durableObjects = {},
    texts = {},
    services = {},
    queues = {},
  }: WorkerOptions,
): string {
  const bindings = [
    ...Object.entries(durableObjects).map(([binding, className]) =>
      `(name = "${binding}", durableObjectNamespace = "${className}")`
    ),
    ...Object.entries(texts).map(([binding, text]) =>
      `(name = "${binding}", text = ${JSON.stringify(text)})`
    ),
    ...Object.entries(services).map(([binding, service]) =>
      `(name = "${binding}", service = "${service}")`
    ),
    ...Object.entries(queues).map(([binding, service]) =>
      `(name = "${binding}", queue = "${service}")`
    ),
  ];
  const namespaces = Object.values(durableObjects).map((className) =>
    `(className = "${className}", uniqueKey = "${className}", enableSql = true)`
  );
  return `
const ${name} :Workerd.Worker = (
  modules = [(name = "${name}.js", esModule = embed "${name}.js")],
  compatibilityDate = "2026-01-01",
  compatibilityFlags = [${
    ["service_binding_extra_handlers", ...flags].map((flag) => `"${flag}"`)
  }],
  durableObjectNamespaces = [${namespaces}],
  durableObjectStorage = (localDisk = "data"),
  bindings = [${bindings}],
  globalOutbound = "network",
);
`;
}
