// The connections of a watch, as the server lists them.
import type { RedisServer } from "../../support/redis_server.ts";

/** The client name of a watch. */
export const NAME = "unzombie-watch";

/** The server's ids of the connections of a watch. */
export async function idsOf(server: RedisServer): Promise<string[]> {
  const list = await server.cli("CLIENT", "LIST");
  return list.split("\n").filter((line) => line.includes(` name=${NAME} `))
    .map((line) => /^id=(\d+)/.exec(line)![1]!);
}
