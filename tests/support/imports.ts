// The flags that let a child process import what this one imports.

/** Nothing, or the import map that this process was started with. */
export const importFlags: readonly string[] =
  import.meta.resolve("@std/assert").startsWith("file:")
    ? [`--import-map=${path("../../import_map.npm.json")}`]
    : [];

function path(relative: string): string {
  return decodeURIComponent(new URL(relative, import.meta.url).pathname);
}
