// The members of an event that has a delivery id.

/** The namespace of members made from delivery ids. Changing it would count redeliveries twice. */
const DELIVERIES = "5d0f6b0e-4c1c-4b8e-9a55-1f7c2c9f2b61";

/**
 * The UUID v5 of a delivery id, so that the same webhook delivered again writes
 * the same members.
 *
 * @see {@link https://www.rfc-editor.org/rfc/rfc9562#name-uuid-version-5}
 */
export async function membersOf(
  deliveryId: string,
  count: number,
): Promise<string[]> {
  // Five modules, 2 ms of a cold start, needed only with delivery ids.
  const { generate: uuidV5 } = await import("@std/uuid/v5");
  const utf8 = new TextEncoder();
  const first = await uuidV5(DELIVERIES, utf8.encode(deliveryId));
  // Its own namespace: no other delivery's id can lead to these.
  const others = Array.from(
    { length: count - 1 },
    (_, i) => uuidV5(first, utf8.encode(`${i + 1}`)),
  );
  return [first, ...await Promise.all(others)];
}
