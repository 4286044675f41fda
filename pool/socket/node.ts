// Node as a runtime: its sockets. Those of Bun, too, as far as Bun has none of its own for it.
import { builtin } from "./builtin.ts";
import type { Endpoint } from "./endpoint.ts";
import {
  KEEP_ALIVE_MS,
  type NetSocket,
  NodeSocket,
  type OnRead,
} from "./node_socket.ts";
import type { DialOptions, Socket } from "./socket.ts";

/** The part of `node:net` that is needed. */
interface Net {
  connect(
    options:
      & { readonly onread: OnRead }
      & (
        | { readonly path: string }
        | {
          readonly host: string;
          readonly port: number;
          readonly noDelay: true;
          readonly keepAlive: true;
          readonly keepAliveInitialDelay: number;
        }
      ),
  ): NetSocket;
}

/** Opens a TCP socket with no-delay and keep-alive, TLS included, or a Unix socket. */
export async function connect(
  endpoint: Endpoint,
  options: DialOptions,
): Promise<Socket> {
  if (endpoint.tls === undefined) {
    return await connectPlain(endpoint, options.signal);
  }
  const { connectTls } = await import("./node_tls.ts");
  return await connectTls(endpoint, options, {
    connectTcp: (signal) => connectPlain(endpoint, signal),
  });
}

/**
 * Opens a TCP or Unix socket.
 *
 * @param endpoint Where to.
 * @param signal Gives up; its reason is thrown.
 */
export async function connectPlain(
  { hostname, port, path }: Endpoint,
  signal: AbortSignal,
): Promise<Socket> {
  const net = await builtin<Net>("node:net");
  signal.throwIfAborted();
  const target = path !== undefined ? { path } : {
    host: hostname,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  } as const;
  const socket = new NodeSocket(
    (onread) => net.connect({ ...target, onread }),
    "connect",
  );
  return await socket.opened(signal);
}
