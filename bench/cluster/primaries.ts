// Primaries: a cluster without replicas, for measuring what it does while nothing fails.

import { delay } from "@std/async/delay";
import { PlainConnection } from "../../cli/plain_commands.ts";
import { type RedisServer, startRedis } from "../../cli/redis_server.ts";

const HASH_SLOTS = 16_384;
/** Below the ports that the system gives to outgoing connections; the bus is 10,000 above. */
const FIRST_PORT = 22_000;
const LAST_PORT = 32_000;
const START_ATTEMPTS = 20;
const POLL_MS = 50;
const FORM_TIMEOUT_MS = 20_000;

/** Primaries that hold the hash slots in equal parts, and end together. */
export async function startPrimaries(
  count: number,
): Promise<AsyncDisposable & { readonly servers: readonly RedisServer[] }> {
  await using started = new AsyncDisposableStack();
  const servers: RedisServer[] = [];
  for (let n = 0; n < count; n++) servers.push(started.use(await startNode()));
  for (const [n, server] of servers.entries()) {
    const first = Math.ceil(HASH_SLOTS / count * n);
    const last = Math.ceil(HASH_SLOTS / count * (n + 1)) - 1;
    await server.cli("CLUSTER", "ADDSLOTSRANGE", first, last);
    await server.cli("CLUSTER", "SET-CONFIG-EPOCH", n + 1);
  }
  for (const { hostname, port } of servers) {
    await servers[0]!.cli("CLUSTER", "MEET", hostname, port);
  }
  const deadline = performance.now() + FORM_TIMEOUT_MS;
  for (const server of servers) {
    while (!await isReady(server, count)) {
      if (performance.now() > deadline) {
        throw new Error("Cannot measure: the servers form no cluster");
      }
      await delay(POLL_MS);
    }
  }
  const owned = started.move();
  return { servers, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

async function isReady({ port }: RedisServer, count: number): Promise<boolean> {
  using connection = await PlainConnection.open(port);
  const info = await connection.run(["CLUSTER", "INFO"]);
  return info.includes("cluster_state:ok") &&
    info.includes(`cluster_size:${count}`);
}

async function startNode(): Promise<RedisServer> {
  for (let attempt = 1;; attempt++) {
    const port = FIRST_PORT +
      Math.floor(Math.random() * (LAST_PORT - FIRST_PORT));
    try {
      return await startRedis({ port, config: { "cluster-enabled": "yes" } });
    } catch (error) {
      if (attempt === START_ATTEMPTS) throw error;
    }
  }
}
