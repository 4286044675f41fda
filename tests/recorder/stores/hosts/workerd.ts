// Cloudflare's runtime for Workers, installed from npm where it is missing.

/** The tested version. It takes 3 seconds to install, and 160 MB of disk. */
const PACKAGE = "workerd@1.20261117.1";
/** An installation that takes longer is given up, in milliseconds. */
const MOST_MS = 15_000;

const tools = new URL("../../../../.tools/", import.meta.url);
const folder = new URL("workerd/", tools);

/** The path of the program, or why there is none. */
export async function findWorkerd(): Promise<
  { readonly path: string } | { readonly reason: string }
> {
  const path = await installed();
  if (path !== undefined) return { path };
  try {
    await install();
    const path = await installed();
    if (path !== undefined) return { path };
    return { reason: `${PACKAGE} has no program for this system` };
  } catch (error) {
    return { reason: `${PACKAGE} cannot be installed: ${error}` };
  }
}

/** The package brings its program in another one, which is of this platform. */
async function installed(): Promise<string | undefined> {
  const packages = new URL("node_modules/@cloudflare/", folder);
  try {
    for await (const { name } of Deno.readDir(packages)) {
      const program = new URL(`${name}/bin/workerd`, packages).pathname;
      const command = new Deno.Command(program, {
        args: ["--version"],
        stdout: "null",
        stderr: "null",
      });
      if ((await command.output()).success) return program;
    }
  } catch {
    // Not installed, or for another system.
  }
  return undefined;
}

/** Beside its place, so that a test that runs at the same time finds all of it or nothing. */
async function install(): Promise<void> {
  await Deno.mkdir(tools, { recursive: true });
  const dir = await Deno.makeTempDir({ dir: tools.pathname });
  try {
    const { success, signal, stderr } = await new Deno.Command("npm", {
      args: [
        "install",
        "--prefix",
        dir,
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        PACKAGE,
      ],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      signal: AbortSignal.timeout(MOST_MS),
    }).output();
    if (signal !== null) throw new Error(`npm takes longer than ${MOST_MS} ms`);
    if (!success) throw new Error(new TextDecoder().decode(stderr).trim());
    await Deno.rename(dir, folder);
  } finally {
    await Deno.remove(dir, { recursive: true }).catch(() => {});
  }
}
