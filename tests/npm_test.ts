// That the check of the typed faces in npm/ notices a standard library of another shape.

import "./support/strict.ts";
import { assertEquals, assertMatch } from "@std/assert";

const NPM = new URL("../npm/", import.meta.url);

/** Runs the check against the modules of a folder. */
async function check(folder: URL) {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-lock",
      new URL("check.ts", NPM).href,
      `${folder}`,
    ],
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

/** A folder with modules of these signatures in the place of the standard library. */
async function checkLike(
  change: (file: string, text: string) => string,
): Promise<{ code: number; stderr: string }> {
  const directory = await Deno.makeTempDir();
  try {
    for (const { name } of Deno.readDirSync(NPM)) {
      if (!name.endsWith(".d.ts")) continue;
      const text = await Deno.readTextFile(new URL(name, NPM));
      const file = name.replace(".d.ts", ".ts");
      await Deno.writeTextFile(
        `${directory}/${file}`,
        change(file, text).replace(
          /^export (function|class)/gm,
          "export declare $1",
        ),
      );
    }
    return await check(new URL(`file://${directory}/`));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("The check of npm/ agrees with modules of the signatures that it declares", async () => {
  assertEquals(await checkLike((_, text) => text), { code: 0, stderr: "" });
});

Deno.test("The check of npm/ names a function that takes or gives something else, or is gone", async () => {
  const { code, stderr } = await checkLike((file, text) => {
    switch (file) {
      case "uuid_v4.ts":
        return text.replace("id: string", "id: number");
      case "async_delay.ts":
        return text.replace("Promise<void>", "Promise<number> | undefined");
      case "assert.ts":
        return text.replace("function assertFalse", "function assertNot");
      default:
        return text;
    }
  });
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /^npm\/ does not declare @std\/assert, @std\/async\/delay, @std\/uuid\/v4 as it is:\n/,
  );
  assertMatch(stderr, /assertFalse/);
});
