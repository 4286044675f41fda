// A Redis server that is started for one run: a process with a port and a directory of its own.

import { delay } from "@std/async/delay";
import { runCommands } from "./plain_commands.ts";

const HOSTNAME = "127.0.0.1";
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const START_ATTEMPTS = 5;

/**
 * A process that is killed outright cannot clean up, so a shell waits beside the
 * server: a line on its input means that the server has ended, end of file that
 * this process has. Then it kills the server and removes its directory. The
 * server takes the place of the outer shell, so that it has its process id.
 */
const LAUNCH = `
exec 3<&0
(
  trap '' INT TERM HUP
  read -r _ <&3 || { kill -9 $$; rm -rf "$2"; }
) >/dev/null 2>&1 &
exec "$1" "$2/redis.conf" $3 3<&- </dev/null >"$2/output" 2>&1
`;

/** The PEM files of a TLS port, by path. */
export interface RedisServerTls {
  /** The certificate that the server shows. */
  readonly certFile: string;
  /** The key of that certificate. */
  readonly keyFile: string;
  /** The authorities that the server trusts. */
  readonly caFile: string;
  /** Whether clients must show a certificate. @default {false} */
  readonly clientCertificate?: boolean;
}

/** How to start a server. */
export interface RedisServerOptions {
  /** The plain port. @default a free one */
  readonly port?: number;
  /** Opens a TLS port beside the plain one. @default none */
  readonly tls?: RedisServerTls;
  /** The TLS port, where there is one. @default a free one */
  readonly tlsPort?: number;
  /** The password of the default user. */
  readonly password?: string;
  /** Whether it is a Sentinel, and not a server of data. @default {false} */
  readonly sentinel?: boolean;
  /** Where to make the server's directory. @default {the system's directory of temporary files} */
  readonly directory?: string;
  /** Further lines of `redis.conf`; a value is written unquoted. */
  readonly config?: Readonly<Record<string, string | number>>;
}

/** A server, which is killed and removed when it is disposed of. */
export interface RedisServer extends AsyncDisposable {
  readonly hostname: string;
  /** The plain port; it stays the same across restarts. */
  readonly port: number;
  /** `redis://` with the password, if there is one. */
  readonly url: string;
  /**
   * The TLS port.
   * @throws {Error} If the server was started without `tls`.
   */
  readonly tlsPort: number;
  /**
   * `rediss://` with the password, if there is one.
   * @throws {Error} If the server was started without `tls`.
   */
  readonly tlsUrl: string;
  /** The process id. @throws {Error} If the server is not running. */
  readonly pid: number;
  readonly running: boolean;
  /** Ends the server in good order (SIGTERM). Does nothing if it is down. */
  stop(): Promise<void>;
  /** Ends the server as a crash would (SIGKILL). Does nothing if it is down. */
  kill(): Promise<void>;
  /** Starts the server again after `stop` or `kill`, same port, same files. */
  start(): Promise<void>;
  /** `stop`, a wait of `downMs` milliseconds, `start`. */
  restart(options?: { readonly downMs?: number }): Promise<void>;
  /** Stops the process (SIGSTOP): sockets stay open, and nothing is answered. */
  freeze(): void;
  /** Lets a frozen process go on (SIGCONT). */
  thaw(): void;
  /**
   * Runs one command on a connection of its own over the plain port.
   *
   * @returns The reply as text, the elements of an array a line each.
   * @throws {Error} If the server answers with an error.
   */
  cli(...args: (string | number)[]): Promise<string>;
}

/**
 * Starts a server with a port and a directory of its own.
 *
 * @example Start a server with a password
 * ```ts ignore
 * await using server = await startRedis({ password: "secret" });
 * await server.cli("SET", "key", "value");
 * ```
 *
 * @throws {Error} If there is no server program or it does not start.
 */
export async function startRedis(
  options: RedisServerOptions = {},
): Promise<RedisServer> {
  const program = await findProgram();
  for (let attempt = 1;; attempt++) {
    const server = new LocalRedis(program, options);
    try {
      await server.start();
      return server;
    } catch (error) {
      await server[Symbol.asyncDispose]();
      // Another process may have taken the free port before the server did.
      const retriable = error instanceof PortTaken &&
        options.port === undefined;
      if (!retriable || attempt === START_ATTEMPTS) throw error;
    }
  }
}

class PortTaken extends Error {}

let foundProgram: string | undefined;

/** The program named by `REDIS_SERVER`, else one that is on PATH. */
async function findProgram(): Promise<string> {
  const given = { name: "env", variable: "REDIS_SERVER" } as const;
  if ((await Deno.permissions.query(given)).state === "granted") {
    foundProgram ??= Deno.env.get(given.variable) || undefined;
  }
  for (const name of ["redis-server", "valkey-server"]) {
    if (foundProgram !== undefined) break;
    try {
      const command = new Deno.Command(name, { args: ["--version"] });
      if ((await command.output()).success) foundProgram = name;
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  if (foundProgram === undefined) {
    throw new Error(
      "Cannot start a Redis server: neither redis-server nor valkey-server " +
        "is on PATH; install one of them, or name a program in REDIS_SERVER",
    );
  }
  return foundProgram;
}

class LocalRedis implements RedisServer {
  readonly hostname: string = HOSTNAME;
  readonly port: number;
  readonly #tlsPort: number | undefined;
  readonly #program: string;
  readonly #options: RedisServerOptions;
  readonly #directory: string;
  #process: Deno.ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(program: string, options: RedisServerOptions) {
    this.#program = program;
    this.#options = options;
    const [port, tlsPort] = freePorts();
    this.port = options.port ?? port;
    if (options.tls) this.#tlsPort = options.tlsPort ?? tlsPort;
    this.#directory = Deno.makeTempDirSync({
      prefix: "redis-server-",
      ...(options.directory === undefined ? {} : { dir: options.directory }),
    });
    Deno.writeTextFileSync(`${this.#directory}/redis.conf`, this.#config());
  }

  get url(): string {
    return `redis://${this.#userInfo()}${HOSTNAME}:${this.port}`;
  }

  get tlsPort(): number {
    if (this.#tlsPort === undefined) {
      throw new Error("Cannot name a TLS port: the server has none");
    }
    return this.#tlsPort;
  }

  get tlsUrl(): string {
    return `rediss://${this.#userInfo()}${HOSTNAME}:${this.tlsPort}`;
  }

  get pid(): number {
    if (this.#process === undefined) {
      throw new Error("Cannot name a process: the server is not running");
    }
    return this.#process.pid;
  }

  get running(): boolean {
    return this.#process !== undefined;
  }

  async start(): Promise<void> {
    if (this.#process !== undefined) return;
    const process = new Deno.Command("sh", {
      args: [
        ...["-c", LAUNCH, "sh", this.#program, this.#directory],
        ...this.#options.sentinel ? ["--sentinel"] : [],
      ],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#process = process;
    this.#ended = this.#reap(process);

    const giveUpAt = Date.now() + START_TIMEOUT_MS;
    while (!await this.#answersAs(process.pid)) {
      if (this.running && Date.now() < giveUpAt) {
        await delay(10);
        continue;
      }
      await this.kill();
      const output = this.#output();
      const message = `Cannot start ${this.#program} on port ${this.port}: ` +
        (output || "no output");
      throw /address already in use/i.test(output)
        ? new PortTaken(message)
        : new Error(message);
    }
  }

  async stop(): Promise<void> {
    await this.#end("SIGTERM");
  }

  async kill(): Promise<void> {
    await this.#end("SIGKILL");
  }

  async restart(options: { readonly downMs?: number } = {}): Promise<void> {
    await this.stop();
    if (options.downMs) await delay(options.downMs);
    await this.start();
  }

  freeze(): void {
    Deno.kill(this.pid, "SIGSTOP");
  }

  thaw(): void {
    Deno.kill(this.pid, "SIGCONT");
  }

  cli(...args: (string | number)[]): Promise<string> {
    return runCommands(this.port, [...this.#auth(), args.map(String)]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await removeFolder(this.#directory);
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const process = this.#process;
    if (process === undefined) return await this.#ended;
    sendSignal(process, signal);
    // A frozen process acts on SIGTERM only once it runs again.
    if (signal === "SIGTERM") sendSignal(process, "SIGCONT");
    const timer = setTimeout(
      () => sendSignal(process, "SIGKILL"),
      STOP_TIMEOUT_MS,
    );
    await this.#ended;
    clearTimeout(timer);
  }

  /** Waits for the end of the process, and then lets the shell beside it end. */
  async #reap(process: Deno.ChildProcess): Promise<void> {
    await process.status;
    this.#process = undefined;
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n")).catch(() => {});
    await writer.close().catch(() => {});
  }

  /** Whether the process itself answers on the port: another server may have taken it. */
  async #answersAs(pid: number): Promise<boolean> {
    try {
      const info = await this.cli("INFO");
      return info.includes(`\nprocess_id:${pid}\r`) &&
        !info.includes("\nloading:1\r");
    } catch {
      return false;
    }
  }

  #auth(): string[][] {
    const { password } = this.#options;
    return password === undefined ? [] : [["AUTH", password]];
  }

  #userInfo(): string {
    const { password } = this.#options;
    return password === undefined ? "" : `:${encodeURIComponent(password)}@`;
  }

  #output(): string {
    const lines = ["output", "log"].map((name) => {
      try {
        return Deno.readTextFileSync(`${this.#directory}/${name}`);
      } catch {
        return "";
      }
    });
    return lines.join("").trim();
  }

  #config(): string {
    const { config, password, tls } = this.#options;
    const settings: Record<string, string | number> = {
      bind: HOSTNAME,
      port: this.port,
      dir: quoted(this.#directory),
      logfile: quoted(`${this.#directory}/log`),
      save: quoted(""),
      appendonly: "no",
    };
    if (password !== undefined) settings.requirepass = quoted(password);
    if (tls) {
      settings["tls-port"] = this.tlsPort;
      settings["tls-ca-cert-file"] = quoted(tls.caFile);
      settings["tls-cert-file"] = quoted(tls.certFile);
      settings["tls-key-file"] = quoted(tls.keyFile);
      settings["tls-auth-clients"] = tls.clientCertificate ? "yes" : "no";
    }
    return Object.entries({ ...settings, ...config })
      .map(([name, value]) => `${name} ${value}\n`)
      .join("");
  }
}

function sendSignal(process: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    process.kill(signal);
  } catch (error) {
    // Deno throws one of these for a process that has ended already.
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof TypeError) return;
    throw error;
  }
}

function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Two at once: one after the other the system might give the same port twice. */
function freePorts(): [number, number] {
  const first = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const second = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const ports: [number, number] = [first.addr.port, second.addr.port];
  first.close();
  second.close();
  return ports;
}

/**
 * Removes a folder. A child of the server that saves outlives it for a moment, and
 * may create a file meanwhile.
 */
async function removeFolder(path: string): Promise<void> {
  for (let attempt = 1;; attempt++) {
    try {
      return await Deno.remove(path, { recursive: true });
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      if (attempt === 10) throw error;
      await delay(100);
    }
  }
}
