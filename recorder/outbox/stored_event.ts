// An entry as a store keeps it, and the check of what comes from a store.
import { isObject, show } from "../../client/check.ts";
import { messageOf } from "../../retry/failures.ts";
import type { Entry } from "../entries/entry.ts";
import { checkEvent, MAX_COUNT } from "../entries/event.ts";
import { EVENT_ID, type StoredEvent } from "./outbox_store.ts";

/** What a store keeps of an entry. The event is copied: its fields alone are plain data. */
export function storedEventOf(id: string, entry: Entry): StoredEvent {
  const { key, score, members } = entry;
  const { mallId, shopNo, eventType, deliveryId, receivedAt } = entry.event;
  return {
    id,
    key,
    score,
    members,
    event: {
      mallId,
      shopNo,
      eventType,
      ...(deliveryId === undefined ? {} : { deliveryId }),
      ...(receivedAt === undefined ? {} : { receivedAt }),
    },
  };
}

/** What is wrong with something from a store; `undefined` if it is a stored event. */
export function faultIn(value: unknown): string | undefined {
  try {
    return faultOf(value);
  } catch (error) {
    return `an entry cannot be read: ${messageOf(error)}`;
  }
}

function faultOf(value: unknown): string | undefined {
  if (!isObject(value)) return `an entry is ${show(value)}, expected an object`;
  const { id, key, score, members, event } = value;
  if (typeof id !== "string" || !EVENT_ID.test(id)) {
    return `the id of an entry is ${
      show(id)
    }, expected 1 to 40 of 0-9, a-z and hyphens`;
  }
  const of = (name: string, fault: string) =>
    `${name} of entry ${id} is ${fault}`;
  if (typeof key !== "string") return of("key", `${show(key)}, not a string`);
  if (typeof score !== "number" || !Number.isFinite(score)) {
    return of("score", `${show(score)}, not a number`);
  }
  if (!Array.isArray(members)) {
    return of("members", `${show(members)}, not an array`);
  }
  if (members.length === 0 || members.length > MAX_COUNT) {
    return of("members", `an array of ${members.length}`);
  }
  const other = members.find((member) => typeof member !== "string");
  if (other !== undefined || members.includes(undefined)) {
    return of("a member", `${show(other)}, not a string`);
  }
  return faultOfEvent(id, event);
}

function faultOfEvent(id: string, event: unknown): string | undefined {
  try {
    checkEvent(event as StoredEvent["event"]);
    return undefined;
  } catch (error) {
    const why = messageOf(error).replace(/^Cannot record event: /, "");
    return `event of entry ${id}: ${why}`;
  }
}
