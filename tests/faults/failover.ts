// A primary that becomes the replica of its own replica, without losing a write.
import type { RedisServer } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";
import type { FaultFixture } from "./fixture.ts";

const SYNC_TIMEOUT_MS = 10_000;
const PAUSE_MS = 5000;

/** Starts a replica of the fixture's server and waits until it follows. */
export async function startReplica(fixture: FaultFixture): Promise<void> {
  const { hostname, port } = fixture.server;
  fixture.replica = await fixture.startServer({
    replicaof: `${hostname} ${port}`,
    "repl-diskless-sync-delay": 0,
  });
  await untilInStep(fixture);
}

/** Makes the primary a replica: it answers every write with READONLY from now on. */
export async function demote(fixture: FaultFixture): Promise<void> {
  const primary = fixture.server;
  const replica = replicaOf(fixture);
  // What was acknowledged must be on the replica, or the test would lose it.
  await primary.cli("CLIENT", "PAUSE", PAUSE_MS, "WRITE");
  await untilInStep(fixture);
  await primary.cli("REPLICAOF", replica.hostname, replica.port);
  await primary.cli("CLIENT", "UNPAUSE");
}

/** Makes the replica the primary; new connections lead to it, open ones to the old primary. */
export async function promote(fixture: FaultFixture): Promise<void> {
  const replica = replicaOf(fixture);
  await replica.cli("REPLICAOF", "NO", "ONE");
  fixture.truth = replica;
  fixture.proxy.retarget({ port: replica.port });
}

function replicaOf({ replica }: FaultFixture): RedisServer {
  if (replica === undefined) throw new Error("There is no replica");
  return replica;
}

/** Whether the replica follows and has every write of the primary. */
async function isInStep(fixture: FaultFixture): Promise<boolean> {
  const theirs = await replicaOf(fixture).cli("INFO", "replication");
  const ours = await fixture.server.cli("INFO", "replication");
  const [, offset] = /^slave_repl_offset:(\d+)/m.exec(theirs) ?? [];
  return /^master_link_status:up/m.test(theirs) &&
    ours.includes(`\nmaster_repl_offset:${offset}\r`);
}

const untilInStep = (fixture: FaultFixture): Promise<void> =>
  until(() => isInStep(fixture), "the replica follows", SYNC_TIMEOUT_MS);
