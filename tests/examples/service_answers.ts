// What the example service answers to requests of every kind, to be compared between the runtimes that it runs on.
import { delay } from "@std/async/delay";
import { Redis } from "../../mod.ts";

/** How a service with LIMIT=2 and ADMIN_TOKEN=secret answers, one request after the other. */
export async function answersOf(url: string): Promise<unknown[]> {
  const answers: unknown[] = [];
  const ask = async (method: string, path: string, init: RequestInit = {}) => {
    const response = await fetch(url + path, { method, ...init });
    const { status, headers } = response;
    const names = ["allow", "retry-after", "www-authenticate"];
    answers.push([
      `${method} ${path}`,
      status,
      headers.get("content-type")?.split(";")[0], // Bun adds a charset
      names.map((name) => headers.get(name)),
      (await response.text()).replaceAll(/\d{13}/g, "0"),
    ]);
  };
  const events = "/webhooks/mall/1/orders%2Fcreate";
  const delivery = { headers: { "X-Webhook-Id": "1" }, body: "{}" };
  for (let i = 0; i < 2; i++) await ask("POST", events, delivery);
  for (let i = 0; i < 3; i++) {
    await ask("POST", events, { body: "x".repeat(100_000) });
  }
  await ask("GET", "/frequency/mall/1/orders%2Fcreate?windowSeconds=60");
  await ask("GET", "/frequency/mall/1/orders?windowSeconds=x");
  await ask("POST", "/webhooks/mall/x/orders");
  await ask("GET", events);
  await ask("PUT", "/healthz");
  await ask("GET", "/");
  await ask("GET", "/healthz/x");
  const admin = { headers: { authorization: "Bearer secret" } };
  await ask("PUT", "/blocked/mall/2?reason=test");
  await ask("PUT", "/blocked/mall/2?reason=test", admin);
  await ask("POST", "/webhooks/mall/2/orders");
  await ask("DELETE", "/blocked/mall/1", admin);
  await ask("GET", "/blocked", admin);
  await ask("DELETE", "/blocked/mall/2", admin);
  await ask("GET", "/blocked", admin);
  await ask("GET", "/blocked", { headers: { authorization: "Bearer wrong" } });
  const response = await fetch(`${url}/healthz`);
  await response.body?.cancel();
  answers.push(["GET /healthz", response.status]);
  return answers;
}

/** Hosts that make no URL. */
export const ODD_HOSTS: readonly string[] = [
  "a b",
  "[::",
  "a:99999",
  "%zz",
  "a/b",
  "u@a",
  "a?b",
  "http://a",
];

/** The status that a service answers to a request, such as `GET /healthz`, that `fetch` would not send. */
export async function statusOf(
  url: string,
  request: string,
  host = "a",
): Promise<number> {
  const { hostname, port } = new URL(url);
  const connection = await Deno.connect({ hostname, port: Number(port) });
  await connection.write(new TextEncoder().encode(
    `${request} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
  ));
  let answer = "";
  // Not to the end: Bun 1.2 leaves the connection open for 10 seconds.
  for await (
    const part of connection.readable.pipeThrough(new TextDecoderStream())
  ) if ((answer += part).includes("\r\n")) break;
  return Number(answer.split(" ")[1]);
}

/** The statuses that a service answers to requests with odd paths and hosts. */
export const oddAnswersOf = (url: string): Promise<number[]> =>
  Promise.all([
    ...["/healthz", "//healthz", "/healthz/../blocked", "http://a/healthz"]
      .map((path) => statusOf(url, `GET ${path}`)),
    ...ODD_HOSTS.map((host) => statusOf(url, "GET /healthz", host)),
  ]);

/**
 * Ends a service while it has a request under way, and sends another one on the same
 * connection after the answer.
 *
 * @param redisUrl The server of the service. It answers nothing for a while.
 * @returns The statuses that come before the connection is closed.
 */
export async function statusesAtTheEnd(
  { url, process }: { url: string; process: Deno.ChildProcess },
  redisUrl: string,
): Promise<number[]> {
  await using redis = new Redis(redisUrl);
  const { hostname, port } = new URL(url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const send = async (): Promise<void> => {
    await connection.write(new TextEncoder().encode(
      "POST /webhooks/mall/1/late HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ));
  };
  const read = async (): Promise<string> => {
    const bytes = new Uint8Array(4096);
    const count = await connection.read(bytes);
    return new TextDecoder().decode(bytes.subarray(0, count ?? 0));
  };
  await redis.send(["CLIENT", "PAUSE", 500, "ALL"]);
  await send();
  await delay(100);
  process.kill("SIGTERM");
  let answers = await read();
  try {
    await send();
    for (let more; (more = await read()) !== "";) answers += more;
  } catch {
    // It is closed.
  }
  return Array.from(
    answers.matchAll(/^HTTP\/1\.1 (\d+)/gm),
    ([, status]) => Number(status),
  );
}
