// What a file of queued events holds, by its bytes.
import type { Disk } from "../../../../recorder/stores/file/disk.ts";
import { HEADER, readHeader } from "../../../../recorder/stores/file/header.ts";
import { Replay } from "../../../../recorder/stores/file/replay.ts";
import { idOf } from "../../../../recorder/stores/file/record.ts";
import { Scan } from "../../../../recorder/stores/file/scan.ts";

/** The ids of the events that a file of these bytes has, without opening it. */
export function idsIn(bytes: Uint8Array): string[] {
  const disk = {
    read: (into: Uint8Array, offset: number) => {
      const part = bytes.subarray(offset, offset + into.length);
      into.set(part);
      return part.length;
    },
  } as Disk;
  const found = readHeader("", bytes.subarray(0, HEADER), bytes.length);
  if (found === undefined) return [];
  const { header: { start, generation, holder } } = found;
  const replay = new Replay(holder);
  const scan = new Scan(disk, generation, start);
  while (scan.next(bytes.length, replay));
  const ids: string[] = [];
  const text = new TextDecoder("latin1").decode(bytes);
  for (let from = 0;;) {
    const place = replay.index.nextFrom(from);
    if (place === undefined) return ids;
    from = place.offset + place.length;
    ids.push(idOf(text.slice(place.offset + 9, from)));
  }
}
