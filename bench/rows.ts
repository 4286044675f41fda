// Rows: the work of each row of the table, written once for every client.

import type { Client, WebhookEvent } from "./client.ts";
import { bulkLength, encode, encodeAll } from "./wire.ts";

/** What the floor does for one step: write each request, wait for its reply. */
export interface FloorWork {
  /** Written one after the other, each when the one before is answered. */
  requests: Uint8Array<ArrayBuffer>[];
  /** Line ends in the reply to one request; 0 when `bytes` counts instead. */
  lines: number;
  /** Bytes in the reply to one request. */
  bytes: number;
  /** Makes the members of the next step new ones, in place. */
  freshen?(): void;
}

/** One row: what a step does, and how much of what it is. */
export interface Row {
  name: string;
  title: string;
  unit: "op/s" | "event/s" | "MB/s" | "element/s";
  tls: boolean;
  /**
   * Whether the client has to keep off the server's core, because waking each
   * other is most of the work. Elsewhere it may use every core, as its garbage
   * collector would like to.
   */
  apart: boolean;
  /** Units in one step. */
  units: number;
  /** What must be in Redis beforehand. */
  seed: string[][];
  step(client: Client): Promise<unknown>;
  /** Throws if the client's answers are not the right ones. */
  check(client: Client): Promise<void>;
  floor(): FloorWork;
}

const KEY = "bench:zset";
const SCORE = "1700000000";
const BULK = "bench:bulk";
const LIST = "bench:list";
const BURST = 1000;
const CALLERS = 64;
const ROUND_TRIPS = 100;
const MEBIBYTE = 1024 * 1024;
const ELEMENTS = 10_000;
/** As many bytes as a UUID. */
const MEMBER_ABROAD = "é".repeat(18);
const SHOPS = 50;

/** The same UUIDs in every process: a counter in the clothes of a version 4. */
function uuid(n: number): string {
  const mixed = (Math.imul(n + 1, 0x9e3779b1) >>> 0).toString(16);
  const head = mixed.padStart(8, "0");
  return `${head}-5eed-4000-8000-${n.toString(16).padStart(12, "0")}`;
}

const members = Array.from({ length: BURST }, (_, n) => uuid(n));
const text = "webhook-event-payload,".repeat(MEBIBYTE / 22 + 1)
  .slice(0, MEBIBYTE);
const events: WebhookEvent[] = Array.from({ length: BURST }, (_, n) => ({
  mallId: `mall${n % SHOPS}`,
  shopNo: 1 + n % SHOPS,
  eventType: "order_created",
}));
const eventKeys = events.map((e) =>
  `webhook_frequency_${e.mallId}_${e.shopNo}_${e.eventType}`
);

function zaddCommand(member: string): string[] {
  return ["ZADD", KEY, SCORE, member];
}

async function checkZadd(client: Client): Promise<void> {
  const reply = await client.zadd(KEY, SCORE, members[0]!);
  if (reply !== 0 && reply !== 1) {
    throw new Error(`Cannot count ZADD: the reply was ${String(reply)}`);
  }
}

function must(right: boolean, what: string): void {
  if (!right) throw new Error(`Cannot trust this client: wrong ${what}`);
}

function one(tls: boolean): Row {
  return {
    name: tls ? "tls-one" : "one",
    title: tls ? "one at a time, TLS" : "one at a time",
    unit: "op/s",
    tls,
    apart: true,
    units: ROUND_TRIPS,
    seed: [],
    async step(client) {
      for (let n = 0; n < ROUND_TRIPS; n++) {
        await client.zadd(KEY, SCORE, members[n]!);
      }
    },
    check: checkZadd,
    floor: () => ({
      requests: members.slice(0, ROUND_TRIPS).map((m) =>
        encode(zaddCommand(m))
      ),
      lines: 1,
      bytes: 0,
    }),
  };
}

function callers(tls: boolean): Row {
  return {
    name: tls ? "tls-callers" : "callers",
    title: tls ? "64 callers, TLS" : "64 callers",
    unit: "op/s",
    tls,
    apart: true,
    units: CALLERS * ROUND_TRIPS,
    seed: [],
    step(client) {
      const running = new Array<Promise<void>>(CALLERS);
      for (let c = 0; c < CALLERS; c++) running[c] = caller(client, c);
      return Promise.all(running);
    },
    check: checkZadd,
    floor: () => ({
      requests: Array.from({ length: ROUND_TRIPS }, (_, n) =>
        encodeAll(
          Array.from(
            { length: CALLERS },
            (_, c) => zaddCommand(memberOf(c, n)),
          ),
        )),
      lines: CALLERS,
      bytes: 0,
    }),
  };
}

/** As many callers, of whom one in every turn has a member that is not ASCII. */
const accent: Row = {
  ...callers(false),
  name: "accent",
  title: "64 callers, one not ASCII",
  step(client) {
    const running = new Array<Promise<void>>(CALLERS);
    for (let c = 0; c < CALLERS; c++) {
      running[c] = c === CALLERS / 2 ? callerAbroad(client) : caller(client, c);
    }
    return Promise.all(running);
  },
  floor: () => ({
    requests: Array.from({ length: ROUND_TRIPS }, (_, n) =>
      encodeAll(
        Array.from(
          { length: CALLERS },
          (_, c) =>
            zaddCommand(c === CALLERS / 2 ? MEMBER_ABROAD : memberOf(c, n)),
        ),
      )),
    lines: CALLERS,
    bytes: 0,
  }),
};

async function callerAbroad(client: Client): Promise<void> {
  for (let n = 0; n < ROUND_TRIPS; n++) {
    await client.zadd(KEY, SCORE, MEMBER_ABROAD);
  }
}

function memberOf(caller: number, turn: number): string {
  return members[(caller * ROUND_TRIPS + turn) % BURST]!;
}

async function caller(client: Client, c: number): Promise<void> {
  for (let n = 0; n < ROUND_TRIPS; n++) {
    await client.zadd(KEY, SCORE, memberOf(c, n));
  }
}

function bursts(tls: boolean): Row {
  return {
    name: tls ? "tls-bursts" : "bursts",
    title: tls ? "bursts of 1000, TLS" : "bursts of 1000",
    unit: "op/s",
    tls,
    apart: false,
    units: BURST,
    seed: [],
    step(client) {
      const replies = new Array<Promise<unknown>>(BURST);
      for (let n = 0; n < BURST; n++) {
        replies[n] = client.zadd(KEY, SCORE, members[n]!);
      }
      return Promise.all(replies);
    },
    check: checkZadd,
    floor: () => ({
      requests: [encodeAll(members.map(zaddCommand))],
      lines: BURST,
      bytes: 0,
    }),
  };
}

function get(tls: boolean): Row {
  return {
    name: tls ? "tls-get" : "get",
    title: tls ? "GET 1 MB as bytes, TLS" : "GET 1 MB as bytes",
    unit: "MB/s",
    tls,
    apart: false,
    units: MEBIBYTE / 1e6,
    seed: [["SET", BULK, text]],
    step: (client) => client.getBytes(BULK),
    async check(client) {
      const bytes = await client.getBytes(BULK);
      must(bytes instanceof Uint8Array, "type of GET");
      must(new TextDecoder().decode(bytes) === text, "bytes of GET");
    },
    floor: floorOfGet,
  };
}

function floorOfGet(): FloorWork {
  return {
    requests: [encode(["GET", BULK])],
    lines: 0,
    bytes: bulkLength(MEBIBYTE),
  };
}

const getText: Row = {
  name: "get-text",
  title: "GET 1 MB as text",
  unit: "MB/s",
  tls: false,
  apart: false,
  units: MEBIBYTE / 1e6,
  seed: [["SET", BULK, text]],
  step: (client) => client.getText(BULK),
  async check(client) {
    must(await client.getText(BULK) === text, "text of GET");
  },
  floor: floorOfGet,
};

const elements = Array.from({ length: ELEMENTS }, (_, n) => uuid(n));

const lrange: Row = {
  name: "lrange",
  title: "LRANGE 10k",
  unit: "element/s",
  tls: false,
  apart: false,
  units: ELEMENTS,
  seed: [["RPUSH", LIST, ...elements]],
  step: (client) => client.lrange(LIST),
  async check(client) {
    const got = await client.lrange(LIST);
    must(Array.isArray(got) && got.length === ELEMENTS, "length of LRANGE");
    must(
      elements.every((e, n) => e === (got as unknown[])[n]),
      "elements of LRANGE",
    );
  },
  floor: () => ({
    requests: [encode(["LRANGE", LIST, "0", "-1"])],
    lines: 0,
    bytes: `*${ELEMENTS}\r\n`.length + ELEMENTS * bulkLength(36),
  }),
};

/** Events as single ZADDs: what `record()` has to beat. Every member is new. */
const eventZadds: Row = {
  name: "events",
  title: "events, single ZADDs",
  unit: "event/s",
  tls: false,
  apart: false,
  units: BURST,
  seed: [],
  step(client) {
    const replies = new Array<Promise<unknown>>(BURST);
    for (let n = 0; n < BURST; n++) {
      const score = String(Math.floor(Date.now() / 1000));
      replies[n] = client.zadd(eventKeys[n]!, score, crypto.randomUUID());
    }
    return Promise.all(replies);
  },
  check: checkZadd,
  floor: floorOfEvents,
};

const record: Row = {
  ...eventZadds,
  name: "record",
  title: "events, record()",
  step(client) {
    const outcomes = new Array<Promise<unknown>>(BURST);
    for (let n = 0; n < BURST; n++) {
      outcomes[n] = client.record!(events[n]!);
    }
    return Promise.all(outcomes);
  },
  async check(client) {
    const outcome = await client.record!(events[0]!) as { status: string };
    must(outcome.status === "recorded", "outcome of record()");
  },
};

function floorOfEvents(): FloorWork {
  const commands = eventKeys.map((key, n) => ["ZADD", key, SCORE, uuid(n)]);
  const request = encodeAll(commands);
  const memberAt: number[] = [];
  let at = 0;
  for (const command of commands) {
    at += encode(command).length;
    memberAt.push(at - 38);
  }
  let step = 0;
  return {
    requests: [request],
    lines: BURST,
    bytes: 0,
    freshen() {
      // The first eight characters of every member, with the step's number.
      const digits = (step++).toString(16).padStart(8, "0");
      for (let d = 0; d < 8; d++) {
        const byte = digits.charCodeAt(d);
        for (let n = 0; n < BURST; n++) request[memberAt[n]! + d] = byte;
      }
    },
  };
}

/** Every row with work inside one process, in the order of the table. */
export const rows: readonly Row[] = [
  one(false),
  callers(false),
  accent,
  bursts(false),
  get(false),
  getText,
  lrange,
  one(true),
  callers(true),
  bursts(true),
  get(true),
  eventZadds,
  record,
];
