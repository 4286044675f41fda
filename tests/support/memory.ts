// Where the servers of tests keep their files: in memory, where there is room, since a disk that others use may stall for seconds.
import { statfsSync } from "node:fs";

const DIRECTORY = "/dev/shm";
/** A container often has 64 MB, which replicas and logs of commands would fill. */
const ROOM_BYTES = 1 << 30;

/** A directory in memory; `undefined` where there is none, or too little room. */
export const memoryDirectory: string | undefined = hasRoom(DIRECTORY)
  ? DIRECTORY
  : undefined;

function hasRoom(path: string): boolean {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize >= ROOM_BYTES;
  } catch {
    return false;
  }
}
