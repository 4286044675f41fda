// This module as JSR has it once it is published: its files, and the tarball that is made of them for npm.
import { type NpmManifest, npmNameOf, type Package, run } from "./package.ts";

const ROOT = new URL("../../../", import.meta.url);
/** A name of the standard library where something is imported; JSR has it with its package. */
const STANDARD =
  /(^(?:import|export)\b[^"]*?"|\bimport\(\s*")(@std\/\w+)(\/\w+)?(?=")/gm;

/** What a dry run of publishing says. */
export interface DryRun {
  /** The codes of its warnings. */
  readonly warnings: readonly string[];
  /** The files, as paths that begin with a slash. */
  readonly paths: readonly string[];
}

/**
 * Publishes for a trial, with the check for types that are slow to infer.
 *
 * @param jsrUrl A registry that has the standard library.
 * @throws {Error} If the module cannot be published.
 */
export async function dryRun(jsrUrl: string): Promise<DryRun> {
  // `./dev check` has checked the types.
  const args = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const { log } = await run(Deno.execPath(), args, ROOT, { JSR_URL: jsrUrl });
  const found = (pattern: RegExp) =>
    Array.from(log.matchAll(pattern), ([, text]) => text!);
  return {
    warnings: found(/^warning(?:\[([\w-]+)\])?/gm),
    paths: found(/^ +file:\/\/(\S+) \([\d.]+\w+\)$/gm)
      .map((path) => path.slice(ROOT.pathname.length - 1)),
  };
}

/** @param jsrUrl A registry that has the standard library. */
export async function ownPackage(jsrUrl: string): Promise<Package> {
  const { name, version, exports, imports } = JSON.parse(
    Deno.readTextFileSync(new URL("deno.json", ROOT)),
  ) as {
    readonly name: string;
    readonly version: string;
    readonly exports: Record<string, string>;
    readonly imports: Record<string, string>;
  };
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const path of (await dryRun(jsrUrl)).paths) {
    const bytes = await Deno.readFile(new URL(`.${path}`, ROOT));
    files.set(path, path.endsWith(".ts") ? resolved(bytes, imports) : bytes);
  }
  const config = { name: npmNameOf(name), version, exports, license: "MIT" };
  files.set("/deno.json", new TextEncoder().encode(JSON.stringify(config)));
  const tarball = await packed(files, jsrUrl);
  return {
    name,
    version,
    exports,
    files,
    npm: { manifest: await manifestIn(tarball), tarball },
  };
}

/** A source whose imports do not need an import map, as `deno publish` uploads it. */
function resolved(
  source: Uint8Array,
  imports: Readonly<Record<string, string>>,
): Uint8Array<ArrayBuffer> {
  const text = new TextDecoder().decode(source).replace(
    STANDARD,
    (_, before, name, path = "") => before + imports[name] + path,
  );
  return new TextEncoder().encode(text);
}

/**
 * What `deno pack` makes of the files, which JSR makes by the same code: JavaScript, and
 * declarations of what is public. It checks all types first, which takes 14 seconds of a
 * core, so it is kept until a file changes.
 *
 * @see {@link https://jsr.io/docs/npm-compatibility}
 */
async function packed(
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  jsrUrl: string,
): Promise<Uint8Array<ArrayBuffer>> {
  await Deno.mkdir(KEPT, { recursive: true });
  using lock = await Deno.open(new URL("lock", KEPT), {
    write: true,
    create: true,
  });
  await lock.lock(true); // one process packs, others wait; until it is closed
  const target = new URL(`${await digestOf(files)}.tgz`, KEPT);
  try {
    return await Deno.readFile(target);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  for (const { name } of Deno.readDirSync(KEPT)) {
    if (name !== "lock") await Deno.remove(new URL(name, KEPT));
  }
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, bytes] of files) {
      await Deno.mkdir(dirname(folder + path), { recursive: true });
      await Deno.writeFile(folder + path, bytes);
    }
    const args = ["pack", "--quiet", "--no-source-maps", "-o", "packed.tgz"];
    await run(Deno.execPath(), args, folder, { JSR_URL: jsrUrl });
    await Deno.copyFile(`${folder}/packed.tgz`, new URL("new.tgz", KEPT));
    await Deno.rename(new URL("new.tgz", KEPT), target);
    return await Deno.readFile(target);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Where the last tarball is kept. */
const KEPT = new URL(".tools/packed/", ROOT);

/** What stands for the files, and for the version of Deno that packs them. */
async function digestOf(
  files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
): Promise<string> {
  const parts = [...files].flatMap(([path, bytes]) => [`${path}\0`, bytes]);
  const all = await new Blob([Deno.version.deno, ...parts]).arrayBuffer();
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all)).toHex();
}

async function manifestIn(tarball: Uint8Array): Promise<NpmManifest> {
  const process = new Deno.Command("tar", {
    args: ["-xzO", "package/package.json"],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const [{ stdout }] = await Promise.all([
    process.output(),
    new Response(tarball as Uint8Array<ArrayBuffer>).body!.pipeTo(
      process.stdin,
    ),
  ]);
  return JSON.parse(new TextDecoder().decode(stdout));
}

const dirname = (path: string): string => path.slice(0, path.lastIndexOf("/"));
