// A name server that falls silent: a real one where this machine allows it, else a dial that never ends.
import { dial } from "../../pool/socket/dial.ts";
import type { Socket } from "../../pool/socket/socket.ts";
import { type SilentDns, startSilentDns } from "../support/silent_dns.ts";
import type { Scenario } from "./scenario.ts";
import type { Stage } from "./stage.ts";

type Row = Pick<Scenario, "fault" | "play"> & Partial<Scenario>;

const FAULT = "DNS answers nothing for 6 s";
/** Longer than a call with all its retries, even where the rest is short: events must be queued. */
const silence = (stage: Stage): Promise<void> => stage.wait(6000, 3500);
/**
 * A look-up cannot be called off: it holds one of Deno's 32 threads for up to
 * 10 s, and when all are held, reading a file has to wait.
 */
const MOST_THREADS = 16;

/**
 * Leads into a world with a network and files of its own, in which a name
 * server on this machine is the only one, and nobody else is asked for names.
 */
const OWN_NAMES = `
set -e
ip link set lo up
directory=$(mktemp -d)
echo "nameserver 127.0.0.1" >"$directory/resolv.conf"
echo "hosts: files dns" >"$directory/nsswitch.conf"
mount --bind "$directory/resolv.conf" /etc/resolv.conf
mount --bind "$directory/nsswitch.conf" /etc/nsswitch.conf
rm -rf "$directory"
exec "$@"
`;
const COMMAND = [
  "unshare",
  ...["--user", "--map-root-user", "--mount", "--net"],
  ...["sh", "-c", OWN_NAMES, "sh"],
];
/** Set in a process that is in that world already. */
const INSIDE = "FAULTS_OWN_NAMES";

function canHaveOwnNames(): boolean {
  if (Deno.env.get(INSIDE) !== undefined) return true;
  if (Deno.build.os !== "linux") return false;
  const [program, ...args] = COMMAND;
  try {
    return new Deno.Command(program!, { args: [...args, "true"] })
      .outputSync().success;
  } catch {
    return false; // no such program
  }
}

const threads = (): number => [...Deno.readDirSync("/proc/self/task")].length;

function real(): Row {
  let dns: SilentDns;
  return {
    fault: FAULT,
    alone: { command: COMMAND, env: { [INSIDE]: "1" } },
    hostname: "redis.test",
    async prepare(stage) {
      dns = stage.use(await startSilentDns());
    },
    async play(stage) {
      await stage.wait(1000);
      stage.away();
      const before = threads();
      dns.isSilent = true;
      await stage.proxy.killAll("fin");
      await silence(stage);
      const held = threads() - before;
      dns.isSilent = false;
      stage.back();
      if (dns.swallowed === 0) stage.complain("nobody has asked for a name");
      if (held > MOST_THREADS) {
        stage.complain(`${held} threads wait, ${MOST_THREADS} are allowed`);
      }
    },
  };
}

const simulated: Row = {
  fault: `${FAULT} (simulated)`,
  async play(stage) {
    await stage.wait(1000);
    stage.away();
    const { promise, reject } = Promise.withResolvers<Socket>();
    promise.catch(() => {});
    stage.dial = () => promise;
    await stage.proxy.killAll("fin");
    await silence(stage);
    stage.dial = dial;
    stage.back();
    reject(new Error("failed to lookup address information"));
  },
};

/** The row of the table, but for what every row has. */
export const dns: Row = canHaveOwnNames() ? real() : simulated;
