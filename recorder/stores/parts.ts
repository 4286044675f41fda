// A queued event as parts of a limited length under names that sort by its id, and back.
import type { StoredEvent } from "../outbox/outbox_store.ts";

/**
 * Where the events are that wait for Redis. It stands for the format, too: events in another
 * format belong to another folder, which modules of this version do not read.
 */
export const QUEUED = "queued/";
/** Where the events are that Redis will never take, each with a note of the reason. It sorts before {@linkcode QUEUED}. */
export const ASIDE = "aside/";
/** In the order of code units, right after every name that begins with the folder {@linkcode QUEUED}. */
export const AFTER_QUEUED = "queued0";

/** Between an id and the number of a part. It sorts before everything that an id may have in it: no id's parts lie among those of a longer one. */
const MARK = "#";
/** Right after {@linkcode MARK}. */
const AFTER_MARK = "$";
const DIGITS = 4;

/** The name of a part of an event. */
export const nameOf = (folder: string, id: string, part: number): string =>
  folder + id + MARK + String(part).padStart(DIGITS, "0");

/** The range of names of the parts of one event, its end not included. */
export const rangeOf = (
  folder: string,
  id: string,
): readonly [start: string, end: string] => [
  folder + id + MARK,
  folder + id + AFTER_MARK,
];

/** The id in a name of the folder {@linkcode QUEUED}; `undefined` if it is the name of nothing that was put there by an outbox. */
export const idIn = (name: string): string | undefined => NAME.exec(name)?.[1];

const NAME = /^queued\/([^#]+)#\d{4}$/;

const utf8 = new TextEncoder();

/**
 * An event in parts of at most `most` bytes. Bytes, since the size of a string in a store
 * is not that of its characters: V8 serializes one with a byte for each character or with two,
 * by how it was made.
 */
export function partsOf(
  { id, key, score, members, event }: StoredEvent,
  most: number,
): Uint8Array[] {
  const bytes = utf8.encode(
    JSON.stringify({ id, key, score, members, event }),
  );
  const parts: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += most) {
    parts.push(bytes.slice(at, at + most)); // a view would be stored with all that it is a view of
  }
  return parts;
}

/** The event whose parts are given in order; `undefined` if they are not the parts of an event of that id, all of them. */
export function eventOf(
  id: string,
  parts: readonly unknown[],
): StoredEvent | undefined {
  if (!parts.every((part) => part instanceof Uint8Array)) return undefined;
  try {
    const event = JSON.parse(decode(parts));
    return event?.id === id ? event : undefined;
  } catch {
    return undefined;
  }
}

const text = new TextDecoder("utf-8", { fatal: true });

/** Characters may be cut at the ends of parts. */
function decode(parts: readonly Uint8Array[]): string {
  if (parts.length === 1) return text.decode(parts[0]);
  const stream = new TextDecoder("utf-8", { fatal: true });
  return parts.map((part) => stream.decode(part, { stream: true })).join("") +
    stream.decode();
}

/** Whether a value is of a kind that outboxes store. */
export const isStored = (value: unknown): value is string | Uint8Array =>
  typeof value === "string" || value instanceof Uint8Array;
