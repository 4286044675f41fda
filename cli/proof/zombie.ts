// Turns connections of the proof into zombies.
import { type Redis, ReplyError } from "../../mod.ts";
import type { Arguments, Method } from "./arguments.ts";
import { UsageError } from "../command_line.ts";
import type { LateSockets } from "./late_socket.ts";

/** A method to turn connections into zombies. */
export interface Zombies {
  readonly method: Method;
  /** Why it is not the first choice. */
  readonly reason: string | undefined;
  /** Makes the server close the only connection of a client, and waits until it has. */
  make(redis: Redis, sockets: LateSockets): Promise<void>;
  /** Makes the server close every connection of that client name. Returns how many. */
  makeAll(clientName: string, sockets: LateSockets): Promise<number>;
}

/** How long a server may take to close, in milliseconds. */
const CLOSE_MS = 5000;
/** An id that no connection has. */
const NO_ID = "9007199254740991";

/**
 * Chooses the method.
 *
 * @param method The method that was asked for.
 * @param admin A client whose own connections are not turned into zombies.
 * @throws {UsageError} If the server refuses the method asked for.
 */
export async function zombiesBy(
  method: Arguments["method"],
  admin: Redis,
): Promise<Zombies> {
  if (method === "shutdown") return byShutdown(undefined);
  const refusal = (await admin.pipeline([
    ["CLIENT", "ID"],
    ["CLIENT", "LIST"],
    ["CLIENT", "KILL", "ID", NO_ID],
  ])).find((reply) => reply instanceof ReplyError);
  if (refusal === undefined) return byKill(admin);
  const reason = `the server refuses CLIENT: ${refusal.message}`;
  if (method === "auto") return byShutdown(reason);
  throw new UsageError(
    `Cannot use --method kill: ${reason}; expected shutdown or auto`,
  );
}

const byKill = (admin: Redis): Zombies => ({
  method: "kill",
  reason: undefined,
  async make(redis, sockets) {
    await kill(admin, await redis.send(["CLIENT", "ID"]));
    await allEnded(sockets);
  },
  async makeAll(clientName, _sockets) {
    // The server may have other users: only connections with the name of this run.
    const ids = idsOf(await admin.send(["CLIENT", "LIST"]), clientName);
    const killed = await Promise.all(ids.map((id) => kill(admin, id)));
    return killed.reduce((sum, n) => sum + n, 0);
  },
});

const byShutdown = (reason: string | undefined): Zombies => ({
  method: "shutdown",
  reason,
  async make(_redis, sockets) {
    await Promise.all(sockets.open.map((socket) => socket.shutdown()));
    await allEnded(sockets);
  },
  async makeAll(_clientName, sockets) {
    const open = sockets.open;
    await Promise.allSettled(open.map((socket) => socket.shutdown()));
    return open.length;
  },
});

async function kill(admin: Redis, id: number): Promise<number> {
  const command = ["CLIENT", "KILL", "ID", id] as const;
  const killed = await admin.send(command, { replay: "always" });
  return killed === "OK" ? 1 : killed;
}

/** https://redis.io/docs/latest/commands/client-list/ */
function idsOf(list: string, clientName: string): number[] {
  return list.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const id = fields.find((field) => field.startsWith("id="))?.slice(3);
    const isOfRun = fields.includes(`name=${clientName}`);
    return isOfRun && id !== undefined ? [Number(id)] : [];
  });
}

async function allEnded(sockets: LateSockets): Promise<void> {
  const { promise: timeout, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() =>
    reject(
      new Error(
        `Cannot make a zombie: the server did not close the connection within ${CLOSE_MS} ms`,
      ),
    ), CLOSE_MS);
  try {
    const ended = Promise.all(sockets.open.map((socket) => socket.ended));
    await Promise.race([ended, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
