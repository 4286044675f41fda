// That no part of a password is shown, however a server has cut or escaped it.

import "../../support/strict.ts";
import { assert, assertEquals, assertLess } from "@std/assert";
import { type CloseReport, DialError, Redis } from "../../../mod.ts";
import { mask } from "../../../pool/socket/secrets.ts";

const PASSWORD = 's3"cr\\3t:p@ss/wörd한 %41\nX9';
const utf8 = new TextEncoder();

const bytesOf = (secret: string): string =>
  String.fromCharCode(...utf8.encode(secret));

/** How servers and proxies write what they repeat. */
const ECHOES: Readonly<Record<string, (secret: string) => string>> = {
  "as it is": (s) => s,
  "like JSON": (s) => JSON.stringify(s).slice(1, -1),
  "like JSON twice": (s) => JSON.stringify(JSON.stringify(s)).slice(3, -3),
  "like a URL": encodeURIComponent,
  "like a URL, in lower case": (s) => encodeURIComponent(s).toLowerCase(),
  "as Latin-1": bytesOf,
  "like C": (s) =>
    Array.from(
      bytesOf(s),
      (c) =>
        c === '"' || c === "\\"
          ? `\\${c}`
          : c === "\n"
          ? "\\n"
          : c < " " || c > "~"
          ? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`
          : c,
    ).join(""),
  "like JSON in ASCII": (s) =>
    JSON.stringify(s).slice(1, -1).replace(
      /[^ -~]/g,
      (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
    ),
  "in capitals": (s) => s.replace(/[a-z]/g, (c) => c.toUpperCase()),
};

/** The longest run of a password that a text holds. */
function longestRun(text: string, secret: string): string {
  const [a, b] = [text.toLowerCase(), secret.toLowerCase()];
  let longest = "";
  for (let i = 0; i < b.length; i++) {
    for (let j = i + longest.length + 1; j <= b.length; j++) {
      if (!a.includes(b.slice(i, j))) break;
      longest = b.slice(i, j);
    }
  }
  return longest;
}

const LONG = [
  PASSWORD,
  "hunter2",
  "s3cr3t:p@ss/wörd",
  'a"b\\c"d\\e"f\\g',
  "ключи от двери",
  "correct horse battery staple, repeated until it is long enough",
];

Deno.test("A password is masked however it is escaped and wherever it is cut", async (t) => {
  for (const password of LONG) {
    for (const [how, write] of Object.entries(ECHOES)) {
      await t.step(`${JSON.stringify(password)} ${how}`, () => {
        const echo = write(password);
        assertEquals(mask(`ERR <${echo}>`, password), "ERR <***>");
        for (let from = 0; from < echo.length; from++) {
          for (const part of [echo.slice(from), echo.slice(0, from)]) {
            const text = `ERR unknown command '${part}`;
            const run = longestRun(mask(text, password), echo);
            // Three characters, and five of an escape that was cut.
            const units = run.match(/%..|\\+u....|\\+x..|\\+.|./gs) ?? [];
            assertLess(units.length, 9, `${mask(text, password)} shows ${run}`);
          }
        }
      });
    }
  }
});

Deno.test("Of a password in plain letters at most three in a row are shown", () => {
  const password = "Tr0ub4dor+3xyz";
  for (let from = 0; from < password.length; from++) {
    for (let to = from + 1; to <= password.length; to++) {
      const masked = mask(`<${password.slice(from, to)}>`, password);
      assertEquals(
        masked,
        to - from > 3 ? "<***>" : `<${password.slice(from, to)}>`,
      );
    }
  }
});

Deno.test("Base64 of a password is masked behind any prefix", () => {
  for (const prefix of ["", "u", "us", "default:"]) {
    const echo = btoa(`${prefix}Tr0ub4dor+3xyz`);
    const masked = mask(`Basic ${echo}.`, "Tr0ub4dor+3xyz");
    assert(masked.includes("***"), masked);
    assertLess(longestRun(masked, echo.slice(echo.length / 2)).length, 4);
  }
});

Deno.test("A text that holds no part of the password stays as it is", () => {
  const text = String.raw`ERR "unknown" \command\ 'AUTH' %41 50% \x41 \u00e9 é`;
  for (const password of ["", undefined, "zq9zq9zq9", "Z"]) {
    assertEquals(mask(text, password), text);
  }
});

Deno.test("A short password is masked as a word, not as a part of one", () => {
  for (const password of ["p", "pw", "p@w", "é"]) {
    assertEquals(mask(`ERR '${password}' no`, password), "ERR '***' no");
    assertEquals(mask(`ERR x${password}y`, password), `ERR x${password}y`);
  }
  assertEquals(mask("pw", "pw"), "***");
});

Deno.test("Masking a long text for a long password takes no time to speak of", () => {
  const password = Array.from({ length: 1500 }, (_, i) => (i * 7919) % 1e5)
    .join("");
  const startedAt = performance.now();
  assert(mask(password.repeat(3), password).length < 10);
  assertLess(performance.now() - startedAt, 1000);
});

/** Answers what it was sent, cut and escaped: the first line ends a connection. */
async function saying(
  answer: (received: string) => string,
  password: string,
): Promise<{ error: DialError; reports: CloseReport[] }> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    for await (const connection of listener) {
      const bytes = new Uint8Array(4096);
      const count = await connection.read(bytes) ?? 0;
      const text = new TextDecoder().decode(bytes.subarray(0, count));
      await connection.write(utf8.encode(answer(text))).catch(() => {});
      await connection.read(bytes).catch(() => {});
      connection.close();
    }
  })().catch(() => {});
  const reports: CloseReport[] = [];
  const redis = new Redis(`redis://127.0.0.1:${listener.addr.port}`, {
    password,
    retry: false,
    connectTimeoutMs: 1000,
    onClose: (report) => reports.push(report),
  });
  const error = await redis.send(["PING"]).catch((error: unknown) => error);
  await redis.close();
  listener.close();
  await serving;
  assert(error instanceof DialError, `${error}`);
  return { error, reports };
}

Deno.test("A peer that repeats the handshake, cut anywhere, shows no password", async () => {
  for (const password of ['say "cheese" \\o/ twice', "Tr0ub4dor+3xyz"]) {
    for (
      const answer of [
        (text: string) => `-ERR bad request: ${JSON.stringify(text)}\r\n`,
        (text: string) => text.slice(text.indexOf(password)), // no RESP
        (text: string) => `?${text.slice(text.indexOf(password) + 3)}\r\n`,
        (text: string) =>
          `-ERR ${
            text.replaceAll("\r\n", " ").slice(0, text.indexOf(password) + 9)
          }\r\n`,
      ]
    ) {
      const { error, reports } = await saying(answer, password);
      const shown = Deno.inspect([error, reports], { depth: 20 });
      for (let i = 0; i + 5 <= password.length; i++) {
        assert(!shown.includes(password.slice(i, i + 5)), shown);
      }
    }
  }
});

Deno.test("What a dial of the user's own throws shows no password", async () => {
  await using redis = new Redis("redis://127.0.0.1:1", {
    password: "Tr0ub4dor+3xyz",
    retry: false,
    dial: () => Promise.reject("no tunnel for redis://:Tr0ub4dor+3x"),
  });
  const error = await redis.send(["PING"]).catch((error: unknown) => error);
  assert(error instanceof DialError);
  assertEquals(
    error.message,
    "Cannot connect to 127.0.0.1:1: no tunnel for redis://:***",
  );
});
