// A project of a user, in a folder of its own, that gets this module from a registry on this machine.
import { findProgram, type ProgramName } from "../tools.ts";
import { ownPackage } from "./own_package.ts";
import { type Package, run } from "./package.ts";
import { Registry } from "./registry.ts";
import { standardLibrary } from "./standard_library.ts";

/** The time limit of a test that may be the first to install the package, in milliseconds. */
export const INSTALL_LIMIT_MS = 180_000;

/** Whether this version of Deno can make the package for npm. */
export const canPack: boolean = (await new Deno.Command(Deno.execPath(), {
  args: ["pack", "--help"],
  stdout: "null",
  stderr: "null",
}).output()).success;

let packages: Promise<readonly Package[]> | undefined;

/** The standard library and this module. */
async function makePackages(): Promise<readonly Package[]> {
  await using registry = new Registry();
  const standard = await standardLibrary();
  registry.publish(...standard);
  return [...standard, await ownPackage(registry.url)];
}

/** A registry that has this module, of which a package is made once. The tools must be installed. */
export async function startRegistry(): Promise<Registry> {
  packages ??= makePackages();
  const registry = new Registry();
  try {
    registry.publish(...await packages);
    return registry;
  } catch (error) {
    await registry[Symbol.asyncDispose]();
    throw error;
  }
}

let modules: Promise<string> | undefined;

/** A folder with this module and what it needs, installed by npm from a registry. */
async function installModules(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "modules" });
  globalThis.addEventListener("unload", () => {
    Deno.removeSync(folder, { recursive: true });
  });
  await using registry = await startRegistry();
  const npmrc = `@jsr:registry=${registry.url}\n`;
  await Deno.writeTextFile(`${folder}/.npmrc`, npmrc);
  await Deno.writeTextFile(`${folder}/package.json`, PACKAGE);
  await run("npm", ["install", "--no-audit", "--no-fund"], folder);
  return `${folder}/node_modules`;
}

/** What `npx jsr add @unzombie/redis` makes of an empty project. */
const PACKAGE = JSON.stringify({
  private: true,
  type: "module",
  dependencies: { "@unzombie/redis": "npm:@jsr/unzombie__redis" },
});

/** A folder with a `package.json`, and this module in its `node_modules`, which is installed once. */
export class Project implements AsyncDisposable {
  readonly folder: string = Deno.makeTempDirSync({ prefix: "project" });

  private constructor() {}

  /** Makes a project. The tools must be installed. */
  static async create(): Promise<Project> {
    modules ??= installModules();
    const project = new Project();
    await project.write("package.json", PACKAGE);
    await Deno.symlink(await modules, `${project.folder}/node_modules`);
    return project;
  }

  /** Writes a file, and returns its path. */
  async write(name: string, text: string): Promise<string> {
    const path = `${this.folder}/${name}`;
    await Deno.writeTextFile(path, text);
    return path;
  }

  /** Copies files of a folder of the package to one of the project. */
  async copy(from: string, to = "."): Promise<void> {
    const folder = `${this.folder}/node_modules/@unzombie/redis/${from}`;
    await Deno.mkdir(`${this.folder}/${to}`, { recursive: true });
    for (const { name, isFile } of Deno.readDirSync(folder)) {
      if (!isFile) continue;
      await Deno.copyFile(folder + name, `${this.folder}/${to}/${name}`);
    }
  }

  /**
   * Runs a program of the tools, or this Deno, in the folder.
   *
   * @returns What it writes to its standard output, and to its standard error.
   * @throws {Error} If it fails, or is not installed.
   */
  async run(
    program: ProgramName | "deno",
    args: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<{ out: string; log: string }> {
    const path = program === "deno" ? Deno.execPath() : await pathOf(program);
    const { stdout, log } = await run(path, args, this.folder, env);
    return { out: new TextDecoder().decode(stdout), log };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

async function pathOf(program: ProgramName): Promise<string> {
  const found = await findProgram(program);
  if ("path" in found) return found.path;
  throw new Error(found.reason);
}
