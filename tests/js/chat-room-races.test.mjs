// A room and a server whose replies and publications arrive in any order that a network and its threads allow.
import assert from "node:assert/strict";
import { mock, test } from "node:test";

import "./import-map.mjs";
import { settled } from "./fake-socket.js";

const { RoomStore } = await import("../../chat/static/chat/state/room-store.js");

const WORLDS = Number(process.env.WORLDS ?? 200);
const STEPS = 60;
const me = { id: 1, username: "alice" };
const bob = { id: 2, username: "bob" };

/** Numbers that are the same for the same seed. */
function dice(seed) {
  let state = seed * 2654435761 + 1;
  const next = () => (state = (Math.imul(state ^ (state >>> 15), 2246822519) + 374761393) >>> 0) / 2 ** 32;
  for (let turn = 0; turn < 5; turn += 1) next();
  return { chance: (share) => next() < share, below: (count) => Math.floor(next() * count) };
}

class World {
  constructor(seed) {
    this.dice = dice(seed);
    this.messages = [];
    this.rev = 0;
    /** Replies and publications on their way. Publications keep their order; replies of readings change places. */
    this.replies = [];
    this.publications = [];
    this.isOnline = true;
    for (let count = this.dice.below(this.dice.chance(0.2) ? 900 : 250); count > 0; count -= 1) this.write();
    this.oldInfo = this.info();
    this.publications = [];
    const client = {
      state: { name: "online" },
      setPresence: () => {},
      subscribe: (topic, handlers) => {
        if (topic === "room:1") this.handlers = handlers;
        return () => {};
      },
      request: (type, payload) => this.request(type, payload),
    };
    this.room = new RoomStore({ ...this.info(), is_member: true }, {
      client, me, isAttentive: { value: false }, notice: { value: "" }, heard: () => {}, forgetDeleted: () => {}, loadRooms: () => {}, soon: (act) => act(),
    });
    this.room.follow();
    this.room.open();
  }

  info() {
    return { id: 1, name: "general", topic: "room:1", last_seq: this.messages.length, last_rev: this.rev, read_seq: this.messages.length, unread: 0 };
  }

  write() {
    const seq = this.messages.length + 1;
    const message = { id: seq, room_id: 1, seq, rev: (this.rev += 1), author: bob, text: `m${seq}`, client_msg_id: `c${seq}`, sent_at: "2026-11-20T10:00:00Z", deleted: false, reply_to: null, reactions: [], files: [], mentions: [] };
    this.messages.push(message);
    this.publish({ event: "message", message, rev: message.rev });
  }

  edit() {
    if (this.messages.length === 0) return;
    const at = this.dice.below(this.messages.length);
    const message = { ...this.messages[at], rev: (this.rev += 1), text: `edited ${this.rev}` };
    this.messages[at] = message;
    this.publish({ event: "edited", message, rev: message.rev });
  }

  publish(data) {
    if (this.isOnline) this.publications.push(data);
    else this.missed?.push(data);
  }

  request(type, payload) {
    if (!this.isOnline) return Promise.reject(Object.assign(new Error("away"), { code: "disconnected", retryable: true, retryAfterMs: 0 }));
    return new Promise((resolve, reject) => this.replies.push({ type, payload, resolve, reject, reply: undefined }));
  }

  /** The server reads the rows for a reply, which arrives later. */
  answer(request) {
    const { type, payload } = request;
    if (type === "message.changes") {
      const all = this.messages.filter(({ rev }) => rev > payload.after_rev).sort((a, b) => a.rev - b.rev);
      const messages = all.slice(0, payload.limit);
      const has_more = all.length > messages.length;
      request.reply = { messages, has_more, last_rev: has_more ? messages.at(-1).rev : this.rev };
    } else if (type === "message.list") request.reply = this.page(payload);
    else request.reply = { members: [me, bob], messages: [] };
  }

  page({ limit, before_seq, after_seq, around_seq }) {
    const from = after_seq ?? Math.max(0, (around_seq ? Math.min(around_seq + limit / 2, this.messages.length) : (before_seq ?? this.messages.length + 1) - 1) - limit);
    const messages = this.messages.slice(from, from + limit).filter(({ seq }) => before_seq === undefined || seq < before_seq);
    return { messages, has_more: false, has_older: from > 0, has_newer: from + messages.length < this.messages.length, last_rev: this.rev };
  }

  async deliver() {
    const { dice, replies, publications } = this;
    if (replies.length > 0 && dice.chance(0.5)) {
      const request = replies[dice.below(replies.length)];
      if (request.reply === undefined) this.answer(request);
      else {
        replies.splice(replies.indexOf(request), 1);
        if (dice.chance(0.1)) request.reject(Object.assign(new Error("busy"), { code: "overloaded", retryable: true, retryAfterMs: 0 }));
        else request.resolve({ payload: request.reply });
      }
    } else if (publications.length > 0) this.handlers.onPublication({ data: publications.shift() });
    await settled();
  }

  cut() {
    this.isOnline = false;
    // What the client did not get is in the history, or the history has lost it.
    this.missed = this.publications.splice(0);
    for (const request of this.replies.splice(0)) request.reject(Object.assign(new Error("cut"), { code: "disconnected", retryable: true, retryAfterMs: 0 }));
  }

  comeBack() {
    this.isOnline = true;
    const isComplete = this.dice.chance(0.6);
    const missed = this.missed;
    this.missed = undefined;
    this.handlers.onRecovered(isComplete);
    if (isComplete) for (const data of missed) this.handlers.onPublication({ data });
    if (this.room.isIncomplete) this.room.reload();
  }

  async step() {
    const { dice } = this;
    const turn = dice.below(20);
    if (turn < 4) this.write();
    else if (turn < 6) this.edit();
    else if (turn === 6) this.isOnline && this.cut();
    else if (turn === 7) this.isOnline || this.comeBack();
    else if (turn === 8) this.room.loadOlder();
    else if (turn === 9) this.room.loadNewer();
    else if (turn === 10 && this.messages.length > 0) this.room.jumpTo(1 + dice.below(this.messages.length));
    else if (turn === 11) this.room.jumpToEnd();
    // The list of rooms, which was read a while ago.
    else if (turn === 12) this.room.update({ ...this.oldInfo, is_member: true });
    else if (turn === 13) this.oldInfo = this.info();
    // The reply to the sender, which may come before the publication or after it.
    else if (turn === 14 && this.messages.length > 0) this.room.confirmed(this.messages.at(-1));
    else mock.timers.tick(1_000);
    await settled();
    await this.deliver();
  }

  async calmDown() {
    if (!this.isOnline) this.comeBack();
    for (let turn = 0; turn < 200; turn += 1) {
      while (this.replies.length + this.publications.length > 0) {
        for (const request of this.replies.splice(0)) {
          this.answer(request);
          request.resolve({ payload: request.reply });
        }
        for (const data of this.publications.splice(0)) this.handlers.onPublication({ data });
        await settled();
      }
      mock.timers.tick(1_000);
      await settled();
    }
  }
}

test("whatever order replies and publications come in, the room ends as the server has it, without holes", async () => {
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  for (let seed = 1; seed <= WORLDS; seed += 1) {
    const world = new World(seed);
    for (let step = 0; step < STEPS; step += 1) await world.step();
    await world.calmDown();
    const { timeline } = world.room;
    const shown = timeline.value.messages.map(({ seq, text }) => `${seq} ${text}`);
    const from = timeline.value.messages[0]?.seq ?? 1;
    const stored = world.messages.slice(from - 1, from - 1 + shown.length).map(({ seq, text }) => `${seq} ${text}`);
    assert.deepEqual(shown, stored, `world ${seed}`);
    const isAtEnd = from - 1 + shown.length === world.messages.length;
    assert.equal(timeline.value.hasNewer, !isAtEnd, `world ${seed}: newer`);
    assert.equal(timeline.value.hasOlder, from > 1, `world ${seed}: older`);
  }
  mock.timers.reset();
});
