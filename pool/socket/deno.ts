// Deno as a runtime: the one that every other module reaches by runtime.ts.
import { SignalTimer, WaitAsyncSleep } from "./deno_timers.ts";
import type { Endpoint } from "./endpoint.ts";
import type { DialOptions, Socket } from "./socket.ts";

export const name = "Deno";

export async function connect(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  const { hostname, port, path, tls } = endpoint;
  const { signal } = options;
  if (path !== undefined) {
    return closable(await Deno.connect({ transport: "unix", path }));
  }
  if (tls === undefined) return await connectTcp();
  // Loaded where it is needed: with a client certificate it brings `node:tls`, 40 ms.
  const { dialTls } = await import("./deno_tls.ts");
  return await dialTls(endpoint, options, connectTcp);

  async function connectTcp(): Promise<Deno.TcpConn> {
    const tcp = await Deno.connect({ hostname, port, signal });
    tcp.setNoDelay(true);
    tcp.setKeepAlive(true);
    return closable(tcp);
  }
}

export const newTimer = (onDue: (lateMs: number) => void): SignalTimer =>
  new SignalTimer(onDue);

export const newUnrefSleep = (): WaitAsyncSleep => new WaitAsyncSleep();

export function permissionHint(endpoint: Endpoint, text: string): string {
  const { path } = endpoint;
  if (path !== undefined) {
    return `--allow-read=${path} --allow-write=${path}, and since Deno 2.9 --allow-net=unix:${path}`;
  }
  // A client certificate, read by `node:tls`, may need a permission beyond the network.
  const other = /--allow-(?!net)[\w-]+/.exec(text);
  return other === null ? `--allow-net=${endpoint}` : other[0];
}

/**
 * Deno 2.8.3 alone does not end a pending read when its socket is closed, and so
 * keeps the socket open. Ending our side first makes the peer close, which ends the read.
 */
function closable<T extends Deno.Conn>(conn: T): T {
  if (Deno.version.deno !== "2.8.3") return conn;
  const close = conn.close.bind(conn);
  conn.close = () => {
    conn.closeWrite().catch(() => {});
    close();
  };
  return conn;
}
