import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode } from "../../clients/js/src/envelope.js";
import { RealtimeError } from "../../clients/js/src/errors.js";
import { Requests } from "../../clients/js/src/requests.js";

test("what is encoded is decoded", () => {
  assert.deepEqual(decode(encode("typing", { room_id: 3 }, "7")), { id: "7", type: "typing", payload: { room_id: 3 } });
  assert.equal(encode("ping"), '{"type":"ping","payload":{}}');
});

test("a number that JSON has no form for is an error, and not null", async () => {
  for (const value of [NaN, Infinity, -Infinity]) {
    assert.throws(() => encode("publish", { topic: "t", data: [{ price: value }] }), new TypeError(`price: ${value}`));
  }
  assert.equal(encode("publish", { data: [null, undefined, 0, -1.5] }), '{"type":"publish","payload":{"data":[null,null,0,-1.5]}}');
  const requests = new Requests(() => assert.fail("sent"), { queueMax: 1 });
  await assert.rejects(requests.ask("publish", { data: NaN }, 1000).reply, TypeError);
  requests.flush();
});

test("what is not a message is null, and a missing payload is empty", () => {
  for (const frame of ["", "{", "[]", "null", "1", '{"payload":{}}', '{"type":1}', new ArrayBuffer(2)]) {
    assert.equal(decode(frame), null);
  }
  assert.deepEqual(decode('{"type":"pong"}'), { id: null, type: "pong", payload: {} });
  assert.deepEqual(decode('{"type":"x","payload":[1]}').payload, {});
});

test("an error keeps what the caller decides by", () => {
  const error = RealtimeError.fromPayload({ code: "rate_limited", message: "Slow.", retryable: true, retry_after_ms: 250 });
  assert.deepEqual([error.code, error.message, error.retryable, error.retryAfterMs], ["rate_limited", "Slow.", true, 250]);
});
