// A package in the shapes that JSR gives it: files with a manifest, and a tarball for npm.

/** What a package has. Paths begin with a slash. */
export interface PackageContents {
  /** Such as `@std/uuid`. */
  readonly name: string;
  readonly version: string;
  /** What is imported by which name, such as `{ "./v5": "./v5.js" }`. */
  readonly exports: Readonly<Record<string, string>>;
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

/** A package that a registry has. */
export interface Package extends PackageContents {
  /** As npm has it: its `package.json`, and the gzipped tarball. */
  readonly npm: {
    readonly manifest: NpmManifest;
    readonly tarball: Uint8Array<ArrayBuffer>;
  };
}

/** The part of a `package.json` that a registry repeats. */
export interface NpmManifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The name that JSR gives a package for npm: `@jsr/std__uuid` for `@std/uuid`. */
export const npmNameOf = (name: string): string =>
  `@jsr/${name.slice(1).replace("/", "__")}`;

/** A gzipped tarball of files in a folder named `package`. */
export async function tarballOf(
  files: ReadonlyMap<string, Uint8Array>,
): Promise<Uint8Array<ArrayBuffer>> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [path, bytes] of files) {
      const target = `${folder}/package${path}`;
      await Deno.mkdir(target.slice(0, target.lastIndexOf("/")), {
        recursive: true,
      });
      await Deno.writeFile(target, bytes);
    }
    const { stdout } = await run("tar", ["-czf", "-", "package"], folder);
    return stdout;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/**
 * Runs a program.
 *
 * @throws {Error} If it fails, with what it has written.
 */
export async function run(
  program: string,
  args: readonly string[],
  cwd: string | URL,
  env: Readonly<Record<string, string>> = {},
): Promise<{ stdout: Uint8Array<ArrayBuffer>; log: string }> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const log = new TextDecoder().decode(stderr);
  if (success) return { stdout, log };
  const text = new TextDecoder().decode(stdout);
  throw new Error(`${program} ${args.join(" ")}:\n${text}${log}`);
}
