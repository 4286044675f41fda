// Where a call goes in a cluster, by its keys.
import type { Command } from "../../resp/types.ts";
import { placeOf } from "../commands/place.ts";
import { rowOf } from "../commands/table.ts";
import type { Routed, Routing } from "./directory.ts";
import { hashSlotOf } from "./hash_slot.ts";
import type { Redirect } from "./redirect.ts";

/** The hash slot of a call without keys that any server can run. */
export const ANY_SERVER = -1;

/** Where a call goes first; `undefined` if it cannot be sent to a cluster. */
export function routingOf({ command, key }: Routed): Routing | undefined {
  if (command === undefined) {
    return key === undefined ? undefined : routingTo(hashSlotOf(key));
  }
  const place = placeOf(command);
  if (place === "any") return routingTo(ANY_SERVER);
  return "key" in place ? routingTo(hashSlotOf(place.key)) : undefined;
}

/** Where a call of a hash slot goes first. */
export const routingTo = (hashSlot: number): Routing => ({
  hashSlot,
  detour: undefined,
  redirects: 0,
});

/**
 * The hash slot of a command that is sent together with others.
 *
 * @returns {@linkcode ANY_SERVER} if it has no key.
 * @throws {TypeError} If each server answers it for itself.
 */
export function hashSlotOfCommand(command: Command): number {
  const place = placeOf(command);
  if (place === "any") return ANY_SERVER;
  if ("why" in place) throw new TypeError(place.why);
  return hashSlotOf(place.key);
}

/**
 * Why a call cannot be sent to a cluster.
 *
 * @param call A call for which {@linkcode routingOf} has no answer.
 * @param name The name of the cluster.
 */
export function refusalOf({ command }: Routed, name: string): TypeError {
  if (command === undefined) {
    return new TypeError(
      `Cannot lease a connection to ${name} without a key: expected lease({ key }), or a lease of one of redis.nodes()`,
    );
  }
  const place = placeOf(command);
  return new TypeError(
    place !== "any" && "why" in place
      ? place.why
      : `Cannot send ${command[0]} to ${name}`,
  );
}

/** Whether a redirect is the error of a command within a script, which has let it through: the script has run. */
export const isOfScript = (
  command: Command | undefined,
  { hashSlot }: Redirect,
  routing: Routing,
): boolean =>
  command !== undefined && rowOf(command).runs === "script" &&
  hashSlot !== routing.hashSlot;
