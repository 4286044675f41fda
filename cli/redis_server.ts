// A Redis of one's own: how to start a server, hurt it and leave no trace of it.

import { delay } from "@std/async/delay";

const HOSTNAME = "127.0.0.1";
const START_TIMEOUT_MS = 10_000;
const STOP_TIMEOUT_MS = 5_000;
const ADMIN_TIMEOUT_MS = 5_000;
const START_ATTEMPTS = 5;

/**
 * A process that is killed outright cannot tidy up, so a shell waits beside
 * the server: a line on its input means that the server was stopped in good
 * order, end of file that its owner is gone. The server takes the place of
 * the outer shell, so its process id is that of the shell.
 */
const LAUNCH = `
exec 3<&0
(
  trap '' INT TERM HUP
  read -r _ <&3 || { kill -9 $$; rm -rf "$2"; }
) >/dev/null 2>&1 &
exec "$1" "$2/redis.conf" 3<&- </dev/null >"$2/output" 2>&1
`;

/** The PEM files of a TLS port. */
export interface RedisServerTls {
  /** The path of the certificate that the server shows. */
  readonly certFile: string;
  /** The path of its key. */
  readonly keyFile: string;
  /** The path of the authorities that the server trusts. */
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
  /** The password of the default user. */
  readonly password?: string;
  /** Where to make the server's directory. @default {where the system has such things} */
  readonly directory?: string;
  /** Lines of `redis.conf`; a value is written as it stands. */
  readonly config?: Readonly<Record<string, string | number>>;
}

/** A running server, which goes away when it is disposed of. */
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
  /** Stops the process in its tracks: sockets stay open and say nothing. */
  freeze(): void;
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
 * @example Start, use, forget
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

/** The program of `REDIS_SERVER`, else what is on PATH. */
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
    if (options.tls) this.#tlsPort = tlsPort;
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
      args: ["-c", LAUNCH, "sh", this.#program, this.#directory],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
    }).spawn();
    this.#process = process;
    this.#ended = this.#watch(process);

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
    await Deno.remove(this.#directory, { recursive: true }).catch(
      (error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      },
    );
  }

  async #end(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const process = this.#process;
    if (process === undefined) return await this.#ended;
    sendSignal(process, signal);
    // A frozen process acts on SIGTERM only once it runs again.
    if (signal === "SIGTERM") sendSignal(process, "SIGCONT");
    const impatience = setTimeout(
      () => sendSignal(process, "SIGKILL"),
      STOP_TIMEOUT_MS,
    );
    await this.#ended;
    clearTimeout(impatience);
  }

  /** Notices the end of the process, however it came, and tells the shell. */
  async #watch(process: Deno.ChildProcess): Promise<void> {
    await process.status;
    this.#process = undefined;
    const writer = process.stdin.getWriter();
    await writer.write(new TextEncoder().encode("\n")).catch(() => {});
    await writer.close().catch(() => {});
  }

  /** The port may be answered by another server than the one started here. */
  async #answersAs(pid: number): Promise<boolean> {
    try {
      const info = await this.cli("INFO");
      return info.includes(`\nprocess_id:${pid}\r`) &&
        info.includes("\nloading:0\r");
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
    // Deno reports a process that has ended already in either of two ways.
    if (error instanceof Deno.errors.NotFound) return;
    if (error instanceof TypeError) return;
    throw error;
  }
}

function quoted(value: string): string {
  return `"${value.replace(/["\\]/g, "\\$&")}"`;
}

/** Both at once, lest the second be the first again. */
function freePorts(): [number, number] {
  const first = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const second = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const ports: [number, number] = [first.addr.port, second.addr.port];
  first.close();
  second.close();
  return ports;
}

/** Sends the commands one after the other and returns the last reply. */
async function runCommands(
  port: number,
  commands: string[][],
): Promise<string> {
  const signal = AbortSignal.timeout(ADMIN_TIMEOUT_MS);
  const connection = await Deno.connect({ hostname: HOSTNAME, port, signal });
  const close = () => connection.close();
  signal.addEventListener("abort", close);
  try {
    const reply = replyReader(connection);
    let last = "";
    for (const command of commands) {
      await connection.write(encode(command));
      last = await reply();
    }
    return last;
  } catch (error) {
    if (!signal.aborted) throw error;
    throw new Error(`No reply from port ${port} for ${ADMIN_TIMEOUT_MS} ms`);
  } finally {
    signal.removeEventListener("abort", close);
    if (!signal.aborted) connection.close();
  }
}

function encode(command: string[]): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const words = command.map((word) =>
    `$${encoder.encode(word).length}\r\n${word}\r\n`
  );
  return encoder.encode(`*${command.length}\r\n${words.join("")}`);
}

/** Reads text replies of any size slowly; the module under test is no judge of itself. */
function replyReader(connection: Deno.Conn): () => Promise<string> {
  const decoder = new TextDecoder("latin1");
  const chunk = new Uint8Array(65_536);
  let received = "";

  async function take(enough: () => number): Promise<string> {
    let length = enough();
    while (length < 0) {
      const count = await connection.read(chunk);
      if (count === null) throw new Error("The server closed the connection");
      received += decoder.decode(chunk.subarray(0, count));
      length = enough();
    }
    const taken = received.slice(0, length);
    received = received.slice(length);
    return taken;
  }

  return async function reply(): Promise<string> {
    const line = await take(() => {
      const end = received.indexOf("\r\n");
      return end < 0 ? -1 : end + 2;
    });
    const text = line.slice(1, -2);
    switch (line[0]) {
      case "-":
        throw new Error(text);
      case "$": {
        const length = Number(text);
        if (length < 0) return "";
        const body = await take(() =>
          received.length < length + 2 ? -1 : length + 2
        );
        return utf8(body.slice(0, -2));
      }
      case "*": {
        const elements: string[] = [];
        for (let n = Number(text); n > 0; n--) elements.push(await reply());
        return elements.join("\n");
      }
      default:
        return text;
    }
  };
}

function utf8(latin1: string): string {
  return new TextDecoder().decode(
    Uint8Array.from(latin1, (character) => character.charCodeAt(0)),
  );
}
