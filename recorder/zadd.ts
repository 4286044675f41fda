// The command that writes entries.
import type { Command } from "../resp/types.ts";
import type { Kept } from "./outbox.ts";

/**
 * The ZADD of entries that have the same key.
 *
 * @param entries One or more.
 * @param keepsLater Whether a member that is there already keeps the later of its two times.
 * @see {@link https://redis.io/docs/latest/commands/zadd/}
 */
export function zadd(entries: readonly Kept[], keepsLater = false): Command {
  const { key } = entries[0]!;
  const command: [string, ...(string | number)[]] = keepsLater
    ? ["ZADD", key, "GT"]
    : ["ZADD", key];
  for (const { score, members } of entries) {
    for (const member of members) command.push(score, member);
  }
  return command;
}
