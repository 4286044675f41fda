// Modules that are part of a runtime, loaded out of sight of bundlers.

/** The part of `process` that is needed. */
interface Process {
  getBuiltinModule?(name: string): unknown;
}

/**
 * Loads a module that is part of the runtime. A specifier that a bundler can
 * read is one that it warns of or fails at, wherever it has no such module:
 * esbuild, webpack and vite do.
 *
 * @param name Such as `node:net` or `cloudflare:sockets`.
 * @returns The module; `T` is the part of it that is used.
 */
export async function builtin<T>(name: string): Promise<T> {
  if (name.startsWith("node:")) {
    const { process } = globalThis as { process?: Process };
    const module = process?.getBuiltinModule?.(name);
    if (module !== undefined) return module as T;
  }
  return await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
}
