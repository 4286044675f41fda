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
  return {
    name,
    version,
    exports,
    files,
    npm: await packed(
      { name: npmNameOf(name), version, exports },
      files,
      jsrUrl,
    ),
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
 * declarations of what is public.
 *
 * @see {@link https://jsr.io/docs/npm-compatibility}
 */
async function packed(
  config: { readonly name: string; readonly version: string; exports: unknown },
  files: ReadonlyMap<string, Uint8Array>,
  jsrUrl: string,
): Promise<Package["npm"]> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, bytes] of files) {
      const target = folder + path;
      await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), {
        recursive: true,
      });
      await Deno.writeFile(target, bytes);
    }
    await Deno.writeTextFile(
      `${folder}/deno.json`,
      JSON.stringify({ ...config, license: "MIT" }),
    );
    const args = ["pack", "--quiet", "--no-source-maps", "-o", "packed.tgz"];
    await run(Deno.execPath(), args, folder, { JSR_URL: jsrUrl });
    const { stdout } = await run(
      "tar",
      ["-xzOf", "packed.tgz", "package/package.json"],
      folder,
    );
    return {
      manifest: JSON.parse(new TextDecoder().decode(stdout)) as NpmManifest,
      tarball: await Deno.readFile(`${folder}/packed.tgz`),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
