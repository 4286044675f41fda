// Spans and metrics of Redis clients, with the OpenTelemetry that is built into Deno.
//
//   OTEL_DENO=true deno run --allow-net --allow-env=REDIS_URL examples/opentelemetry.ts
//
// REDIS_URL says where Redis is, OTEL_EXPORTER_OTLP_ENDPOINT where the collector
// is (http://localhost:4318). For a service of your own, copy all but `main`:
// call `instrument` once, and `observePool` for each client. Names and units are
// those of https://opentelemetry.io/docs/specs/semconv/db/; those that begin with
// `unzombie.` are this module's own.
import { subscribe } from "node:diagnostics_channel";
import * as otel from "npm:@opentelemetry/api@1";
import { CheckoutTimeoutError, Redis, WebhookRecorder } from "@unzombie/redis";
import "@unzombie/redis/diagnostics"; // an import of types alone loads nothing
import type {
  CommandTrace,
  MessageOf,
  TelemetryEvents,
} from "@unzombie/redis/diagnostics";

const tracer = otel.trace.getTracer("@unzombie/redis");
const meter = otel.metrics.getMeter("@unzombie/redis");

/** Makes spans and metrics of what all clients do from now on. */
export function instrument(): void {
  const buckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10];
  const advice = { explicitBucketBoundaries: buckets };
  const seconds = (name: string) =>
    meter.createHistogram(name, { unit: "s", advice });
  const count = (name: string, unit: string) =>
    meter.createCounter(name, { unit });

  const duration = seconds("db.client.operation.duration");
  const ends = new WeakMap<CommandTrace, () => void>();
  const commands = "tracing:@unzombie/redis:command";
  subscribe(`${commands}:start`, (message) => {
    const call = message as CommandTrace;
    const attributes = { ...call.attributes };
    const name = attributes["db.operation.name"]!;
    // In the caller's context: the active span becomes the parent.
    const span = tracer.startSpan(name, {
      kind: otel.SpanKind.CLIENT,
      attributes,
    });
    const since = performance.now();
    ends.set(call, () => {
      const { "db.operation.batch.size": _, ...attributes } = call.attributes;
      duration.record((performance.now() - since) / 1000, attributes);
      const type = attributes["error.type"];
      const code = attributes["db.response.status_code"];
      if (type !== undefined) span.setAttribute("error.type", type);
      if (code) span.setAttribute("db.response.status_code", code);
      if (type !== undefined) {
        // The text of an error reply may repeat values, its code does not.
        const message = code ?? `${call.error}`;
        span.setStatus({ code: otel.SpanStatusCode.ERROR, message });
      }
      span.end();
    });
  });
  subscribe(`${commands}:asyncEnd`, (it) => ends.get(it as CommandTrace)?.());

  const createTime = seconds("db.client.connection.create_time");
  on("connection:open", ({ tookMs }, attributes) => {
    createTime.record(tookMs / 1000, attributes);
  });
  const waitTime = seconds("db.client.connection.wait_time");
  const timeouts = count("db.client.connection.timeouts", "{timeout}");
  on("checkout:wait", ({ waitedMs, error }, attributes) => {
    waitTime.record(waitedMs / 1000, attributes);
    // Otherwise the dial has failed, or the call was aborted.
    if (error instanceof CheckoutTimeoutError) timeouts.add(1, attributes);
  });
  const closed = count("unzombie.connection.closed", "{connection}");
  on("connection:evict", ({ reason }, attributes) => {
    closed.add(1, { ...attributes, "unzombie.reason": reason });
  });
  const retries = count("unzombie.retries", "{retry}");
  on("retry", ({ command }, attributes) => {
    retries.add(1, { ...attributes, "db.operation.name": command });
  });
  const held = meter.createGauge("unzombie.outbox.pending", {
    unit: "{event}",
  });
  on("outbox", ({ pending }, attributes) => held.record(pending, attributes));
}

/** Measures a client's pool each time that metrics are exported. */
export function observePool(redis: Redis): void {
  const { hostname, port, database } = redis.origin;
  const name = `${hostname}:${port}/${database}`;
  const pool = { "db.client.connection.pool.name": name };
  const observe = (name: string, unit: string) =>
    meter.createObservableUpDownCounter(name, { unit });
  const count = observe("db.client.connection.count", "{connection}");
  count.addCallback((result) => {
    const { idle, open } = redis.stats();
    const state = "db.client.connection.state";
    result.observe(idle, { ...pool, [state]: "idle" });
    result.observe(open - idle, { ...pool, [state]: "used" });
  });
  observe("db.client.connection.max", "{connection}")
    .addCallback((result) =>
      result.observe(redis.stats().maxConnections, pool)
    );
  observe("db.client.connection.pending_requests", "{request}")
    .addCallback((result) => result.observe(redis.stats().waiting, pool));
}

function on<Name extends keyof TelemetryEvents>(
  name: Name,
  told: (it: MessageOf<Name>, attributes: otel.Attributes) => void,
): void {
  subscribe(`@unzombie/redis:${name}`, (message) => {
    const it = message as MessageOf<Name>;
    told(it, { ...it.attributes });
  });
}

async function main(): Promise<void> {
  instrument();
  await using redis = new Redis(Deno.env.get("REDIS_URL"));
  observePool(redis);
  await using recorder = new WebhookRecorder(redis, { retentionSeconds: 60 });

  await tracer.startActiveSpan("webhook", async (span) => {
    const event = { mallId: "mymall", shopNo: 1, eventType: "orders-create" };
    for (let i = 0; i < 3; i++) await recorder.record(event);
    console.log(await recorder.frequency(event, { windowSeconds: 60 }));

    await using lease = await redis.lease();
    const id = await lease.send(["CLIENT", "ID"]);
    await lease.send(["CLIENT", "KILL", "ID", id, "SKIPME", "no"]);
    await lease.send(["PING"]).catch((error) => console.log(`${error}`));
    span.end();
  });
}

if (import.meta.main) await main();
