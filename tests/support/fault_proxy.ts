// A TCP proxy that does to bytes what networks, proxies and servers do to them.

import net from "node:net";

const HOSTNAME = "127.0.0.1";
/** Above this the proxy stops reading, so a slow client slows its server. */
const MAX_QUEUED_BYTES = 262_144;

/** Where the proxy connects to. */
export interface ProxyTarget {
  readonly hostname: string;
  readonly port: number;
}

/** How to start a proxy. */
export interface FaultProxyOptions {
  readonly target: ProxyTarget;
  /** Whether the target's port speaks TLS: names the scheme of `url`. */
  readonly tls?: boolean;
}

/** How a connection is closed: in good order, or with a reset. */
export type CloseWay = "fin" | "rst";

/** Which connections a verb is about; "all" is those open and those to come. */
export type Scope = "all" | "open" | "new";

/** Which connections a verb is about. */
export interface ScopeOptions {
  /** @default {"all"} */
  readonly scope?: Scope;
}

/** A proxy in front of a server; each verb replaces the one before it. */
export interface FaultProxy extends AsyncDisposable {
  readonly hostname: string;
  readonly port: number;
  readonly url: string;
  /** Connections accepted so far. */
  readonly connections: number;
  /** Connections open now. */
  readonly open: number;
  /** Bytes that clients sent and the target got. */
  readonly bytesUp: number;
  /** Bytes that the target sent and clients got. */
  readonly bytesDown: number;

  /** Hands on every byte as it comes. */
  pass(options?: ScopeOptions): void;
  /** Swallows bytes and closes of both directions; swallowed bytes are lost. */
  silence(options?: ScopeOptions): void;
  /**
   * Lets `bytes` more bytes of replies through on each connection, then closes
   * it. After 0 bytes: the target runs the command and its reply is lost.
   */
  cut(bytes: number, options?: ScopeOptions & { by?: CloseWay }): void;
  /** Delivers each chunk of a reply `ms` milliseconds after it came. */
  delay(ms: number, options?: ScopeOptions): void;
  /** Delivers replies in pieces of `bytes`, `everyMs` milliseconds apart. */
  split(bytes: number, options?: ScopeOptions & { everyMs?: number }): void;

  /** Closes every open connection, on both sides. */
  killAll(by: CloseWay): Promise<void>;
  /** Stops listening: new connections are refused, open ones live on. */
  refuse(): Promise<void>;
  /** Accepts new connections and closes them at once. */
  slam(by: CloseWay): Promise<void>;
  /** Ends `refuse` and `slam`. */
  accept(): Promise<void>;
  /** Leads new connections to another server. */
  retarget(target: Partial<ProxyTarget>): void;
}

/**
 * Starts a proxy on a free port.
 *
 * @example Cut the first reply in two
 * ```ts ignore
 * await using proxy = await startProxy({ target: server });
 * proxy.cut(3, { by: "rst" });
 * ```
 */
export async function startProxy(
  options: FaultProxyOptions,
): Promise<FaultProxy> {
  const proxy = new TcpProxy(options);
  await proxy.accept();
  return proxy;
}

type Fault =
  | { readonly kind: "pass" }
  | { readonly kind: "silence" }
  | { readonly kind: "cut"; readonly bytes: number; readonly by: CloseWay }
  | { readonly kind: "delay"; readonly ms: number }
  | {
    readonly kind: "split";
    readonly bytes: number;
    readonly everyMs: number;
  };

class TcpProxy implements FaultProxy {
  readonly hostname: string = HOSTNAME;
  readonly #scheme: "redis" | "rediss";
  readonly #links = new Set<Link>();
  readonly #closed: Promise<void>[] = [];
  #target: ProxyTarget;
  #server: net.Server | undefined;
  #port = 0;
  #fault: Fault = { kind: "pass" };
  #slam: CloseWay | undefined;
  connections = 0;
  bytesUp = 0;
  bytesDown = 0;

  constructor(options: FaultProxyOptions) {
    this.#target = options.target;
    this.#scheme = options.tls ? "rediss" : "redis";
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `${this.#scheme}://${HOSTNAME}:${this.#port}`;
  }

  get open(): number {
    return this.#links.size;
  }

  pass(options: ScopeOptions = {}): void {
    this.#apply({ kind: "pass" }, options);
  }

  silence(options: ScopeOptions = {}): void {
    this.#apply({ kind: "silence" }, options);
  }

  cut(bytes: number, options: ScopeOptions & { by?: CloseWay } = {}): void {
    this.#apply({ kind: "cut", bytes, by: options.by ?? "fin" }, options);
  }

  delay(ms: number, options: ScopeOptions = {}): void {
    this.#apply({ kind: "delay", ms }, options);
  }

  split(
    bytes: number,
    options: ScopeOptions & { everyMs?: number } = {},
  ): void {
    const everyMs = options.everyMs ?? 0;
    this.#apply({ kind: "split", bytes, everyMs }, options);
  }

  async killAll(by: CloseWay): Promise<void> {
    await Promise.all([...this.#links].map((link) => link.close(by)));
  }

  async refuse(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    this.#server = undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    server.on("close", () => resolve());
    server.close();
    // A server counts as closed only when its last connection is.
    this.#closed.push(promise);
    if (this.#links.size === 0) await promise;
  }

  async slam(by: CloseWay): Promise<void> {
    await this.accept();
    this.#slam = by;
  }

  async accept(): Promise<void> {
    this.#slam = undefined;
    if (this.#server !== undefined) return;
    const server = net.createServer(
      { allowHalfOpen: true, noDelay: true },
      (socket) => this.#welcome(socket),
    );
    const listening = Promise.withResolvers<void>();
    server.once("listening", () => listening.resolve());
    server.once("error", (error) => listening.reject(error));
    server.listen(this.#port, HOSTNAME);
    await listening.promise;
    this.#server = server;
    this.#port = (server.address() as net.AddressInfo).port;
  }

  retarget(target: Partial<ProxyTarget>): void {
    const { hostname, port } = { ...this.#target, ...target };
    this.#target = { hostname, port };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const refused = this.refuse();
    while (this.#links.size > 0) await this.killAll("rst");
    await refused;
    await Promise.all(this.#closed);
  }

  #apply(fault: Fault, { scope = "all" }: ScopeOptions): void {
    if (scope !== "open") this.#fault = fault;
    if (scope !== "new") {
      for (const link of this.#links) link.suffer(fault);
    }
  }

  #welcome(client: net.Socket): void {
    this.connections++;
    const upstream = net.connect({
      host: this.#target.hostname,
      port: this.#target.port,
      allowHalfOpen: true,
      noDelay: true,
    });
    const link = new Link(client, upstream, this.#fault, {
      up: (bytes) => this.bytesUp += bytes,
      down: (bytes) => this.bytesDown += bytes,
    });
    this.#links.add(link);
    link.gone.then(() => this.#links.delete(link));
    if (this.#slam !== undefined) link.close(this.#slam);
  }
}

interface Meter {
  up(bytes: number): void;
  down(bytes: number): void;
}

/** What the target sent: bytes and when, or its end. */
type Arrival = { readonly bytes: Uint8Array; readonly at: number } | "end";

/** One connection of a client and the one to the target that goes with it. */
class Link {
  readonly #client: net.Socket;
  readonly #upstream: net.Socket;
  readonly #meter: Meter;
  readonly #arrivals: Arrival[] = [];
  #fault: Fault;
  #cutAfter = 0;
  #queuedBytes = 0;
  #delivering = false;
  #over = false;
  /** Ends the one wait that delivery may be in. */
  #wake: () => void = () => {};
  // Ends that come in a silence are handed on when it is over.
  #clientEnded = false;
  #upstreamFailed = false;
  /** Settles when both sockets are closed. */
  readonly gone: Promise<void>;

  constructor(
    client: net.Socket,
    upstream: net.Socket,
    fault: Fault,
    meter: Meter,
  ) {
    this.#client = client;
    this.#upstream = upstream;
    this.#meter = meter;
    this.#fault = fault;
    this.gone = this.#watch();
    this.suffer(fault);

    client.on("data", (bytes: Uint8Array) => this.#fromClient(bytes));
    client.on("end", () => {
      this.#clientEnded = true;
      this.#handOnEnds();
    });
    client.on("error", () => this.close("rst"));
    upstream.on("data", (bytes: Uint8Array) => this.#fromUpstream(bytes));
    upstream.on("end", () => {
      this.#arrivals.push("end");
      this.#deliver();
    });
    upstream.on("error", () => {
      this.#upstreamFailed = true;
      this.#handOnEnds();
    });
  }

  suffer(fault: Fault): void {
    this.#fault = fault;
    if (fault.kind === "cut") this.#cutAfter = fault.bytes;
    this.#handOnEnds();
    this.#deliver();
  }

  async close(by: CloseWay): Promise<void> {
    this.#finish();
    if (by === "rst") this.#client.resetAndDestroy();
    else this.#client.destroySoon();
    this.#upstream.destroy();
    await this.gone;
  }

  async #watch(): Promise<void> {
    await closeOf(this.#client);
    this.#finish();
    await closeOf(this.#upstream);
  }

  #finish(): void {
    this.#over = true;
    this.#wake();
  }

  #fromClient(bytes: Uint8Array): void {
    if (this.#fault.kind === "silence") return;
    this.#meter.up(bytes.length);
    if (!this.#upstream.write(bytes)) {
      this.#client.pause();
      this.#upstream.once("drain", () => this.#client.resume());
    }
  }

  #fromUpstream(bytes: Uint8Array): void {
    if (this.#fault.kind === "silence") return;
    this.#arrivals.push({ bytes, at: performance.now() });
    this.#queuedBytes += bytes.length;
    if (this.#queuedBytes > MAX_QUEUED_BYTES) this.#upstream.pause();
    this.#deliver();
  }

  #handOnEnds(): void {
    if (this.#fault.kind === "silence") return;
    if (this.#upstreamFailed) this.close("rst");
    else if (this.#clientEnded) this.#upstream.end();
  }

  async #deliver(): Promise<void> {
    if (this.#delivering) return;
    this.#delivering = true;
    while (!this.#over) {
      const arrival = this.#arrivals[0];
      if (arrival === undefined) break;
      if (arrival === "end") {
        if (this.#fault.kind === "silence") break;
        this.#arrivals.shift();
        this.#client.end();
        continue;
      }
      if (this.#fault.kind === "delay") {
        await this.#sleep(arrival.at + this.#fault.ms - performance.now());
      }
      this.#arrivals.shift();
      await this.#forward(arrival.bytes);
      this.#queuedBytes -= arrival.bytes.length;
      if (this.#queuedBytes <= MAX_QUEUED_BYTES) this.#upstream.resume();
    }
    this.#delivering = false;
  }

  async #forward(bytes: Uint8Array): Promise<void> {
    let rest = bytes;
    while (rest.length > 0 && !this.#over) {
      const fault = this.#fault;
      if (fault.kind === "silence") return;
      const piece = rest.subarray(0, this.#pieceLength(fault));
      rest = rest.subarray(piece.length);
      if (piece.length > 0) await this.#write(piece);
      if (fault.kind === "split") await this.#sleep(fault.everyMs);
      if (fault.kind === "cut" && fault === this.#fault) {
        this.#cutAfter -= piece.length;
        if (this.#cutAfter === 0) this.close(fault.by);
      }
    }
  }

  #pieceLength(fault: Fault): number {
    if (fault.kind === "split") return fault.bytes;
    if (fault.kind === "cut") return this.#cutAfter;
    return Infinity;
  }

  async #write(piece: Uint8Array): Promise<void> {
    this.#meter.down(piece.length);
    await this.#wait((wake) => this.#client.write(piece, () => wake()));
  }

  async #sleep(ms: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await this.#wait((wake) => timer = setTimeout(wake, ms));
    clearTimeout(timer);
  }

  /** Waits for what `arm` arms, or for the end of the link. */
  async #wait(arm: (wake: () => void) => void): Promise<void> {
    if (this.#over) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    arm(resolve);
    await promise;
  }
}

function closeOf(socket: net.Socket): Promise<void> {
  if (socket.closed) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  socket.once("close", () => resolve());
  return promise;
}
