// Server: the Redis that every row is measured on, with and without TLS.

import { type RedisServer, startRedis } from "../cli/redis_server.ts";
import { run } from "./process.ts";

/** The path of one of the certificates that the tests have. */
const certificate = (name: string): string =>
  decodeURIComponent(
    new URL(`../tests/support/certificates/${name}`, import.meta.url).pathname,
  );

/** The certificate that clients have to trust. */
export const caFile: string = certificate("ca.crt");

/** Starts a server with a TLS port. */
export function startServer(): Promise<RedisServer> {
  return startRedis({
    tls: {
      caFile,
      certFile: certificate("server.crt"),
      keyFile: certificate("server.key"),
    },
  });
}

/**
 * Keeps the server on the first core, and returns what to put before a client's
 * command to keep it on the others. Left alone, the two land on one core or on
 * two as the kernel likes, and the same client's round trip differs by a
 * factor of four.
 */
export async function pin(server: RedisServer): Promise<string[]> {
  const last = navigator.hardwareConcurrency - 1;
  if (last < 1) return [];
  try {
    await run(["taskset", "-a", "-p", "-c", "0", String(server.pid)]);
    return ["taskset", "-c", `1-${last}`];
  } catch {
    return [];
  }
}
