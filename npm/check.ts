// Whether the standard library can be used as the typed faces of this folder say.
//
// `./dev check` runs it where JSR answers. For tests, an argument names a folder
// with modules to take for the standard library, `uuid_v4.ts` for `@std/uuid/v4`.

const ROOT = new URL("../", import.meta.url);

type Imports = { readonly imports: Readonly<Record<string, string>> };

const read = (path: string): string =>
  Deno.readTextFileSync(new URL(path, ROOT));

/** A module of the standard library. */
interface Module {
  /** Such as `@std/uuid/v4`. */
  readonly name: string;
  /** Such as `uuid_v4`. */
  readonly file: string;
  /** The file with the signatures. */
  readonly declared: URL;
  /** Its functions and classes there. */
  readonly exports: readonly string[];
  /** Where the real one is. */
  readonly real: string;
}

/** @param folder What to take for the standard library instead of JSR. */
function modulesOf(folder: string | undefined): Module[] {
  const { imports } = JSON.parse(read("import_map.npm.json")) as Imports;
  const { imports: jsr } = JSON.parse(read("deno.json")) as Imports;
  return Object.keys(imports)
    .filter((name) => name.startsWith("@std/"))
    .map((name) => {
      const file = name.slice("@std/".length).replace("/", "_");
      const path = `npm/${file}.d.ts`;
      const declared = new URL(path, ROOT);
      const exports = Array.from(
        read(path).matchAll(/^export (?:declare )?(?:function|class) (\w+)/gm),
        ([, name]) => name!,
      );
      const [scope, one, ...below] = name.split("/");
      const real = folder === undefined
        ? [jsr[`${scope}/${one}`], ...below].join("/")
        : new URL(`${file}.ts`, folder).href;
      return { name, file, declared, exports: [...new Set(exports)], real };
    });
}

/** A program that compiles only if what is real serves wherever what is declared is used. */
function programFor({ declared, exports, real }: Module): string {
  return [
    `import * as real from ${JSON.stringify(real)};`,
    `import type * as declared from ${JSON.stringify(declared.href)};`,
    ...exports.map((name) =>
      `export const ${name}: typeof declared.${name} = real.${name};`
    ),
  ].join("\n");
}

/** What the compiler says of all modules; nothing if it agrees. */
async function compile(modules: readonly Module[]): Promise<string> {
  const directory = await Deno.makeTempDir();
  try {
    const paths = modules.map(({ file }) => `${directory}/${file}.ts`);
    modules.forEach((module, i) =>
      Deno.writeTextFileSync(paths[i]!, programFor(module))
    );
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["check", "--quiet", "--no-lock", ...paths],
      env: { NO_COLOR: "1" },
    }).output();
    return success ? "" : new TextDecoder().decode(stderr);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) {
  const modules = modulesOf(Deno.args[0]);
  const complaints = await compile(modules);
  const wrong = modules.filter(({ file }) =>
    complaints.includes(`/${file}.ts:`)
  )
    .map(({ name }) => name);
  if (complaints !== "") {
    console.error(
      `npm/ does not declare ${wrong.join(", ")} as it is:\n${complaints}`,
    );
    Deno.exit(1);
  }
}
