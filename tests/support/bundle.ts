// A program of this repository in one file, with the standard library in it, for any runtime.
import { importFlags } from "./imports.ts";

const bundles = new Map<string, Promise<string>>();

/**
 * The bundle of a module, made once.
 *
 * @throws {Error} If it cannot be made.
 */
export function bundled({ href }: URL): Promise<string> {
  let bundle = bundles.get(href);
  if (bundle === undefined) bundles.set(href, bundle = bundleOf(href));
  return bundle;
}

async function bundleOf(href: string): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--no-check", ...importFlags, href],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { success, stdout, stderr } = await command.output();
  const text = new TextDecoder();
  if (!success) throw new Error(text.decode(stderr));
  return text.decode(stdout);
}
