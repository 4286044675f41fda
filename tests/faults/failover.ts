// A primary that becomes the replica of its own replica, without losing a write.
import { delay } from "@std/async/delay";
import type { RedisServer } from "../support/redis_server.ts";
import type { Stage } from "./stage.ts";

const SYNC_TIMEOUT_MS = 10_000;
const PAUSE_MS = 5000;

/** Starts a replica of the stage's server and waits until it follows. */
export async function startReplica(stage: Stage): Promise<void> {
  const { hostname, port } = stage.server;
  stage.replica = await stage.startServer({
    replicaof: `${hostname} ${port}`,
    "repl-diskless-sync-delay": 0,
  });
  await until(() => isInStep(stage));
}

/** Makes the primary a replica: it answers every write with READONLY from now on. */
export async function demote(stage: Stage): Promise<void> {
  const primary = stage.server;
  const replica = replicaOf(stage);
  // What was acknowledged must be on the replica, or the test would lose it.
  await primary.cli("CLIENT", "PAUSE", PAUSE_MS, "WRITE");
  await until(() => isInStep(stage));
  await primary.cli("REPLICAOF", replica.hostname, replica.port);
  await primary.cli("CLIENT", "UNPAUSE");
}

/** Makes the replica the primary and leads new connections to it; open ones stay where they are. */
export async function promote(stage: Stage): Promise<void> {
  const replica = replicaOf(stage);
  await replica.cli("REPLICAOF", "NO", "ONE");
  stage.truth = replica;
  stage.proxy.retarget({ port: replica.port });
}

function replicaOf({ replica }: Stage): RedisServer {
  if (replica === undefined) throw new Error("There is no replica");
  return replica;
}

/** Whether the replica follows and has every write of the primary. */
async function isInStep(stage: Stage): Promise<boolean> {
  const theirs = await replicaOf(stage).cli("INFO", "replication");
  const ours = await stage.server.cli("INFO", "replication");
  const [, offset] = /^slave_repl_offset:(\d+)/m.exec(theirs) ?? [];
  return /^master_link_status:up/m.test(theirs) &&
    ours.includes(`\nmaster_repl_offset:${offset}\r`);
}

async function until(test: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + SYNC_TIMEOUT_MS;
  while (!await test()) {
    if (Date.now() > giveUpAt) throw new Error("The replica does not follow");
    await delay(5);
  }
}
