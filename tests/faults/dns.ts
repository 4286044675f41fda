// A name server that falls silent: a real one where this machine allows it, or else a dial that never ends.
import { delay } from "@std/async/delay";
import { type SilentDns, startSilentDns } from "../support/silent_dns.ts";
import type { Scenario } from "./scenario.ts";
import type { FaultFixture } from "./fixture.ts";

type Row = Pick<Scenario, "fault" | "run"> & Partial<Scenario>;

const FAULT = "DNS answers nothing for 6 s";
/** Longer than a call with all its retries, even where the rest is short: events must be queued. */
const silence = (fixture: FaultFixture): Promise<void> =>
  fixture.wait(6000, 3500);
/**
 * A look-up cannot be cancelled: it holds one of Deno's 32 threads for up to
 * 10 s, and when all are held, reading a file has to wait.
 */
const MOST_THREADS = 16;

/**
 * Runs a command in namespaces with a network and files of their own, where a
 * name server on this machine is the only one.
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
/** Set in a process that runs in those namespaces already. */
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

const threads = ({ host }: FaultFixture): number =>
  [...Deno.readDirSync(`/proc/${host?.pid ?? "self"}/task`)].length;

function real(): Row {
  let dns: SilentDns;
  return {
    fault: FAULT,
    subprocess: { command: COMMAND, env: { [INSIDE]: "1" } },
    hostname: "redis.test",
    async prepare(fixture) {
      dns = fixture.use(await startSilentDns());
    },
    async run(fixture) {
      await fixture.wait(1000);
      fixture.away();
      const before = threads(fixture);
      dns.isSilent = true;
      let isOver = false;
      const over = silence(fixture).then(() => isOver = true);
      // A dial that had its address before comes through after the first kill, and
      // where this machine is busy the load may be over by now.
      const asking: Promise<unknown>[] = [];
      do {
        await fixture.proxy.killAll("fin");
        asking.push(fixture.client.ping());
        await delay(20);
      } while (dns.swallowed === 0 && !isOver);
      await over;
      const held = threads(fixture) - before;
      dns.isSilent = false;
      fixture.back();
      await Promise.all(asking);
      if (dns.swallowed === 0) fixture.violate("the name server was not asked");
      if (held > MOST_THREADS) {
        fixture.violate(`${held} threads wait, ${MOST_THREADS} are allowed`);
      }
    },
  };
}

const simulated: Row = {
  fault: `${FAULT} (simulated)`,
  async run(fixture) {
    await fixture.wait(1000);
    fixture.away();
    await fixture.client.hangDials(true);
    await fixture.proxy.killAll("fin");
    await silence(fixture);
    fixture.back();
    await fixture.client.hangDials(false);
  },
};

/** The row of the table without the fields that every row has. */
export const dns: Row = canHaveOwnNames() ? real() : simulated;
