// The packages of the standard library that this module imports, as JSR has them, made of what npm has.
import { toolModules } from "../tools.ts";
import { npmNameOf, type Package, tarballOf } from "./package.ts";

const ROOT = new URL("../../../", import.meta.url);
/** The package of npm that has the standard library of this version. */
const SOURCE = `${toolModules}deno-std/`;
const VERSION = "1.4.0";
const IMPORT = /^(?:import|export)\b[^"]*?"(\.[^"]+)"/gm;

const encoder = new TextEncoder();

/** The packages of which this module imports something. The tools must be installed. */
export async function standardLibrary(): Promise<Package[]> {
  const { imports } = JSON.parse(
    Deno.readTextFileSync(new URL("import_map.npm.json", ROOT)),
  ) as { imports: Record<string, string> };
  const entries = Object.keys(imports)
    .filter((name) => name.startsWith("@std/"))
    .map((name) =>
      name.split("/") as [scope: string, name: string, path?: string]
    );
  const byPackage = Map.groupBy(entries, ([, name]) => name);
  return await Promise.all(
    Array.from(
      byPackage,
      ([name, entries]) => packageOf(name, entries.map(([, , path]) => path)),
    ),
  );
}

/**
 * A package with an entry point for each path, `undefined` for the package itself. Its
 * types are those that this project declares in npm/.
 */
async function packageOf(
  name: string,
  paths: readonly (string | undefined)[],
): Promise<Package> {
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const exports: Record<string, string> = {};
  const forNpm: Record<string, unknown> = {};
  for (const path of paths) {
    const entry = path ?? "mod";
    const types = await Deno.readFile(
      new URL(`npm/${name}${path === undefined ? "" : `_${path}`}.d.ts`, ROOT),
    );
    const code = `/* @ts-self-types="./${entry}.d.ts" */\n` +
      `export * from "./library/${name}/${entry}.js";\n`;
    files.set(`/${entry}.d.ts`, types);
    files.set(`/${entry}.js`, encoder.encode(code));
    addLibrary(files, `${name}/${entry}.js`);
    const key = path === undefined ? "." : `./${path}`;
    exports[key] = `./${entry}.js`;
    forNpm[key] = { types: `./${entry}.d.ts`, default: `./${entry}.js` };
  }
  const manifest = { name: npmNameOf(`@std/${name}`), version: VERSION };
  const forTarball = new Map(files).set(
    "/package.json",
    encoder.encode(
      JSON.stringify({ ...manifest, type: "module", exports: forNpm }),
    ),
  );
  return {
    name: `@std/${name}`,
    version: VERSION,
    exports,
    files,
    npm: { manifest, tarball: await tarballOf(forTarball) },
  };
}

/** Adds a module of the library, and what it imports. */
function addLibrary(
  files: Map<string, Uint8Array<ArrayBuffer>>,
  path: string,
): void {
  const target = `/library/${path}`;
  if (files.has(target)) return;
  const code = Deno.readTextFileSync(SOURCE + path);
  files.set(target, encoder.encode(code));
  for (const [, specifier] of code.matchAll(IMPORT)) {
    addLibrary(files, new URL(specifier!, `file:///${path}`).pathname.slice(1));
  }
}
