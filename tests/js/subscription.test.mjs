import assert from "node:assert/strict";
import { test } from "node:test";

import { Subscription } from "../../clients/js/src/subscription.js";

const publication = (offset) => ({ topic: "t", offset, data: offset, publisher: null, time: "" });

function followed(options = {}) {
  const applied = [];
  const subscription = new Subscription({ ...options, onPublication: (each) => applied.push(each.offset) });
  return { subscription, applied };
}

const reply = (offset, recovered = null, publications = [], epoch = "e") => ({ topic: "t", epoch, offset, recovered, publications });

test("starts at the server's offset and applies what follows, once", () => {
  const { subscription, applied } = followed();
  assert.equal(subscription.position, null);
  assert.equal(subscription.accept(reply(4)), null);
  assert.deepEqual([5, 5, 4, 6].map((offset) => subscription.take(publication(offset))), [
    "applied", "duplicate", "duplicate", "applied",
  ]);
  assert.deepEqual(applied, [5, 6]);
});

test("asks for what was missed and applies it before what was pushed meanwhile", () => {
  const { subscription, applied } = followed();
  subscription.accept(reply(4));
  assert.deepEqual(subscription.position, { epoch: "e", offset: 4 });
  subscription.hold();
  assert.equal(subscription.take(publication(7)), "held");
  assert.equal(subscription.take(publication(8)), "held");
  assert.equal(subscription.accept(reply(7, true, [5, 6, 7].map(publication))), true);
  assert.deepEqual(applied, [5, 6, 7, 8]);
});

test("goes on from the server's offset when the past cannot be complete", () => {
  const { subscription, applied } = followed();
  subscription.hold();
  subscription.accept(reply(4));
  subscription.hold();
  assert.equal(subscription.accept(reply(2, false, [], "other")), false);
  assert.equal(subscription.take(publication(3)), "applied");
  assert.deepEqual(subscription.position, { epoch: "other", offset: 3 });
  assert.deepEqual(applied, [3]);
});

test("a gap is told and nothing behind it applied; where the past is worth nothing there are no gaps", () => {
  const strict = followed();
  strict.subscription.hold();
  strict.subscription.accept(reply(0));
  assert.equal(strict.subscription.take(publication(3)), "gap");
  assert.deepEqual(strict.applied, []);

  const loose = followed({ recover: false });
  loose.subscription.hold();
  loose.subscription.accept(reply(0));
  assert.equal(loose.subscription.take(publication(3)), "applied");
  assert.equal(loose.subscription.position, null);
});

test("whatever is lost, repeated or cut off, every publication is applied once and in order", () => {
  for (let round = 0; round < 200; round += 1) {
    const { subscription, applied } = followed();
    subscription.hold();
    subscription.accept(reply(0));
    let top = 0;
    for (let step = 0; step < 60; step += 1) {
      if (Math.random() < 0.7) top += 1;
      const offset = Math.random() < 0.8 ? top : 1 + Math.floor(Math.random() * Math.max(1, top));
      const isLost = top === 0 || Math.random() < 0.2;
      if (!isLost && subscription.take(publication(offset)) === "gap") recover(subscription, top);
    }
    recover(subscription, top);
    assert.deepEqual(applied, Array.from({ length: top }, (_, index) => index + 1));
  }
});

function recover(subscription, top) {
  const { offset } = subscription.position;
  subscription.hold();
  if (top > 0 && Math.random() < 0.5) subscription.take(publication(top));
  const missed = Array.from({ length: top - offset }, (_, index) => publication(offset + 1 + index));
  subscription.accept(reply(top, true, missed));
}

test("goes on in the epoch that a publication names", () => {
  const { subscription } = followed();
  subscription.accept(reply(4));
  subscription.take({ ...publication(5), epoch: "f" });
  subscription.take(publication(6));
  assert.deepEqual(subscription.position, { epoch: "f", offset: 6 });
});
