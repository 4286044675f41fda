// A TCP proxy that counts what a limiter sends, and can lose a reply.

const HOSTNAME = "127.0.0.1";
/** An array of bulk strings begins so: one command of RESP. */
const COMMAND = /\*\d+\r\n\$\d+\r\n/g;

/** What has gone through a proxy. */
export interface Traffic {
  /** Requests that followed a reply: each is waited for before the next. */
  readonly roundTrips: number;
  /** Commands of RESP. */
  readonly commands: number;
  /** In both directions. */
  readonly bytes: number;
}

/** A proxy in front of a port of this machine. */
export interface CountingProxy extends Disposable {
  readonly port: number;
  readonly traffic: Traffic;
}

/** How a proxy treats what goes through it. */
export interface CountingProxyOptions {
  /** The reply to the first request with this in it is lost: its connection is closed. */
  readonly losesReplyTo?: string;
  /** Whether it accepts connections and hands nothing on. */
  readonly isSilent?: boolean;
}

/** Starts a proxy. */
export function startCountingProxy(
  target: number,
  { losesReplyTo, isSilent = false }: CountingProxyOptions = {},
): CountingProxy {
  const listener = Deno.listen({ hostname: HOSTNAME, port: 0 });
  const open = new Set<Deno.Conn>();
  const traffic = { roundTrips: 0, commands: 0, bytes: 0 };
  let toLose = losesReplyTo;

  const close = (...conns: Deno.Conn[]): void => {
    for (const conn of conns) {
      if (open.delete(conn)) conn.close();
    }
  };

  const serve = async (client: Deno.Conn): Promise<void> => {
    open.add(client);
    if (isSilent) return;
    const server = await Deno.connect({ hostname: HOSTNAME, port: target });
    open.add(server);
    let isAnswered = true;
    let isReplyLost = false;
    const up = handOn(client, server, (bytes) => {
      if (isAnswered) traffic.roundTrips++;
      isAnswered = false;
      const text = new TextDecoder("latin1").decode(bytes);
      traffic.commands += text.match(COMMAND)?.length ?? 0;
      if (toLose !== undefined && text.includes(toLose)) {
        isReplyLost = true;
        toLose = undefined;
      }
      return true;
    });
    const down = handOn(server, client, () => {
      isAnswered = true;
      return !isReplyLost;
    });
    await Promise.race([up, down]);
    close(client, server);
  };

  /** Ends at the end of a connection, or before bytes that `see` does not let through. */
  const handOn = async (
    from: Deno.Conn,
    to: Deno.Conn,
    see: (bytes: Uint8Array) => boolean,
  ): Promise<void> => {
    try {
      for await (const bytes of from.readable) {
        traffic.bytes += bytes.length;
        if (!see(bytes)) return;
        for (let at = 0; at < bytes.length;) {
          at += await to.write(bytes.subarray(at));
        }
      }
    } catch {
      // Closed by the other direction, or by its peer.
    }
  };

  (async () => {
    for await (const client of listener) serve(client).catch(() => {});
  })();
  return {
    port: listener.addr.port,
    traffic,
    [Symbol.dispose]() {
      listener.close();
      close(...open);
    },
  };
}
