// Where the servers of tests keep their files: in memory, where there is room, since a disk that others use may stall for seconds.

const DIRECTORY = "/dev/shm";
/** A container often has 64 MB, which replicas and logs of commands would fill. */
const ROOM_BYTES = 1 << 30;

let directory: Promise<string | undefined> | undefined;

/** A directory in memory; `undefined` where there is none, or too little room. */
export function memoryDirectory(): Promise<string | undefined> {
  return directory ??= hasRoom(DIRECTORY)
    .then((has) => has ? DIRECTORY : undefined);
}

/** Asks a program: `node:fs`, which could say it, costs each test file 70 ms of a core to load. */
async function hasRoom(path: string): Promise<boolean> {
  try {
    const { success, stdout } = await new Deno.Command("stat", {
      args: ["--file-system", "--format=%a %S", path],
      stdin: "null",
      stderr: "null",
    }).output();
    const [blocks, size] = new TextDecoder().decode(stdout).split(" ");
    return success && Number(blocks) * Number(size) >= ROOM_BYTES;
  } catch {
    return false;
  }
}
