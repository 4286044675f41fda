// A post-mortem on a server of literal replies, since real ones cannot be made to hold still.
import { delay } from "@std/async/delay";
import { type CloseReport, type Reply, ReplyError } from "../../../mod.ts";
import type { ConnectionFacts } from "../../../pool/connection/push_right.ts";
import { PostMortem } from "../../../pool/forensics/post_mortem.ts";
import type { Source } from "../../../pool/forensics/server_probe.ts";
import type { Verdict } from "../../../pool/forensics/verdict.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** When connections of the tests end. */
export const NOW = Date.now();

/** A connection that was closed by the server while a reply was owed, with changes. */
export const report = (more: Partial<CloseReport> = {}): CloseReport => ({
  by: "server",
  how: "fin",
  during: "awaiting-reply",
  cause: undefined,
  endpoint: "redis.example:6379",
  connection: 1,
  clientId: 7,
  closedAt: NOW,
  ageMs: 60_000,
  idleMs: 10,
  silentMs: 10,
  owedMs: 0,
  commandsServed: 1,
  bytesIn: 1,
  bytesOut: 1,
  inFlight: 1,
  firstInFlight: { name: "GET", args: 1 },
  replyBytes: 0,
  ...more,
});

/** A server whose replies are set by hand, and a post-mortem on it with a clock of its own. */
export class Stage {
  at = NOW - 60_000;
  info: Record<string, string | number> = { run_id: "r1" };
  /** What else it answers; `undefined` refuses. */
  readonly replies: Record<string, Reply | undefined> = {
    "CONFIG GET": [],
    "CLIENT LIST": "",
    "SLOWLOG GET": [],
    "LATENCY LATEST": [],
  };
  readonly asked: string[] = [];
  readonly postMortem: PostMortem;
  #opened = 0;

  constructor(minIntervalMs = 0) {
    this.postMortem = new PostMortem({ minIntervalMs, now: () => this.at });
  }

  connect(more: Partial<ConnectionFacts> = {}): Mutable<ConnectionFacts> {
    return {
      number: ++this.#opened,
      openedAt: performance.now() - 60_000,
      identity: { version: "7.0.15" },
      report: undefined,
      heardAt: performance.now() - 60_000,
      dialMs: 2,
      isLoginDue: false,
      ...more,
    };
  }

  source(connection: ConnectionFacts): Source {
    return {
      connection,
      ask: (command) => {
        const [name, part] = command;
        const probe = name === "INFO" ? "INFO" : `${name} ${part}`;
        this.asked.push(probe);
        if (probe === "INFO") {
          return Promise.resolve(
            Object.entries(this.info).map((pair) => pair.join(":")).join(
              "\r\n",
            ),
          );
        }
        return Promise.resolve(
          this.replies[probe] ?? new ReplyError("ERR unknown command"),
        );
      },
    };
  }

  async takeBaseline(connection: ConnectionFacts, at: number): Promise<void> {
    this.at = at;
    this.postMortem.takeBaseline(this.source(connection));
    await delay(0);
  }

  async why(
    how: CloseReport,
    ended: ConnectionFacts,
    fresh: ConnectionFacts = this.connect(),
  ): Promise<Verdict> {
    this.at = Math.max(this.at, NOW + 1000);
    const verdict = await this.postMortem
      .investigate(how, ended, this.source(fresh));
    if (typeof verdict === "string") throw new Error(verdict);
    return verdict;
  }
}

/** INFO of a server that has run so many CLIENT KILL. */
export const kills = (calls: number) => ({
  run_id: "r1",
  "cmdstat_client|kill": `calls=${calls}`,
});
