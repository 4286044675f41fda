// The life lines of a watch: when each of its places had a connection.
import type { DeathEvent, StartEvent } from "../watch/json_lines.ts";
import type { Role } from "../watch/watch_slot.ts";

/** One connection, from its opening to its end. Times are Unix times in milliseconds. */
export interface Life {
  readonly connection: number;
  readonly from: number;
  /** `undefined` while it is open. */
  to?: number;
  /** Whether it ended by itself, and not because the watch did. */
  isDead: boolean;
}

/** The connections that had the same place, one after the other. */
export interface Line {
  readonly slot: number;
  readonly role: Role;
  /** How often they were used, in milliseconds; `null`: never. */
  readonly usedEveryMs: number | null;
  readonly lives: Life[];
}

/** The life lines of one server. */
export class Lines {
  readonly #lines: Line[];
  /** Whether there are open events: version 0.1.0 wrote none. */
  #hasOpens = false;

  constructor({ connections, at }: StartEvent) {
    this.#lines = connections.map(({ role, usedEveryMs }, i) => ({
      slot: i + 1,
      role,
      usedEveryMs,
      lives: [{ connection: i + 1, from: Date.parse(at), isDead: false }],
    }));
  }

  /** All lines, by their places. */
  get all(): readonly Line[] {
    return this.#lines;
  }

  /** A connection was opened. */
  open(slot: number, connection: number, at: number): void {
    const line = this.#lines[slot - 1];
    if (line === undefined) return;
    if (!this.#hasOpens) { // what was assumed is known now
      this.#hasOpens = true;
      for (const { lives } of this.#lines) lives.length = 0;
    }
    line.lives.push({ connection, from: at, isDead: false });
  }

  /** A connection has ended. */
  end(death: DeathEvent): void {
    const at = Date.parse(death.at);
    const line = this.#lineOf(death);
    if (line === undefined) return;
    const life = line.lives.findLast(({ connection }) =>
      connection === death.connection
    );
    if (life !== undefined) {
      life.to = at;
      life.isDead = true;
    } else {
      const { connection, ageMs } = death;
      line.lives.push({
        connection,
        from: at - ageMs,
        to: at,
        isDead: true,
      });
    }
  }

  /** The watch has ended, and with it what is open. */
  stop(at: number): void {
    for (const { lives } of this.#lines) {
      const last = lives.at(-1);
      if (last !== undefined) last.to ??= at;
    }
  }

  /** The line of a death. Without its place: one of the same kind that had no other connection at the time. */
  #lineOf(death: DeathEvent): Line | undefined {
    const { slot, connection, role, usedEveryMs, at, ageMs } = death;
    if (slot !== undefined) return this.#lines[slot - 1];
    const from = Date.parse(at) - ageMs;
    const alike = this.#lines.filter((line) =>
      line.role === role && line.usedEveryMs === usedEveryMs
    );
    return alike.find(({ lives }) =>
      lives.some((life) => life.connection === connection && !life.isDead)
    ) ??
      alike.find(({ lives }) => lives.every(({ to }) => to && to <= from)) ??
      alike[0];
  }
}
