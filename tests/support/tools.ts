// The runtimes, bundlers and compilers that tests use, installed from npm into .tools/ where they are missing.

const { os, arch } = Deno.build;
const cpu = arch === "aarch64" ? "arm64" : "x64";
const bun = `@oven/bun-${os}-${cpu === "arm64" ? "aarch64" : "x64"}`;
const workerd = `@cloudflare/workerd-${os}-${cpu === "arm64" ? "arm64" : "64"}`;

/** The packages of npm: what they are called here, and what they are. */
const PACKAGES: Readonly<Record<string, string>> = {
  "node22": `npm:node-${os}-${cpu}@22.23.3`,
  "node24": `npm:node-${os}-${cpu}@24.21.0`,
  "bun": `npm:${bun}@1.4.5`,
  // Bun up to 1.3 does not check the names of certificates by itself.
  "old-bun": `npm:${bun}@1.2.23`,
  [workerd]: "1.20261117.1", // that of wrangler
  [`@esbuild/${os}-${cpu}`]: "0.28.2", // that of wrangler
  "wrangler": "4.164.0",
  "rollup": "4.68.8",
  "vite": "8.3.8",
  "webpack": "5.113.0",
  "typescript": "7.0.2",
  "playwright-core": "1.65.1",
  // The standard library.
  "deno-std": "1.4.0",
};

/** The programs of packages. */
const PROGRAMS = {
  node22: "node22/bin/node",
  node24: "node24/bin/node",
  bun: "bun/bin/bun",
  oldBun: "old-bun/bin/bun",
  workerd: `${workerd}/bin/workerd`,
  esbuild: `@esbuild/${os}-${cpu}/bin/esbuild`,
} as const;

/** The programs that there are. */
export type ProgramName = keyof typeof PROGRAMS;

/** An installation that takes longer is given up, in milliseconds. */
const MOST_MS = 240_000;

const folder = decodeURIComponent(
  new URL("../../.tools/npm/", import.meta.url).pathname,
);
/** Is there once all is installed, and says what. */
const done = `${folder}done.json`;
const wanted = JSON.stringify({ private: true, dependencies: PACKAGES });

/** Where the packages are, each by its name. */
export const toolModules: string = `${folder}node_modules/`;

/**
 * Installs what is missing: 900 MB, in 15 seconds on an idle machine. Of those
 * that ask at the same time, in any process, one does it.
 *
 * @throws {Error} If that fails.
 */
export async function installTools(): Promise<void> {
  if (await textOf(done) === wanted) return;
  await Deno.mkdir(folder, { recursive: true });
  using lock = await Deno.open(`${folder}lock`, { write: true, create: true });
  await lock.lock(true); // until it is closed, at the latest with the process
  if (await textOf(done) === wanted) return;
  await Deno.remove(done).catch(() => {});
  await Deno.writeTextFile(`${folder}package.json`, wanted);
  await run("npm", [
    "install",
    `--prefix=${folder}`,
    "--no-audit",
    "--no-fund",
    "--no-package-lock",
    "--ignore-scripts",
  ]);
  await Deno.writeTextFile(done, wanted);
}

/** The path of a program, which is installed if it is missing; or why there is none. */
export async function findProgram(
  name: ProgramName,
): Promise<{ readonly path: string } | { readonly reason: string }> {
  try {
    await installTools();
    const path = `${toolModules}${PROGRAMS[name]}`;
    await run(path, ["--version"]); // one for another C library does not run
    return { path };
  } catch (error) {
    return { reason: String(error) };
  }
}

/**
 * The path of a program for the tests of a file, which are ignored without it. In
 * CI a test fails in their place.
 */
export async function programForTests(
  name: ProgramName,
): Promise<{ readonly path: string; readonly ignore: boolean }> {
  const found = await findProgram(name);
  if ("path" in found) return { path: found.path, ignore: false };
  if (Deno.env.get("CI")) {
    Deno.test(`${name} is installed`, () => {
      throw new Error(found.reason);
    });
  } else console.log(`Tests with ${name} are skipped: ${found.reason}`);
  return { path: "", ignore: true };
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const timeout = AbortSignal.timeout(MOST_MS);
  const { success, signal, stderr } = await new Deno.Command(program, {
    args: [...args],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    signal: timeout,
  }).output();
  if (timeout.aborted) throw new Error(`${program} takes too long`);
  if (signal !== null) throw new Error(`${program} was ended by ${signal}`);
  if (!success) {
    throw new Error(`${program}: ${new TextDecoder().decode(stderr).trim()}`);
  }
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await Deno.readTextFile(path);
  } catch {
    return undefined;
  }
}
