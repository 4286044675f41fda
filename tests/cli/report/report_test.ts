// That a page is made of JSON lines, and that what cannot be used is said.
import "../../support/strict.ts";
import { assert, assertEquals, assertMatch } from "@std/assert";
import type { WatchEvent } from "../../../cli/watch/json_lines.ts";
import { verify } from "../run_verify.ts";
import { death, open, start } from "./events.ts";

const lines = (...events: WatchEvent[]): string =>
  events.map((event) => `${JSON.stringify(event)}\n`).join("");

/** Makes a page of a text, in a folder of its own. */
async function report(text: string, ...more: string[]) {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.writeTextFile(`${folder}/night.jsonl`, text);
    const result = await verify([
      ...["report", `${folder}/night.jsonl`],
      ...more.map((arg) => arg.replace("FOLDER", folder)),
    ]);
    const page = await Deno.readTextFile(`${folder}/night.html`)
      .catch(() => undefined);
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    return { ...result, page, left, folder };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("The page lies beside the lines, and nothing else does", async () => {
  const { code, stdout, stderr, left, folder, page } = await report(
    lines(start(), open(1, 1, 0), death(1, 1, 300)),
  );
  assertEquals([code, stdout, stderr], [0, `${folder}/night.html\n`, ""]);
  assertEquals(left, ["night.html", "night.jsonl"]);
  assertMatch(page!, /idle timeout of the server/);
});

Deno.test("A line that was cut, or that is none, is left out, and said", async () => {
  const text = lines(start(), death(1, 1, 300));
  const { code, stderr } = await report(`${text}hello\n{"type":"death","at`);
  assertEquals(code, 0);
  assertMatch(stderr, /^2 of 4 lines are no events of a watch .* line 3\n$/);
});

Deno.test("What cannot be used is named, with what is expected", async () => {
  const cases: [text: string, args: string[], message: RegExp][] = [
    [
      "",
      [],
      /^verify: Cannot use .*night\.jsonl: it has no start event, expected what "verify watch --json" prints\n$/,
    ],
    [
      lines(start()),
      ["--out=FOLDER"],
      /^verify: Cannot write the report to .*: it is a folder\n$/,
    ],
    [
      lines(start()),
      ["--out=FOLDER/none/a.html"],
      /^verify: Cannot write the report to .*\n$/,
    ],
    [
      lines(start()),
      ["--out=FOLDER/night.jsonl"],
      /^verify: Cannot use --out .*: it is the file of JSON lines\n$/,
    ],
    [
      lines(start()),
      ["--loud"],
      /^verify: Cannot use --loud: not an option, expected --out, --help/,
    ],
  ];
  for (const [text, args, message] of cases) {
    const { code, stdout, stderr } = await report(text, ...args);
    assertMatch(stderr, message);
    assertEquals([code, stdout], [2, ""]);
  }
  const { code, stderr } = await verify(["report"]);
  assertMatch(
    stderr,
    /^verify: Cannot make a report: expected the file of JSON lines/,
  );
  assertEquals(code, 2);
});

Deno.test("A watch whose page cannot be written does not begin", async () => {
  const { code, stdout, stderr } = await verify(
    ["watch", "--url", "redis://127.0.0.1:1", "--report", "/proc/none/a.html"],
  );
  assertMatch(
    stderr,
    /^verify: Cannot write the report to \/proc\/none\/a\.html: /,
  );
  assertEquals([code, stdout], [2, ""]);
});

Deno.test("Report prints its options", async () => {
  const { code, stdout } = await verify(["report", "--help"], {
    permissions: [],
  });
  assertEquals(code, 0);
  for (const option of ["LINES.jsonl", "--out FILE"]) {
    assert(stdout.includes(`  ${option} `), option);
  }
  assertEquals(stdout.split("\n").find((line) => line.length > 80), undefined);
});
