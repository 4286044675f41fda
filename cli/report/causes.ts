// The names of causes on a page, and the settings that avoid them.
import type { CauseRow } from "../watch/json_lines.ts";
import type { Kind } from "./moments.ts";

const NAMES: Readonly<Record<string, string>> = {
  "idle-timeout": "idle timeout of the server",
  "client-kill": "CLIENT KILL",
  "restart": "restart of the server",
  "max-clients": "too many clients (maxclients)",
  "output-buffer-limit": "output buffer limit",
  "query-buffer-limit": "query buffer limit",
  "client-eviction": "client eviction (maxmemory-clients)",
  "protocol-error": "protocol error",
  "acl-change": "change of the ACL",
  "demotion": "demotion of the server",
  "failover": "failover",
  "middlebox": "something on the network path",
  "server-stall": "stalled server",
  "session-limit": "limit on the session's age",
};

/** A cause in words; several that fit are joined by "or". */
export const nameOfCause = (cause: string): string =>
  cause.split(" or ").map((one) => NAMES[one] ?? one).join(" or ");

/** What a cause is called that is not known, by whether the watch was frozen before. */
export const UNKNOWN = {
  false: "unknown",
  true: "unknown, after a freeze of the watch",
} as const;

/** Why connections of a kind ended, in words. */
export const causeOf = (
  { cause, frozenMs }: Pick<Kind, "cause" | "frozenMs">,
): string => cause === null ? UNKNOWN[`${frozenMs > 0}`] : nameOfCause(cause);

/** The advice, or what to do without one. */
export const adviceOr = (advice: string | null, afterFreeze: boolean): string =>
  advice ??
    (afterFreeze
      ? "watch on a machine that does not sleep"
      : "check the server's log, and proxies in between");

/** A setting of the client that avoids deaths. */
export interface Setting {
  readonly option: string;
  /** The value to set, in milliseconds. */
  readonly ms: number;
  /** Whether the client's default is as low already. */
  readonly isDefault: boolean;
}

/** What the client does by itself. */
const DEFAULTS_MS: Readonly<Record<string, number>> = {
  idleTimeoutMs: 230_000,
  maxAgeMs: 1_800_000,
};

/** The settings that the advice on causes names: of several values of one, the lowest. */
export function settingsOf(causes: readonly CauseRow[]): Setting[] {
  const lowest = new Map<string, number>();
  for (const { advice } of causes) {
    for (
      const [, option, below] of (advice ?? "").matchAll(
        /set (\w+) below (\d+)/g,
      )
    ) {
      lowest.set(
        option!,
        Math.min(Number(below), lowest.get(option!) ?? Infinity),
      );
    }
  }
  return Array.from(lowest, ([option, ms]) => ({
    option,
    ms,
    isDefault: ms >= (DEFAULTS_MS[option] ?? 0),
  }));
}
