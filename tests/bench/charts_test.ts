// That the charts of the README show the figures that are kept beside them.
import "../support/strict.ts";
import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { differences, install } from "../../bench/charts.ts";

const CHARTS = new URL("../../docs/charts/", import.meta.url);

/** Why nothing can be drawn; `undefined` if it can. */
async function missing(): Promise<string | undefined> {
  try {
    await install();
  } catch (error) {
    if (Deno.env.get("CI")) throw error;
    return `Tests of charts are skipped: ${error}`;
  }
}

const reason = await missing();
if (reason !== undefined) console.log(reason);
const ignore = reason !== undefined;

Deno.test(
  "The charts show the figures that are kept beside them",
  { ignore },
  async () => {
    assertEquals(await differences(), []);
  },
);

Deno.test(
  "A figure that changes changes the charts of its kind",
  { ignore },
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      for (const { name } of Deno.readDirSync(CHARTS)) {
        await Deno.copyFile(new URL(name, CHARTS), `${folder}/${name}`);
      }
      const path = `${folder}/faults.json`;
      const faults = JSON.parse(await Deno.readTextFile(path));
      faults.losses[0].lost += 7;
      await Deno.writeTextFile(path, JSON.stringify(faults));
      assertEquals(await differences(`${folder}/`), [
        "faults-light.svg",
        "faults-dark.svg",
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("A chart has a title, a description with its figures, and machine, versions and date", () => {
  const read = (name: string) => Deno.readTextFileSync(new URL(name, CHARTS));
  for (const kind of ["speed", "faults"]) {
    const [light, dark] = ["light", "dark"].map((scheme) =>
      read(`${kind}-${scheme}.svg`)
    );
    assertNotEquals(light, dark);
    const { machine } = JSON.parse(read(`${kind}.json`));
    for (const text of [machine.date, machine.machine, machine.ioredis]) {
      assert(light!.includes(text), `${kind}: ${text}`);
    }
    assert(
      /<title id="title">[^<]+<\/title>\s*<desc id="desc">[^<]+: this client [\w.]+/
        .test(light!),
    );
    assert(!/https?:\/\/(?!www\.w3\.org)/.test(light!), "asks for something");
  }
});
