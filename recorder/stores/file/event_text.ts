// An event as a line of text.
import { isObject } from "../../../client/check.ts";
import type { WebhookEvent } from "../../event.ts";
import type { StoredEvent } from "../../outbox_store.ts";
import { ascii } from "./record.ts";

/** In the place of a field that is not there, and of the default key. */
const NONE = "-";
/** What can stand between two spaces. */
const WORD = /^(?!-$)[!-~]+$/;

/** The key that is left out. It is part of the format, even if the default of a recorder should change. */
const defaultKeyOf = ({ mallId, shopNo, eventType }: WebhookEvent): string =>
  `webhook_frequency_${mallId}_${shopNo}_${eventType}`;

const isWord = (value: unknown): boolean =>
  typeof value === "string" && WORD.test(value);

/**
 * An event as text, all of it ASCII: its id, score, key, mall, shop and type, its
 * delivery and time, and its members, with spaces between. That takes half the
 * room of JSON, and a third of the time to be read. What does not fit there is JSON
 * after the id.
 */
export function textOf(entry: StoredEvent): string {
  return isPlain(entry)
    ? wordsOf(entry)
    : `${entry.id} ${ascii(JSON.stringify(entry))}`;
}

/** Whether nothing but words and numbers is in the fields of an event, and no other field is there. */
function isPlain(entry: StoredEvent): boolean {
  const { key, score, members, event } = entry;
  if (!isObject(event) || !Array.isArray(members)) return false;
  const { mallId, shopNo, eventType, deliveryId, receivedAt } = event;
  const fields = 3 + (deliveryId === undefined ? 0 : 1) +
    (receivedAt === undefined ? 0 : 1);
  return Object.keys(entry).length === 5 &&
    Object.keys(event).length === fields &&
    Number.isFinite(score) && Number.isFinite(shopNo) &&
    (receivedAt === undefined || Number.isFinite(receivedAt)) &&
    (deliveryId === undefined || isWord(deliveryId)) &&
    isWord(mallId) && isWord(eventType) && isWord(key) &&
    members.length > 0 && members.every(isWord);
}

function wordsOf({ id, key, score, members, event }: StoredEvent): string {
  const { mallId, shopNo, eventType, deliveryId, receivedAt } = event;
  const shown = key === defaultKeyOf(event) ? NONE : key;
  return `${id} ${score} ${shown} ${mallId} ${shopNo} ${eventType} ${
    deliveryId ?? NONE
  } ${receivedAt ?? NONE} ${members.join(" ")}`;
}

/** The event of a text that {@linkcode textOf} made. */
export function eventOf(text: string): StoredEvent {
  if (text[text.indexOf(" ") + 1] === "{") {
    return JSON.parse(text.slice(text.indexOf(" ")));
  }
  const words = text.split(" ");
  const event: { -readonly [K in keyof WebhookEvent]: WebhookEvent[K] } = {
    mallId: words[3]!,
    shopNo: Number(words[4]),
    eventType: words[5]!,
  };
  if (words[6] !== NONE) event.deliveryId = words[6]!;
  if (words[7] !== NONE) event.receivedAt = Number(words[7]);
  return {
    id: words[0]!,
    key: words[2] === NONE ? defaultKeyOf(event) : words[2]!,
    score: Number(words[1]),
    members: words.slice(8),
    event,
  };
}
