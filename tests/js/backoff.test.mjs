import assert from "node:assert/strict";
import { test } from "node:test";

import { BACKOFF_MAX_MS, BACKOFF_MIN_MS, backoffMs } from "../../clients/js/src/backoff.js";
import { attemptAfter, closeAction } from "../../clients/js/src/close-codes.js";

test("waits lie between the minimum and a ceiling that doubles up to the maximum", () => {
  const ceilings = [0, 1, 2, 3, 4, 5, 6, 60].map((attempt) => backoffMs(attempt, 1));
  assert.deepEqual(ceilings, [1000, 2000, 4000, 8000, 16_000, 20_000, 20_000, 20_000]);
  for (let attempt = 0; attempt < 2000; attempt += 7) {
    assert.equal(backoffMs(attempt, 0), BACKOFF_MIN_MS);
    assert.ok(backoffMs(attempt, Math.random()) <= BACKOFF_MAX_MS);
  }
});

test("every close code of the protocol has its action", () => {
  const actions = {
    1000: "stop", 1001: "spread", 1006: "reconnect", 1007: "stop", 1009: "stop", 1012: "spread",
    4400: "stop", 4401: "sign-in", 4403: "stop", 4404: "stop", 4408: "reconnect", 4410: "reconnect",
    4429: "back-off", 4503: "spread",
  };
  for (const [code, action] of Object.entries(actions)) assert.equal(closeAction(Number(code)), action, code);
});

test("an operator's reason says whether to return", () => {
  assert.equal(closeAction(4409, "reconnect: please stop and do not reconnect in a loop"), "spread");
  assert.equal(closeAction(4409, "stop: you may not reconnect: never"), "stop");
  assert.equal(closeAction(4409, "stop"), "stop");
  // A server that loses reasons, or words that nobody has defined.
  assert.equal(closeAction(4409, ""), "back-off");
  assert.equal(closeAction(4409, "unstoppable: stop"), "back-off");
});

test("a client that was too much waits long at once, one cut off with everybody waits some seconds", () => {
  assert.equal(attemptAfter("reconnect", 0), 0);
  assert.equal(attemptAfter("spread", 0), 2);
  assert.equal(attemptAfter("back-off", 0), 5);
  assert.equal(attemptAfter("spread", 7), 7);
});
