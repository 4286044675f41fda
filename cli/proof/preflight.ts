// Checks first that the server runs the commands of the proof on its keys.
import { type Command, type Redis, ReplyError } from "../../mod.ts";
import { UsageError } from "../command_line.ts";

/** Every key of a run begins with this and an id of the run. */
export const KEY_PREFIX = "unzombie_verify_";

/** When a key expires that cannot be deleted, in seconds. */
const EXPIRE_SECONDS = 60;

/** The commands of a request. */
const onRequestKey = (key: string): Command[] => [
  ["PING"],
  ["SET", key, "1", "EX", EXPIRE_SECONDS],
  ["GET", key],
  ["DEL", key],
];

/** The commands of a recorder with a retention, and those that count and delete its events. */
const onEventKey = (key: string): Command[] => [
  ["ZADD", key, 1, "1"],
  ["EXPIRE", key, EXPIRE_SECONDS],
  ["ZREMRANGEBYSCORE", key, "-inf", "(1"],
  ["ZCARD", key],
  ["DEL", key],
];

const COMMANDS = [...onRequestKey(""), ...onEventKey("")];

/** The ACL rules that a user needs. */
export const GRANT = [
  `~${KEY_PREFIX}*`,
  ...new Set(COMMANDS.map(([name]) => `+${name.toLowerCase()}`)),
].join(" ");

/** How many hash tags are tried at once, and how often. */
const TAGS = 1000, ROUNDS = 10;

/**
 * The prefix of the keys of a run. Its hash tag puts all of them in one hash slot;
 * on a node of a cluster, in one that the node holds, if there is one.
 */
export async function heldPrefix(
  redis: Redis,
  signal: AbortSignal,
): Promise<string> {
  const newPrefix = () => `${KEY_PREFIX}{${crypto.randomUUID()}}_`;
  let prefixes = [newPrefix()];
  for (let round = 0; round <= ROUNDS; round++) {
    // Without the PING a server that is down would be asked again, for seconds.
    const [, ...replies] = await redis.pipeline([
      ["PING"],
      ...prefixes.map((prefix) => ["GET", `${prefix}request`] as const),
    ], { signal });
    const held = prefixes.find((_, i) => {
      const reply = replies[i];
      return !(reply instanceof ReplyError) || reply.code !== "MOVED";
    });
    if (held !== undefined) return held;
    prefixes = Array.from({ length: TAGS }, newPrefix);
  }
  return prefixes[0]!; // the commands will be refused
}

/** The keys of a run. */
export interface Keys {
  readonly request: string;
  readonly events: readonly string[];
}

/**
 * Runs each command once on each key that it will be used on.
 *
 * @throws {UsageError} If the server refuses one of them. The message says which, why, and what to do.
 */
export async function checkCommands(
  redis: Redis,
  endpoint: string,
  { request, events }: Keys,
  signal: AbortSignal,
): Promise<void> {
  const commands = [...onRequestKey(request), ...events.flatMap(onEventKey)];
  const replies = await redis.pipeline(commands, { signal });
  const refused = replies.flatMap((reply, i) =>
    reply instanceof ReplyError ? [[commands[i]![0], reply] as const] : []
  );
  const [first] = refused;
  if (first === undefined) return;
  const names = [...new Set(refused.map(([name]) => name))].join(", ");
  const advice = await adviceOn(first[1], redis);
  throw new UsageError(
    `Cannot run the proof on ${endpoint}: the server refuses ${names}: ` +
      `${first[1].message.replace(NOT_HERE, "")}; ${advice}`,
  );
}

/** The end of a text that another advice follows. The proof is made on one node of a cluster. */
const NOT_HERE = /\.$|; this server is a node of a cluster: .*$/;

/** https://redis.io/docs/latest/develop/reference/protocol-spec/#simple-errors */
async function adviceOn(
  { code }: ReplyError,
  redis: Redis,
): Promise<string> {
  switch (code) {
    case "NOPERM":
      return `grant the user ${GRANT} (ACL SETUSER), or name another user`;
    case "READONLY":
      return `this is a replica, name its primary${await primaryOf(redis)}`;
    case "OOM":
      return "raise its maxmemory or free some of it, or name another server";
    case "MOVED":
    case "CLUSTERDOWN":
      return "this node of the cluster holds no hash slots that can be used, name a primary that holds some";
    case "ASK":
      return "try again, a hash slot is on its way to another node of the cluster";
    case "MISCONF":
    case "NOREPLICAS":
      return "it accepts no writes now: repair it, or name another server";
    default:
      return "name a server that runs them, or a user that may run them";
  }
}

/** ` (host:port)`, or nothing if the server does not say. */
async function primaryOf(redis: Redis): Promise<string> {
  const role = await redis.send(["ROLE"]).catch(() => undefined);
  return Array.isArray(role) && role[0] === "slave"
    ? ` (${role[1]}:${role[2]})`
    : "";
}
