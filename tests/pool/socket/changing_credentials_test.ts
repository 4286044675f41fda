// When a function of credentials is asked, for how long its answer serves, and when connections are replaced.

import "../../support/strict.ts";
import {
  assert,
  assertEquals,
  assertFalse,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { delay } from "@std/async/delay";
import {
  ChangingCredentials,
  LEAST_SESSION,
} from "../../../pool/socket/changing_credentials.ts";
import type {
  Credentials,
  CredentialsFunction,
  CredentialsRequest,
  DialCredentials,
} from "../../../pool/socket/credentials.ts";

const NOON = Date.UTC(2026, 10, 27, 12);
const MINUTE = 60_000;

/** Clocks that are set by hand, and a function whose answers are numbered. */
class Scene {
  now = 1000;
  wall = NOON;
  asked = 0;
  /** How each answer is made. */
  give: (n: number) => Credentials | Promise<Credentials> = (n) => ({
    password: `p${n}`,
    expiresAt: this.wall + 60 * MINUTE,
  });
  signals: AbortSignal[] = [];
  readonly ask: CredentialsFunction = ({ signal }) => {
    this.signals.push(signal);
    return this.give(++this.asked);
  };
  readonly credentials = new ChangingCredentials(this.ask, {
    now: () => this.now,
    wall: () => this.wall,
    random: () => 0,
  });

  pass(ms: number): void {
    this.now += ms;
    this.wall += ms;
  }

  dial(
    refused?: DialCredentials,
    { signal = new AbortController().signal, timeoutMs = 5000 } = {},
  ): Promise<DialCredentials | undefined> {
    const request: CredentialsRequest = { signal, timeoutMs };
    return this.credentials.forDial(
      refused ? { ...request, refused } : request,
    );
  }

  async password(refused?: DialCredentials): Promise<string | undefined> {
    return (await this.dial(refused))?.password;
  }
}

const isDue = (login: DialCredentials | undefined): boolean =>
  login!.isDue!({ signal: new AbortController().signal, timeoutMs: 5000 });

Deno.test("Dials at the same time share one question", async () => {
  const scene = new Scene();
  scene.give = async (n) => {
    await delay(5);
    return { password: `p${n}` };
  };
  const given = await Promise.all([1, 2, 3].map(() => scene.password()));
  assertEquals(given, ["p1", "p1", "p1"]);
  // Without an end an answer serves those that have asked.
  assertEquals(await scene.password(), "p2");
});

Deno.test("An answer serves dials for three quarters of its life", async () => {
  const scene = new Scene();
  assertEquals(await scene.password(), "p1");
  scene.pass(44 * MINUTE);
  assertEquals(await scene.password(), "p1");
  scene.pass(2 * MINUTE);
  assertEquals(await scene.password(), "p2");
});

Deno.test("expiresAt may be a Date, or infinite", async () => {
  const scene = new Scene();
  scene.give = (n) => ({
    password: `p${n}`,
    expiresAt: n === 1 ? new Date(NOON + 4 * MINUTE) : Infinity,
  });
  assertEquals(await scene.password(), "p1");
  scene.pass(2 * MINUTE);
  assertEquals(await scene.password(), "p1");
  scene.pass(2 * MINUTE);
  assertEquals(await scene.password(), "p2");
  scene.pass(1e6 * MINUTE);
  assertEquals(await scene.password(), "p2");
});

Deno.test("The user is the default one where none is given", async () => {
  const scene = new Scene();
  scene.give = (n) =>
    n === 1 ? { password: "" } : { username: "ann", password: "p" };
  assertEquals((await scene.dial())?.username, "default");
  assertEquals((await scene.dial())?.username, "ann");
});

Deno.test("Any clock that has gone beyond the end ends an answer: set forward, asleep, or set back", async () => {
  const scene = new Scene();
  assertEquals(await scene.password(), "p1");
  scene.wall += 3600 * MINUTE; // set by hand, or asleep
  assertEquals(await scene.password(), "p2");
  scene.wall -= 7200 * MINUTE; // set back: the answer ends by the other clock
  assertEquals(await scene.password(), "p2");
  scene.now += 50 * MINUTE;
  assertEquals(await scene.password(), "p3");
});

Deno.test("Where the clock is ahead of the end, answers serve for a second, and connections for half a minute", async () => {
  const scene = new Scene();
  scene.give = (n) => ({ password: `p${n}`, expiresAt: scene.wall - n + 1 });
  const login = await scene.dial();
  assertEquals(await scene.password(), "p1");
  scene.pass(1000);
  assertEquals(await scene.password(), "p2");
  assertFalse(isDue(login));
  scene.pass(LEAST_SESSION.ms);
  assert(isDue(login));
});

Deno.test("While the function fails, its last answer serves until it expires", async () => {
  const scene = new Scene();
  const login = await scene.dial();
  scene.give = () => Promise.reject(new Error("sealed"));
  scene.pass(50 * MINUTE);
  assertEquals(await scene.password(), "p1");
  assertEquals(scene.asked, 2);
  assertFalse(isDue(login)); // there is nothing to replace it with
  scene.pass(15 * MINUTE);
  await assertRejects(() => scene.password(), Error, "sealed");
});

Deno.test("A function that has frozen costs a dial half a second while its last answer serves", async () => {
  const scene = new Scene();
  await scene.dial();
  scene.give = () => new Promise(() => {});
  scene.pass(50 * MINUTE);
  const startedAt = performance.now();
  assertEquals(await scene.password(), "p1");
  assert(performance.now() - startedAt >= 450);
  assert(scene.signals.at(-1)!.aborted); // no dial waits for it
});

Deno.test("A failure serves dials for a moment, and longer with each one", async () => {
  const scene = new Scene();
  scene.give = () => {
    throw new Error("sealed");
  };
  const times: number[] = [];
  for (let ms = 0; ms < 4000; ms += 10, scene.pass(10)) {
    const before = scene.asked;
    await assertRejects(() => scene.password(), Error, "sealed");
    if (scene.asked > before) times.push(ms);
  }
  assertEquals(times, [0, 50, 150, 350, 750, 1550, 2550, 3550]);
});

Deno.test("A question ends when the last dial that waits for it leaves", async () => {
  const scene = new Scene();
  scene.give = () => new Promise(() => {});
  const [one, other] = [new AbortController(), new AbortController()];
  const waits = [one, other].map(({ signal }) =>
    scene.dial(undefined, { signal }).catch((error) => error)
  );
  await delay(0);
  one.abort("one");
  assertEquals(await waits[0], "one");
  assertFalse(scene.signals[0]!.aborted);
  other.abort("other");
  assertEquals(await waits[1], "other");
  assert(scene.signals[0]!.aborted);
  scene.give = () => ({ password: "p" });
  assertEquals(await scene.password(), "p");
});

Deno.test("A question that has taken too long is not shared: the next dial asks anew", async () => {
  const scene = new Scene();
  let answerLate: (late: Credentials) => void;
  scene.give = () => new Promise((resolve) => answerLate = resolve);
  const frozen = scene.dial().catch((error) => `${error}`);
  await delay(0);
  scene.pass(5000);
  scene.give = () => ({ password: "new", expiresAt: NOON + 60 * MINUTE });
  assertEquals(await scene.password(), "new");
  assertEquals(await frozen, "Error: no answer within 5000 ms");
  answerLate!({ password: "late", expiresAt: NOON + 90 * MINUTE });
  await delay(0);
  assertEquals(await scene.password(), "new");
});

Deno.test("What the server has refused is asked for anew once, and then once a second", async () => {
  const scene = new Scene();
  const first = await scene.dial();
  const others = await scene.dial(first);
  assertEquals(others?.password, "p2");
  // Another dial was refused meanwhile: there are others already.
  assertEquals(await scene.password(first), "p2");
  assertEquals(scene.asked, 2);

  scene.give = () => ({ password: "p2", expiresAt: NOON + 60 * MINUTE });
  assertEquals(await scene.dial(others), undefined);
  assertEquals(scene.asked, 3);
  assertEquals(await scene.dial(others), undefined);
  assertEquals(await scene.password(), "p2"); // the server may have heard of it by now
  assertEquals(scene.asked, 3);
  scene.pass(1000);
  assertEquals(await scene.password(), "p2");
  assertEquals(scene.asked, 4);
});

Deno.test("An answer to a question from before a refusal is no answer to the refusal", async () => {
  const scene = new Scene();
  const refused = await scene.dial();
  scene.pass(60 * MINUTE);
  const answers: ((given: Credentials) => void)[] = [];
  scene.give = () => new Promise((resolve) => answers.push(resolve));
  const other = scene.password();
  await delay(0);
  const anew = scene.password(refused);
  answers[0]!({ password: "p1" });
  assertEquals(await other, "p1");
  await delay(0);
  answers[1]!({ password: "p2" });
  assertEquals(await anew, "p2");
});

Deno.test("A connection is replaced before its login ends, and not before there are other credentials", async () => {
  const scene = new Scene();
  const login = await scene.dial();
  scene.pass(47 * MINUTE);
  assertFalse(isDue(login));
  scene.pass(2 * MINUTE);
  assertEquals(scene.asked, 1);
  assertFalse(isDue(login));
  assertFalse(isDue(login));
  assertEquals(scene.asked, 2); // one question
  await delay(0);
  assert(isDue(login));
  assertFalse(isDue(await scene.dial()));
});

Deno.test("A function that gives the same token until its end is asked again, and the connection stays", async () => {
  const scene = new Scene();
  scene.give = () => ({ password: "same", expiresAt: NOON + 60 * MINUTE });
  const login = await scene.dial();
  for (let minute = 0; minute < 59; minute++, scene.pass(MINUTE)) {
    assertFalse(isDue(login));
    await delay(0);
  }
  assert(scene.asked >= 2 && scene.asked < 8, `${scene.asked}`);
});

Deno.test("A connection lasts as long as its session where that does not depend on the token", async () => {
  const scene = new Scene();
  scene.give = (n) => ({
    password: `p${n}`,
    expiresAt: scene.wall + 15 * MINUTE,
    sessionMs: 720 * MINUTE,
  });
  const login = await scene.dial();
  scene.pass(575 * MINUTE);
  assertFalse(isDue(login));
  assertEquals(scene.asked, 1);
  scene.pass(2 * MINUTE);
  assertFalse(isDue(login));
  await delay(0);
  assert(isDue(login));

  scene.give = () => ({ password: "for ever", sessionMs: 720 * MINUTE });
  scene.pass(60 * MINUTE);
  const other = await scene.dial();
  scene.pass(600 * MINUTE);
  assertFalse(isDue(other));
  await delay(0);
  assert(isDue(other));
});

Deno.test("What cannot be used is explained without a value", async () => {
  const secret = "s3cret-of-all";
  const at = NOON + MINUTE;
  const table: [unknown, string][] = [
    [
      undefined,
      "gave a value of type undefined, expected { username?, password",
    ],
    [null, "gave null, expected {"],
    [secret, "gave a value of type string, expected {"],
    [{}, "gave no password, expected a string"],
    [{ password: 7 }, "gave password of type number, expected a string"],
    [{ password: new TextEncoder().encode(secret) }, "of type object"],
    [{ password: secret, username: 7 }, "gave username of type number"],
    [{ password: secret, expiresAt: "soon" }, "gave expiresAt of type string"],
    [{ password: secret, expiresAt: NaN }, "Unix time in milliseconds"],
    [{ password: secret, expiresAt: new Date(NaN) }, "a valid Date"],
    [{ password: secret, expiresAt: at / 1000 }, "these may be seconds"],
    [
      { password: secret, expiresAt: at, sessionMs: 0 },
      "a number of more than 0",
    ],
  ];
  for (const [value, text] of table) {
    const scene = new Scene();
    scene.give = () => value as Credentials;
    const error = await assertRejects(() => scene.dial(), TypeError);
    assertStringIncludes(error.message, text);
    assertFalse(Deno.inspect(error).includes(secret));
  }
});
