// The sockets that the system holds for this process. Linux only.

/** Whether sockets can be counted here: on Linux, and not with Deno 2.8.3, which closes no socket while a read is pending. */
export const canCountSockets: boolean = Deno.build.os === "linux" &&
  Deno.version.deno !== "2.8.3";

/** The timer of a socket that waits to ask whether its peer is alive. */
const KEEP_ALIVE = "02";

/** One socket of this process. */
export interface HeldSocket {
  /** In how many seconds its keep-alive is due, if it has one. */
  readonly keepAliveSeconds: number | undefined;
}

/** The sockets of this process that lead to a port of IPv4, not those that were accepted there. */
export function socketsTo(port: number): HeldSocket[] {
  const ours = new Set<string | undefined>();
  for (const { name } of Deno.readDirSync("/proc/self/fd")) {
    try {
      const link = Deno.readLinkSync(`/proc/self/fd/${name}`);
      ours.add(/^socket:\[(\d+)\]$/.exec(link)?.[1]);
    } catch {
      // Closed meanwhile.
    }
  }
  const remote = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return Deno.readTextFileSync("/proc/self/net/tcp").split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter((words) => words[2]?.endsWith(remote) && ours.has(words[9]))
    .map(([, , , , , timer = ""]) => ({
      keepAliveSeconds: timer.startsWith(KEEP_ALIVE)
        ? Number.parseInt(timer.slice(3), 16) / 100
        : undefined,
    }));
}
