// That the examples for observability run and tell what they promise.

import "../support/strict.ts";
import {
  assert,
  assertArrayIncludes,
  assertEquals,
  assertGreater,
} from "@std/assert";
import { importFlags } from "../support/imports.ts";
import { startRedis } from "../support/redis_server.ts";
import { until } from "../support/wait.ts";

const OPENTELEMETRY = new URL(
  "../../examples/opentelemetry.ts",
  import.meta.url,
);
const LOG_LINES = new URL("../../examples/log_lines.ts", import.meta.url);
const PATIENCE_MS = 20_000;
/** How a killed connection ends: RST if a command is on its way to the server. */
const ENDS = ["fin", "rst"];

interface Span {
  readonly name: string;
  readonly kind: number;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly status: { readonly code: number; readonly message: string };
  readonly attributes: Record<string, unknown>;
}

type Pairs = { key: string; value: Record<string, unknown> }[];

interface Points {
  readonly dataPoints?: {
    readonly attributes: Pairs;
    readonly asInt?: string;
    readonly asDouble?: number;
    readonly count?: string;
  }[];
}

/** https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding */
interface Otlp {
  readonly resourceSpans?: {
    readonly scopeSpans: {
      readonly spans: (Omit<Span, "attributes"> & { attributes: Pairs })[];
    }[];
  }[];
  readonly resourceMetrics?: {
    readonly scopeMetrics: {
      readonly metrics: {
        readonly name: string;
        readonly unit: string;
        readonly sum?: Points;
        readonly gauge?: Points;
        readonly histogram?: Points;
      }[];
    }[];
  }[];
}

interface Metric {
  readonly unit: string;
  /** Of each data point. */
  readonly points: { attributes: Record<string, unknown>; value: number }[];
}

/** The little of an OpenTelemetry collector that a test needs: OTLP as JSON. */
class Collector implements AsyncDisposable {
  readonly spans = new Map<string, Span>();
  /** By name; the last export counts. */
  readonly metrics = new Map<string, Metric>();
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor() {
    this.#server = Deno.serve(
      { hostname: "127.0.0.1", port: 0, onListen() {} },
      async (request) => {
        this.#take(await request.json());
        return Response.json({});
      },
    );
  }

  /** For the process to be observed. */
  get env(): Record<string, string> {
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${this.#server.addr.port}`,
      OTEL_METRIC_EXPORT_INTERVAL: "50",
    };
  }

  #take({ resourceSpans = [], resourceMetrics = [] }: Otlp): void {
    for (const { scopeSpans } of resourceSpans) {
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          const attributes = attributesOf(span.attributes);
          this.spans.set(span.spanId, { ...span, attributes });
        }
      }
    }
    for (const { scopeMetrics } of resourceMetrics) {
      for (const { metrics } of scopeMetrics) {
        for (const { name, unit, sum, gauge, histogram } of metrics) {
          const { dataPoints = [] } = sum ?? gauge ?? histogram ?? {};
          const points = dataPoints.map((point) => ({
            attributes: attributesOf(point.attributes),
            value: Number(point.asInt ?? point.asDouble ?? point.count),
          }));
          this.metrics.set(name, { unit, points });
        }
      }
    }
  }

  /** The value of a metric, of all its points that have these attributes. */
  valueOf(name: string, attributes: Record<string, unknown> = {}): number {
    return (this.metrics.get(name)?.points ?? [])
      .filter((point) =>
        Object.entries(attributes)
          .every(([key, value]) => point.attributes[key] === value)
      )
      .reduce((sum, { value }) => sum + value, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

/** A key that is there twice, which OTLP forbids, gets no value that a test expects. */
function attributesOf(pairs: Pairs): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  for (const { key, value } of pairs) {
    attributes[key] = key in attributes
      ? "there twice"
      : Object.values(value)[0];
  }
  return attributes;
}

/** Runs a program until it ends; its standard input ends with `enough`. */
async function run(
  args: readonly string[],
  env: Record<string, string>,
  enough?: Promise<void>,
): Promise<string> {
  const process = new Deno.Command(Deno.execPath(), {
    args: [args[0]!, "--quiet", ...importFlags, ...args.slice(1)],
    env: { NO_COLOR: "1", ...env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const [{ success }, output, log] = await Promise.all([
    process.status,
    new Response(process.stdout).text(),
    new Response(process.stderr).text(),
    Promise.resolve(enough).then(() => process.stdin.close()).catch(() => {}),
  ]);
  assertEquals({ success, log }, { success: true, log: "" });
  return output;
}

const path = (url: URL) => decodeURIComponent(url.pathname);

Deno.test("OpenTelemetry example makes a span of each command and metrics of the pool", async () => {
  await using server = await startRedis();
  await using collector = new Collector();
  const output = await run(
    [
      "run",
      "--no-prompt",
      "--allow-net",
      "--allow-env=REDIS_URL",
      path(OPENTELEMETRY),
    ],
    { REDIS_URL: server.url, ...collector.env },
  );
  assertEquals(
    output.split(": ")[0],
    "3\nConnectionClosedError",
    output,
  );
  const places = () => [...collector.spans.values()];
  await until(
    () =>
      places().some(({ name }) => name === "webhook") &&
      collector.metrics.has("unzombie.connection.closed"),
    "the spans and metrics of the program",
    PATIENCE_MS,
  );

  const root = places().find(({ name }) => name === "webhook");
  assert(root !== undefined);
  const commands = places().filter((span) => span !== root);
  const isOfPipeline = ({ name }: Span) => name.startsWith("PIPELINE");
  assertEquals(
    commands.filter((span) => !isOfPipeline(span)).map(({ name }) => name)
      .sort(),
    ["CLIENT", "CLIENT", "PING", "ZADD", "ZADD", "ZADD", "ZCOUNT"],
  );
  // What trims the set, once or more, after TIME. No caller waits for it.
  const pipelines = commands.filter(isOfPipeline);
  const sizeOf = ({ attributes }: Span) =>
    attributes["db.operation.batch.size"];
  assertArrayIncludes(pipelines.map(({ name }) => name), [
    "PIPELINE TIME",
    "PIPELINE",
  ]);
  for (const span of pipelines) {
    assertEquals(sizeOf(span), span.name === "PIPELINE" ? 2 : undefined);
  }
  for (const span of commands) {
    const { name, kind, parentSpanId, status, attributes } = span;
    assertEquals(kind, 3, "CLIENT");
    if (!isOfPipeline(span)) assertEquals(parentSpanId, root.spanId);
    const isLost = name === "PING";
    assertEquals(status.code, isLost ? 2 : 0);
    assertEquals(attributes, {
      "db.system.name": "redis",
      "db.namespace": "0",
      "server.address": "127.0.0.1",
      "server.port": server.port,
      "db.operation.name": name,
      ...(name === "PIPELINE"
        ? { "db.operation.batch.size": sizeOf(span) }
        : {}),
      ...(isLost ? { "error.type": "ConnectionClosedError" } : {}),
    });
  }

  const units = Object.fromEntries(
    [...collector.metrics].map(([name, { unit }]) => [name, unit]),
  );
  const seconds = ["operation.duration", "connection.create_time"];
  for (const name of [...seconds, "connection.wait_time"]) {
    assertEquals(units[`db.client.${name}`], "s", name);
  }
  const duration = "db.client.operation.duration";
  assertEquals(collector.valueOf(duration), commands.length);
  const lost = { "error.type": "ConnectionClosedError" };
  assertEquals(collector.valueOf(duration, lost), 1);
  const closed = "unzombie.connection.closed";
  const reasons = ENDS.map((reason) =>
    collector.valueOf(closed, { "unzombie.reason": reason })
  );
  assertEquals(reasons.sort(), [0, 1]);
});

Deno.test("OpenTelemetry example shows connections, waits, retries and the outbox of a service", async () => {
  await using server = await startRedis();
  await using collector = new Collector();
  const from = (path: URL | string) =>
    JSON.stringify(import.meta.resolve(`${path}`));
  const { promise: enough, resolve: stop } = Promise.withResolvers<void>();
  const service = run(
    [
      "eval",
      `
      import { Redis, WebhookRecorder } from ${from("../../mod.ts")};
      import { instrument, observePool } from ${from(OPENTELEMETRY)};
      const options = { maxConnections: 1, checkoutTimeoutMs: 50 };
      instrument();
      const redis = new Redis(${JSON.stringify(server.url)}, options);
      observePool(redis);
      const lease = await redis.lease();
      await redis.send(["PING"]).catch(() => {}); // waits in vain, four times
      const away = new Redis("redis://127.0.0.1:1", { retry: false });
      const recorder = new WebhookRecorder(away);
      await recorder.record({ mallId: "mall", shopNo: 1, eventType: "stock" });
      // One waits at most times, until the test has seen enough.
      const timer = setInterval(() => {
        redis.lease().then((next) => next.release(), () => {});
      }, 20);
      await new Response(Deno.stdin.readable).text();
      clearInterval(timer);
      lease.release();
      await away.close();
      await redis.close();
    `,
    ],
    collector.env,
    enough,
  );

  const state = "db.client.connection.state";
  const expected: [metric: string, unit: string, isThere: () => boolean][] = [
    [
      "db.client.connection.count",
      "{connection}",
      () =>
        collector.valueOf("db.client.connection.count", { [state]: "used" }) ===
          1,
    ],
    [
      "db.client.connection.max",
      "{connection}",
      () => collector.valueOf("db.client.connection.max") === 1,
    ],
    [
      "db.client.connection.pending_requests",
      "{request}",
      () => collector.valueOf("db.client.connection.pending_requests") > 0,
    ],
    [
      "db.client.connection.timeouts",
      "{timeout}",
      () => collector.valueOf("db.client.connection.timeouts") >= 4,
    ],
    [
      "unzombie.retries",
      "{retry}",
      () =>
        collector.valueOf("unzombie.retries", {
          "db.operation.name": "PING",
        }) === 3,
    ],
    [
      "unzombie.outbox.pending",
      "{event}",
      () => collector.valueOf("unzombie.outbox.pending") === 1,
    ],
  ];
  const missing = () =>
    expected.filter(([, , isThere]) => !isThere()).map(([metric]) => metric);
  await until(() => missing().length === 0, "all metrics", PATIENCE_MS)
    .catch(() => {}); // asserted below, once the service has ended
  const missed = missing();
  stop();
  await service;
  assertEquals(missed, [], Deno.inspect(collector.metrics, { depth: 4 }));
  for (const [metric, unit] of expected) {
    const seen = collector.metrics.get(metric);
    assert(seen !== undefined, metric);
    assertEquals(seen.unit, unit);
    for (const { attributes } of seen.points) {
      assertArrayIncludes(Object.keys(attributes), [
        "db.client.connection.pool.name",
      ]);
    }
  }
});

Deno.test("JSON lines example tells how a connection came and went", async () => {
  await using server = await startRedis();
  const lines = async (...args: string[]) => {
    const output = await run([
      "run",
      "--no-prompt",
      "--allow-net",
      "--allow-env=REDIS_URL",
      path(LOG_LINES),
      ...args,
    ], { REDIS_URL: server.url });
    return output.trim().split("\n").map((line) => JSON.parse(line));
  };

  const quiet = await lines();
  const isWait = (line: { channel: string }) =>
    line.channel === "checkout:wait";
  // While the set is trimmed on the first connection, the lease gets a second.
  assertEquals(
    quiet.filter((line) => !isWait(line)).map(({ channel }) => channel).sort(),
    ["close", "close", "evict", "evict", "open", "open"].map((what) =>
      `connection:${what}`
    ),
  );
  assertGreater(quiet.filter(isWait).length, 0);
  for (const { time, pool } of quiet) {
    assertGreater(Date.parse(time), Date.now() - 60_000);
    assertEquals(pool, `127.0.0.1:${server.port}/0`);
  }
  const first = (channel: string) =>
    quiet.find((line) => line.channel === `connection:${channel}`);
  const [evicted, closed] = [first("evict"), first("close")];
  assertArrayIncludes(ENDS, [evicted.reason]);
  assertEquals(closed.report.how, evicted.reason);

  const loud = await lines("--commands");
  const commands = loud.filter(({ channel }) => channel === "command");
  const names = commands.map(({ name }) => name);
  assertEquals(
    names.filter((name) => !name.startsWith("PIPELINE")).sort(),
    ["CLIENT", "CLIENT", "PING", "ZADD", "ZADD"],
  );
  assertArrayIncludes(names, ["PIPELINE TIME", "PIPELINE"]); // trims the set
  for (const { name, durationMs, error } of commands) {
    assertGreater(durationMs, 0);
    if (name !== "PING") assertEquals(error, undefined);
  }
  const { error } = commands.find(({ name }) => name === "PING");
  assertEquals(Object.keys(error), ["name", "message", "fate"]);
  assertEquals(error.name, "ConnectionClosedError");
  assertArrayIncludes(["unsent", "unknown"], [error.fate]);
});
