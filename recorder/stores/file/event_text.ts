// An event as a line of text.
import { isObject } from "../../../client/check.ts";
import type { WebhookEvent } from "../../entries/event.ts";
import type { StoredEvent } from "../../outbox/outbox_store.ts";
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
  read = 0;
  const id = nextWord(text);
  const score = Number(nextWord(text));
  const key = nextWord(text);
  const event: { -readonly [K in keyof WebhookEvent]: WebhookEvent[K] } = {
    mallId: nextWord(text),
    shopNo: Number(nextWord(text)),
    eventType: nextWord(text),
  };
  const deliveryId = nextWord(text);
  const receivedAt = nextWord(text);
  if (deliveryId !== NONE) event.deliveryId = deliveryId;
  if (receivedAt !== NONE) event.receivedAt = Number(receivedAt);
  const members: string[] = [];
  while (read < text.length) members.push(nextWord(text));
  return {
    id,
    key: key === NONE ? defaultKeyOf(event) : key,
    score,
    members,
    event,
  };
}

/** How far {@linkcode nextWord} has read. `split` takes half as long again. */
let read = 0;

function nextWord(text: string): string {
  const from = read;
  const to = text.indexOf(" ", from);
  read = to < 0 ? text.length + 1 : to + 1;
  return text.slice(from, read - 1);
}
