import assert from "node:assert/strict";
import { test } from "node:test";

import { marked, nextToSend, restored, waitingCount, withMessage, without } from "../../chat/static/chat/lib/outbox.js";

const typed = (id) => ({ client_msg_id: id, room_id: 1, text: id, created_at: "2026-01-01T00:00:00Z" });
const outbox = () => ["a", "b", "c"].reduce((all, id) => withMessage(all, typed(id)), []);

test("messages are sent in order, one at a time", () => {
  assert.equal(nextToSend(outbox()).client_msg_id, "a");
  assert.equal(nextToSend(marked(outbox(), "a", "sending")), null);
  assert.equal(nextToSend(without(outbox(), "a")).client_msg_id, "b");
});

test("one that is refused does not hold up the others, nor count as waiting", () => {
  const refused = marked(outbox(), "a", "failed", "No.");
  assert.equal(nextToSend(refused).client_msg_id, "b");
  assert.equal(waitingCount(refused), 2);
  assert.equal(refused[0].error, "No.");
});

test("a stored outbox is sent again under the same ids; rubbish is an empty one", () => {
  const stored = JSON.stringify(marked(outbox(), "a", "sending"));
  assert.deepEqual(restored(stored).map((each) => [each.client_msg_id, each.state]), [["a", "waiting"], ["b", "waiting"], ["c", "waiting"]]);
  for (const rubbish of [null, "", "{", "{}"]) assert.deepEqual(restored(rubbish), []);
});
