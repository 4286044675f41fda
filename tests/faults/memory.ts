// Where servers keep their files: in memory, where there is such a place, for a disk stalls for longer than what is measured.

const DIRECTORY = "/dev/shm";

/** Options of a server. */
export const MEMORY: { readonly directory?: string } = isDirectory(DIRECTORY)
  ? { directory: DIRECTORY }
  : {};

function isDirectory(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch {
    return false;
  }
}
