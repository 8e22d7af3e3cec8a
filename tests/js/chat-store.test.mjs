import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import { FakeSocket, settled } from "./fake-socket.js";
import { NO_STORAGE } from "./no-storage.js";

const { RealtimeClient } = await import("../../clients/js/src/client.js");
const { effect } = await import("@preact/signals");
const { Activity, AWAY_MS } = await import("../../chat/static/chat/state/activity.js");
const { ChatStore } = await import("../../chat/static/chat/state/store.js");

const me = { id: 1, username: "alice" };
// Requests that are still in flight belong to the timers of their own test.
afterEach(() => new Promise(setImmediate));

const bob = { id: 2, username: "bob" };

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** A chat server of a few rooms, whose messages are all in the first, as far as these tests need one. */
class FakeChat {
  constructor() {
    this.rev = 0;
    this.messages = [1, 2, 3].map((seq) => this.message(seq, bob));
    this.readSeq = 3;
    this.offset = 0;
    this.forgottenRev = 0;
    this.sockets = [];
    /** Types that get no answer. */
    this.silent = new Set();
    this.refusal = null;
    this.replies = new Map();
    this.presence = { users: [me], count: 1 };
    /** Topics whose presence is pushed. */
    this.watched = new Set();
  }

  message(seq, author, text = `m${seq}`, client_msg_id = `c${seq}`) {
    return {
      id: seq, room_id: 1, seq, rev: (this.rev += 1), author, text, html: "", client_msg_id, sent_at: new Date(seq * 1000).toISOString(),
      edited_at: null, deleted: false, reply_to: null, reactions: [], files: [], mentions: [],
    };
  }

  room(id = 1, name = "general", more = {}) {
    const last_seq = this.messages.length;
    return {
      id, name, topic: `room:${id}`, kind: "public", is_public: true, topic_line: "", archived: false, is_member: true, member_count: 2,
      last_seq, last_rev: this.rev, last_message_at: null, read_seq: this.readSeq, unread: last_seq - this.readSeq, mentions: 0, level: "all",
      is_favourite: false, role: "member", ...more,
    };
  }

  connect() {
    const socket = new FakeSocket();
    const send = socket.send.bind(socket);
    socket.send = (frame) => {
      send(frame);
      const request = JSON.parse(frame);
      if (request.id && !this.silent.has(request.type)) queueMicrotask(() => this.answer(socket, request));
    };
    this.sockets.push(socket);
    return socket;
  }

  answer(socket, { id, type, payload }) {
    const [replyType, reply] = this.handle(type, payload);
    socket.onmessage?.({ data: JSON.stringify({ id, type: replyType, payload: reply }) });
  }

  handle(type, payload) {
    if (this.replies.has(type)) return this.replies.get(type)(payload);
    if (type === "subscribe") {
      return ["subscribed", payload.topics ? { topics: payload.topics.map((each) => this.subscribed(each)) } : this.subscribed(payload)];
    }
    if (type === "room.list") return ["room.list", { rooms: this.rooms.map((each) => this.room(...each)) }];
    if (type === "message.list") return ["message.list", this.page(payload)];
    if (type === "message.changes") return this.changes(payload);
    if (type === "message.send") return this.stored(payload);
    if (type === "member.list") return ["member.list", { room_id: 1, members: [me, bob] }];
    if (type === "read") this.readSeq = payload.seq;
    return [type, payload];
  }

  subscribed({ topic, recover, presence }) {
    if (presence === true) this.watched.add(topic);
    else this.watched.delete(topic);
    const reply = { topic, epoch: `e${this.sockets.length}`, offset: this.offset, recovered: recover ? false : null, publications: [] };
    return presence ? { ...reply, presence: this.presence } : reply;
  }

  page({ before_seq = Infinity, after_seq = 0, around_seq, limit }) {
    const half = Math.floor(limit / 2);
    const older = this.messages.filter(({ seq }) => seq < (around_seq ?? before_seq));
    const newer = this.messages.filter(({ seq }) => seq >= (around_seq ?? after_seq + 1));
    const messages = around_seq
      ? [...older.slice(-half), ...newer.slice(0, limit - half)]
      : after_seq ? newer.slice(0, limit) : older.slice(-limit);
    const [first, last] = [messages[0]?.seq ?? 1, messages.at(-1)?.seq ?? 0];
    const has_older = first > 1;
    const has_newer = last < this.messages.length;
    return { room_id: 1, messages, has_older, has_newer, has_more: after_seq ? has_newer : has_older, last_rev: this.rev };
  }

  changes({ after_rev, limit }) {
    if (after_rev < this.forgottenRev) return ["error", { code: "unrecoverable_position", message: "Gone.", retryable: false }];
    const found = this.messages.filter((each) => each.rev > after_rev).sort((a, b) => a.rev - b.rev);
    const messages = found.slice(0, limit);
    const has_more = messages.length < found.length;
    return ["message.changes", { messages, has_more, last_rev: has_more ? messages.at(-1).rev : this.rev }];
  }

  stored({ text, client_msg_id }) {
    if (this.refusal) return ["error", this.refusal];
    const known = this.messages.find((each) => each.client_msg_id === client_msg_id);
    const message = known ?? this.message(this.messages.length + 1, me, text, client_msg_id);
    if (!known) this.messages.push(message);
    return ["message.sent", { message }];
  }

  /** Somebody else writes; those who are connected are told. */
  write(author = bob) {
    const message = this.message(this.messages.length + 1, author);
    this.messages.push(message);
    this.publish(message);
  }

  publish(message, event = "message", more = {}) {
    this.offset += 1;
    const data = { event, message, rev: message.rev, ...more };
    this.sockets.at(-1).push("publication", { topic: "room:1", offset: this.offset, data, publisher: null, time: "" });
  }

  /** A message changes; those who are connected are told if `isHeard`. */
  change(seq, changes, { event = "edited", isHeard = true, ...more } = {}) {
    const message = { ...this.messages[seq - 1], ...changes, rev: (this.rev += 1) };
    this.messages[seq - 1] = message;
    if (isHeard) this.publish(message, event, more);
  }

  /** The server tells a user's own screens something. */
  tell(data) {
    this.own = (this.own ?? 0) + 1;
    this.sockets.at(-1).push("publication", { topic: "user:1", offset: this.own, data, publisher: null, time: "" });
  }
}

async function opened({ rooms = [[1, "general"]], prepare = () => {}, storage = NO_STORAGE, nextFrame } = {}) {
  const chat = new FakeChat();
  chat.rooms = rooms;
  prepare(chat);
  const client = new RealtimeClient("/ws/chat/", { createSocket: () => chat.connect(), random: () => 0 });
  const store = new ChatStore({ client, me, tenant: { slug: "acme", name: "Acme" }, storage, nextFrame, rooms: rooms.map((each) => chat.room(...each)) });
  store.start();
  store.setAttentive(true);
  chat.sockets[0].welcome();
  await settled();
  await settled();
  return { chat, store, room: store.current.value, texts: () => store.current.value.timeline.value.messages.map((each) => each.text) };
}

async function reconnect(chat) {
  mock.timers.tick(500);
  chat.sockets.at(-1).welcome();
  for (let turn = 0; turn < 6; turn += 1) await settled();
}

test("opens a room with its messages and people", async () => {
  const { room, texts } = await opened();
  assert.deepEqual(texts(), ["m1", "m2", "m3"]);
  assert.deepEqual(room.people.value.map((person) => [person.username, person.isHere]), [["alice", true], ["bob", false]]);
});

test("who is there is asked for the open room only, and after a reconnect all in one request", async () => {
  const { chat, store } = await opened({ rooms: [[1, "general"], [2, "help"], [3, "random"]] });
  assert.deepEqual([...chat.watched].sort(), ["room:1", "rooms:active"]);
  store.select(2);
  for (let turn = 0; turn < 4; turn += 1) await settled();
  assert.deepEqual([[...chat.watched].sort(), store.stores.value.get(1).present.value.count, store.current.value.present.value.count], [["room:2", "rooms:active"], 0, 1]);
  chat.sockets.at(-1).push("presence", { topic: "room:1", joined: [bob], left: [] });
  assert.equal(store.stores.value.get(1).present.value.count, 0);
  chat.sockets.at(-1).end(1006);
  chat.watched.clear();
  await reconnect(chat);
  const asked = chat.sockets.at(-1).requests("subscribe").map(({ payload }) => payload.topics.map((each) => each.topic).sort());
  assert.deepEqual(asked, [["room:1", "room:2", "room:3", "rooms:active", "rooms:public", "typing:2", "user:1"]]);
  assert.deepEqual([...chat.watched].sort(), ["room:2", "rooms:active"]);
  const left = store.leaveRoom(2);
  chat.silent.add("subscribe");
  await left;
  const later = chat.sockets.at(-1).sent.filter(({ type, payload }) => type === "subscribe" && payload.topic === "room:2");
  assert.deepEqual(later, []);
});

test("a room of many is shown by their number, and by name again when it has emptied", async () => {
  const { chat, room } = await opened();
  chat.sockets.at(-1).push("presence", { topic: "room:1", count: 201 });
  assert.deepEqual([room.present.value.count, room.people.value.map((person) => person.isHere)], [201, [null, null]]);
  chat.sockets.at(-1).push("presence", { topic: "room:1", joined: [me, bob], left: [{ id: 9, username: "zoe" }] });
  assert.deepEqual([room.present.value.count, room.people.value.map((person) => person.isHere)], [2, [true, true]]);
});

test("a message is there at once, and once, whether its reply or its publication comes first", async () => {
  const { chat, store, texts } = await opened();
  store.sender.send(1, "hello");
  assert.deepEqual(store.sender.outbox.value.map((entry) => [entry.text, entry.state]), [["hello", "sending"]]);
  await settled();
  chat.publish(chat.messages.at(-1));
  assert.deepEqual(texts(), ["m1", "m2", "m3", "hello"]);
  chat.silent.add("message.send");
  store.sender.send(1, "again");
  const { client_msg_id } = store.sender.outbox.value[0];
  chat.stored({ text: "again", client_msg_id });
  chat.publish(chat.messages.at(-1));
  assert.deepEqual([texts().at(-1), store.sender.outbox.value.length], ["again", 0]);
});

test("what is typed without a connection waits, and is sent in order after it", async () => {
  const { chat, store, texts } = await opened();
  chat.silent.add("message.send");
  store.sender.send(1, "lost on the way");
  chat.stored({ text: "lost on the way", client_msg_id: store.sender.outbox.value[0].client_msg_id });
  chat.sockets.at(-1).end(1006);
  await settled();
  store.sender.send(1, "second");
  store.sender.send(1, "third");
  assert.deepEqual(store.sender.outbox.value.map((entry) => entry.state), ["waiting", "waiting", "waiting"]);
  chat.silent.clear();
  await reconnect(chat);
  assert.deepEqual(texts(), ["m1", "m2", "m3", "lost on the way", "second", "third"]);
  assert.deepEqual([chat.messages.length, store.sender.outbox.value.length], [6, 0]);
});

test("a refused message stays with its reason and does not hold up the next", async () => {
  const { chat, store, texts } = await opened();
  chat.refusal = { code: "permission_denied", message: "Not here.", retryable: false };
  store.sender.send(1, "no");
  await settled();
  chat.refusal = null;
  store.sender.send(1, "yes");
  await settled();
  assert.deepEqual(store.sender.outbox.value.map((entry) => [entry.state, entry.error]), [["failed", "Not here."]]);
  assert.equal(texts().at(-1), "yes");
  store.sender.again(store.sender.outbox.value[0].client_msg_id);
  await settled();
  assert.deepEqual([texts().at(-1), store.sender.outbox.value.length], ["no", 0]);
});

test("what a lost history cannot recover is fetched after the last message here", async () => {
  const { chat, texts } = await opened();
  chat.sockets.at(-1).end(1006);
  for (let n = 0; n < 250; n += 1) chat.messages.push(chat.message(chat.messages.length + 1, bob));
  await reconnect(chat);
  assert.deepEqual(texts(), chat.messages.map((each) => each.text));
});

test("a hole in the numbers is filled", async () => {
  const { chat, texts } = await opened();
  chat.messages.push(chat.message(4, bob));
  chat.write();
  await settled();
  assert.deepEqual(texts(), ["m1", "m2", "m3", "m4", "m5"]);
});

/** The list draws what is there, with the newest at its end. */
function draw(room) {
  room.visibleSeq.value = room.timeline.value.messages.at(-1).seq;
}

test("what is seen is read, what is not is counted and marked", async () => {
  const { chat, store, room } = await opened();
  chat.write();
  draw(room);
  mock.timers.tick(1000);
  await settled();
  assert.deepEqual([room.room.value.unread, chat.readSeq, room.newAfterSeq.value], [0, 4, null]);
  store.setAttentive(false);
  chat.write();
  chat.write();
  assert.deepEqual([room.room.value.unread, store.attention.value.count, room.newAfterSeq.value], [2, 2, 4]);
  draw(room);
  store.setAttentive(true);
  mock.timers.tick(1000);
  await settled();
  assert.deepEqual([store.attention.value.count, chat.readSeq, room.newAfterSeq.value], [0, 6, 4]);
  store.setAttentive(false);
  assert.equal(room.newAfterSeq.value, null);
  chat.write();
  assert.equal(room.newAfterSeq.value, 6);
  store.markCurrentRead();
  assert.equal(room.newAfterSeq.value, null);
});

test("bursts are announced by their number", async () => {
  const { chat, store } = await opened();
  chat.write();
  mock.timers.tick(1000);
  assert.equal(store.announcement.value.text, "bob: m4");
  for (let n = 0; n < 5; n += 1) chat.write();
  mock.timers.tick(1000);
  assert.equal(store.announcement.value.text, "5 new messages");
});

test("an announcement is shown until it is closed or the next one comes", async () => {
  const { chat, store } = await opened();
  chat.sockets.at(-1).push("announcement", { text: "Back in 5 minutes", level: "warning" });
  // Its bar loads later, and a screen reader reads out only changes of what is there already.
  assert.equal(store.announcement.value.text, "Back in 5 minutes");
  assert.deepEqual(store.banner.value, { text: "Back in 5 minutes", level: "warning" });
  chat.sockets.at(-1).push("announcement", { text: "We are back", level: "info" });
  assert.equal(store.banner.value.text, "We are back");
});

test("the same sentence twice is announced twice", async () => {
  const { chat, store } = await opened();
  const turns = [];
  for (let n = 0; n < 2; n += 1) {
    chat.messages.push(chat.message(chat.messages.length + 1, bob, "ok"));
    chat.publish(chat.messages.at(-1));
    mock.timers.tick(1000);
    turns.push([store.announcement.value.text, store.announcement.value.turn]);
  }
  assert.deepEqual(turns, [["bob: ok", 1], ["bob: ok", 2]]);
});

const unread = (count, of = 500) => ({
  prepare: (chat) => {
    while (chat.messages.length < of) chat.messages.push(chat.message(chat.messages.length + 1, bob));
    chat.readSeq = of - count;
  },
});

test("a room with many unread opens around the first of them, in one page, and nothing counts as read yet", async () => {
  const { chat, room } = await opened(unread(150));
  const seqs = room.timeline.value.messages.map((each) => each.seq);
  assert.deepEqual([seqs[0], seqs.at(-1), room.newAfterSeq.value], [301, 400, 350]);
  assert.deepEqual([room.timeline.value.hasOlder, room.timeline.value.hasNewer], [true, true]);
  mock.timers.tick(5_000);
  await settled();
  assert.deepEqual([chat.readSeq, chat.sockets[0].requests("message.list").length], [350, 1]);
});

test("what was scrolled past while looking is read, and no more", async () => {
  const { chat, store, room } = await opened(unread(150));
  store.setAttentive(false);
  room.visibleSeq.value = 360;
  mock.timers.tick(1_000);
  await settled();
  assert.equal(chat.readSeq, 350);
  store.setAttentive(true);
  mock.timers.tick(1_000);
  await settled();
  assert.deepEqual([chat.readSeq, room.room.value.unread], [360, 140]);
});

test("a room whose past was read opens again at its newest message", async () => {
  const { store, room } = await opened({ ...unread(0), rooms: [[1, "general"], [2, "help"]] });
  await room.jumpTo(100);
  // The list shows the message.
  room.target.value = null;
  assert.equal(room.timeline.value.hasNewer, true);
  store.select(2);
  store.select(1);
  await settled();
  assert.deepEqual([room.timeline.value.messages.at(-1).seq, room.isAtEnd.value], [500, true]);
});

test("a room that was open before opens again at its first unread message, however many there are", async () => {
  const { chat, store } = await opened({ rooms: [[1, "general"], [2, "help"]] });
  store.select(2);
  for (let turn = 0; turn < 4; turn += 1) await settled();
  for (let n = 0; n < 450; n += 1) chat.write();
  store.select(1);
  for (let turn = 0; turn < 4; turn += 1) await settled();
  const seqs = store.current.value.timeline.value.messages.map((each) => each.seq);
  assert.ok(seqs.includes(3) && seqs.includes(4), `${seqs[0]}-${seqs.at(-1)}`);
});

test("a message that is edited, deleted or reacted to changes where it stands, and in the answers to it", async () => {
  const { chat, room, texts } = await opened();
  chat.messages.push({ ...chat.message(4, bob), reply_to: { seq: 1, author: bob, text: "m1", deleted: false } });
  chat.publish(chat.messages.at(-1));
  chat.change(2, { text: "better", edited_at: "2026-01-01T00:00:00Z" });
  assert.deepEqual(texts(), ["m1", "better", "m3", "m4"]);
  chat.change(1, { text: "", deleted: true }, { event: "deleted" });
  assert.deepEqual(room.timeline.value.messages[3].reply_to, { seq: 1, author: bob, text: "", deleted: true });
  chat.change(3, { reactions: [{ emoji: "👍", count: 2 }] }, { event: "reacted", emoji: "👍", user_id: 1, is_added: true });
  assert.deepEqual(room.timeline.value.messages[2].reactions, [{ emoji: "👍", count: 2, mine: true }]);
  chat.change(3, { text: "m3!" });
  assert.equal(room.timeline.value.messages[2].reactions.length, 1);
  assert.equal(room.timeline.value.messages[2].reactions[0].mine, true);
});

test("the words of a deleted message go from what is open", async () => {
  const { chat, store } = await opened();
  const { actions, drafts } = store;
  const [first, second, third] = store.current.value.timeline.value.messages;
  actions.reply(first);
  actions.type(1, "my answer");
  actions.floating.value = { kind: "menu", message: first, anchor: null };
  store.show("DeleteMessage", { message: second });
  chat.change(1, { text: "", deleted: true }, { event: "deleted" });
  await settled();
  assert.deepEqual([actions.intentOf(1), drafts.of(1), store.deleted.value], [null, "my answer", [1]]);
  assert.deepEqual([actions.floating.value, store.dialog.value.message], [null, second]);
  actions.edit(second);
  actions.type(1, "m2, better");
  chat.change(2, { text: "", deleted: true }, { event: "deleted" });
  await settled();
  // The text that the reader typed stays.
  assert.deepEqual([actions.intentOf(1), drafts.of(1)], [null, "m2, better\nmy answer"]);
  assert.equal(store.dialog.value, null);
  actions.edit(third);
  // Deleted during a cut.
  chat.rev += 1;
  chat.messages[2] = { ...chat.messages[2], rev: chat.rev, text: "", deleted: true };
  await store.current.value.catchUp();
  assert.deepEqual([actions.intentOf(1), drafts.of(1), store.announcement.value.text], [null, "m2, better\nmy answer", ""]);
});

test("a message that is deleted before it was read counts no longer", async () => {
  const { chat, store, room } = await opened();
  store.setAttentive(false);
  chat.write();
  assert.equal(store.attention.value.count, 1);
  chat.change(4, { text: "", deleted: true }, { event: "deleted" });
  chat.room = () => ({ ...room.room.value, unread: 0 });
  for (let turn = 0; turn < 4; turn += 1) await settled();
  assert.deepEqual([chat.sockets[0].requests("room.list").length, store.attention.value.count], [2, 0]);
});

test("an edit of an old message arrives after a cut whose history is lost", async () => {
  const { chat, texts } = await opened();
  chat.sockets.at(-1).end(1006);
  chat.change(1, { text: "edited while away" }, { isHeard: false });
  chat.messages.push(chat.message(4, bob));
  await reconnect(chat);
  assert.deepEqual(texts(), ["edited while away", "m2", "m3", "m4"]);
});

test("the list of rooms is asked for after the messages, also if they do not come", async () => {
  const { chat } = await opened({ prepare: (each) => each.silent.add("message.list") });
  assert.deepEqual(chat.sockets[0].requests("room.list"), []);
  chat.answer(chat.sockets[0], chat.sockets[0].requests("message.list")[0]);
  await settled();
  assert.equal(chat.sockets[0].requests("room.list").length, 1);
  const cut = await opened({ prepare: (each) => each.silent.add("message.list") });
  cut.chat.sockets[0].end(1006);
  await settled();
  cut.chat.silent.clear();
  await reconnect(cut.chat);
  assert.equal(cut.chat.sockets.at(-1).requests("room.list").length, 1);
  const other = await opened({ prepare: (each) => each.replies.set("message.list", () => ["error", { code: "internal", message: "No.", retryable: false }]) });
  assert.equal(other.chat.sockets[0].requests("room.list").length, 1);
});

test("the rest of the page waits for messages that are on their way, and for no others", async () => {
  const { chat, store } = await opened({ prepare: (each) => each.silent.add("message.list") });
  assert.equal(store.isStarting.value, true);
  chat.sockets[0].end(1006);
  assert.deepEqual([store.connection.value.name, store.isStarting.value], ["waiting", false]);
  chat.silent.clear();
  mock.timers.tick(500);
  assert.deepEqual([store.connection.value.name, store.isStarting.value], ["connecting", true]);
  mock.timers.tick(1_500);
  assert.equal(store.isStarting.value, false);
  await reconnect(chat);
  assert.equal(store.isStarting.value, false);
  const refused = await opened({ prepare: (each) => each.replies.set("message.list", () => ["error", { code: "internal", message: "No.", retryable: false }]) });
  const nowhere = await opened({ rooms: [] });
  assert.deepEqual([refused.store.isStarting.value, nowhere.store.isStarting.value], [false, false]);
});

test("after a gap the rooms are asked for, once for all of them", async () => {
  const { chat, store } = await opened({ rooms: [[1, "general"], [2, "help"]] });
  chat.sockets.at(-1).end(1006);
  chat.messages.push(chat.message(4, bob));
  await reconnect(chat);
  assert.equal(chat.sockets.at(-1).requests("room.list").length, 1);
  assert.equal(store.stores.value.get(2).room.value.unread, 1);
});

test("a change that was never heard of is asked for with the next one", async () => {
  const { chat, texts } = await opened();
  chat.change(1, { text: "unheard" }, { isHeard: false });
  chat.write();
  await settled();
  await settled();
  assert.deepEqual(texts(), ["unheard", "m2", "m3", "m4"]);
});

test("changes that are no longer stored are replaced by the messages as they are", async () => {
  const { chat, texts } = await opened();
  chat.sockets.at(-1).end(1006);
  chat.change(1, { text: "long ago" }, { isHeard: false });
  chat.forgottenRev = chat.rev;
  await reconnect(chat);
  assert.deepEqual(texts(), ["long ago", "m2", "m3"]);
});

test("who is removed from a room stays there, keeps the text, and sends nothing elsewhere", async () => {
  const { chat, store, room } = await opened({ rooms: [[1, "general"], [2, "all"]] });
  store.select(1);
  store.actions.type(1, "our boss");
  chat.tell({ event: "room", room: { ...chat.room(1, "general"), is_public: false, is_member: false } });
  assert.deepEqual([store.current.value.id, store.current.value.room.value.is_member], [1, false]);
  assert.equal(store.actions.textOf(1), "our boss");
  assert.equal(store.actions.textOf(2), "");
  assert.deepEqual(store.joined.value.map((each) => each.name), ["all"]);
  chat.tell({ event: "room", room: { ...chat.room(1, "general"), is_member: true } });
  await settled();
  chat.write();
  assert.deepEqual([store.current.value.room.value.is_member, store.current.value.timeline.value.messages.at(-1).text], [true, "m4"]);
});

test("who leaves by their own will goes to another room", async () => {
  const { store } = await opened({ rooms: [[1, "general"], [2, "help"]] });
  await store.leaveRoom(1);
  assert.equal(store.current.value.id, 2);
});

test("new public rooms appear, and closed ones go", async () => {
  const { chat, store } = await opened();
  const tell = (offset, data) => chat.sockets.at(-1).push("publication", { topic: "rooms:public", offset, data, publisher: null, time: "" });
  tell(1, { event: "room", rev: 1, room: { id: 9, name: "new", topic: "room:9", is_public: true, member_count: 1, last_seq: 5, last_rev: 5 } });
  assert.deepEqual(store.joinable.value.map((room) => [room.name, room.unread]), [["new", 0]]);
  tell(2, { event: "gone", room_id: 9 });
  assert.deepEqual(store.joinable.value, []);
  // The text of a reader who was removed before stays on the page.
  chat.tell({ event: "room", room: chat.room(1, "general", { is_member: false }) });
  tell(3, { event: "gone", room_id: 1 });
  const { is_member, is_public } = store.current.value.room.value;
  assert.deepEqual([is_member, is_public], [false, false]);
});

test("who does nothing for five minutes is away, and back with the next touch", () => {
  const said = [];
  let options;
  const activity = new Activity({
    subscribe(topic, given) {
      options = given;
      said.push(`in ${topic}`);
      return () => said.push(`out ${topic}`);
    },
  });
  activity.touch();
  options.onSubscribed({ presence: { users: [me], count: 1 } });
  options.onPresence({ joined: [bob], left: [] });
  assert.deepEqual([activity.isAway(2), activity.isAway(3)], [false, true]);
  mock.timers.tick(AWAY_MS - 60_000);
  activity.touch();
  mock.timers.tick(AWAY_MS - 1);
  assert.deepEqual(said, ["in rooms:active"]);
  mock.timers.tick(1);
  // Of the others it is not known then whether they are there.
  assert.deepEqual([said.at(-1), activity.isAway(3)], ["out rooms:active", false]);
  activity.touch();
  assert.deepEqual(said, ["in rooms:active", "out rooms:active", "in rooms:active"]);
});

test("a direct room shows whether the other is there while another room is open", async () => {
  const { chat, store } = await opened({ rooms: [[1, "general"], [2, "bob", { kind: "direct" }]] });
  assert.ok(chat.watched.has("room:2"));
  const people = () => store.stores.value.get(2).present.value.users.map(({ id }) => id);
  chat.sockets.at(-1).push("presence", { topic: "room:2", joined: [bob], left: [] });
  store.select(2);
  store.select(1);
  assert.deepEqual([people(), store.sections.value.map(({ name }) => name)], [[1, 2], ["rooms", "people"]]);
});

test("a room to which the server answers is entered, and its error is the caller's", async () => {
  const { chat, store } = await opened();
  chat.replies.set("room.direct", () => ["room", { room: chat.room(7, "bob", { kind: "direct" }) }]);
  await store.enter("room.direct", { user_ids: [2] });
  assert.equal(store.current.value.id, 7);
  chat.replies.set("room.direct", () => ["error", { code: "not_found", message: "There is no such member.", retryable: false }]);
  await assert.rejects(store.enter("room.direct", { user_ids: [9] }), /no such member/);
  chat.replies.set("room.update", () => ["room", { room: chat.room(7, "bob", { archived: true }) }]);
  await store.change("room.update", { room_id: 7, archived: true });
  assert.deepEqual([store.current.value.id, store.stores.value.has(7)], [1, false]);
});

test("a room that is opened, in whatever way, is covered by no drawer", async () => {
  const { store } = await opened({ rooms: [[2, "help"], [1, "general"]] });
  for (const id of [2, 2]) {
    store.drawer.value = "rooms";
    store.select(id);
    assert.deepEqual([store.currentId.value, store.drawer.value], [id, null]);
  }
});

test("a message in another room is shown among those around it", async () => {
  const { store } = await opened({ ...unread(0), rooms: [[2, "help"], [1, "general"]] });
  store.select(2);
  store.select(1, 120);
  for (let turn = 0; turn < 4; turn += 1) await settled();
  const { messages } = store.current.value.timeline.value;
  assert.deepEqual([store.current.value.target.value, messages.some(({ seq }) => seq === 120), store.current.value.isAtEnd.value], [120, true, false]);
});

test("a message that goes out takes away what was said of the one before", async () => {
  const { store } = await opened();
  store.notice.value = "A message takes 10 files.";
  store.actions.type(1, "without them");
  await store.actions.submit(1);
  assert.equal(store.notice.value, "");
});

test("an unsent message goes back into the composer, before what is typed there", async () => {
  const { chat, store } = await opened();
  chat.refusal = { code: "permission_denied", message: "No.", retryable: false };
  store.sender.send(1, "first");
  await settled();
  store.actions.type(1, "second");
  store.actions.takeBack(store.sender.outbox.value[0]);
  assert.deepEqual([store.actions.textOf(1), store.sender.outbox.value.length], ["first\nsecond", 0]);
});

test("an unsent reply is still one when it goes back into the composer", async () => {
  const { chat, store, room } = await opened();
  const [first] = room.timeline.value.messages;
  chat.refusal = { code: "permission_denied", message: "No.", retryable: false };
  store.actions.reply(first);
  store.actions.type(1, "my answer");
  await store.actions.submit(1);
  await settled();
  store.actions.takeBack(store.sender.outbox.value[0]);
  assert.deepEqual([store.actions.textOf(1), store.actions.intentOf(1)], ["my answer", { kind: "reply", message: first }]);
});

test("what was changed of an edit stays when something else takes its place, and when it is asked for again", async () => {
  const { chat, store, room } = await opened();
  const { actions } = store;
  const [first, second] = room.timeline.value.messages;
  actions.edit(first);
  actions.type(1, "m1, better");
  actions.edit(first);
  assert.equal(actions.textOf(1), "m1, better");
  actions.edit(second);
  assert.equal(actions.textOf(1), "m2");
  actions.reply(first);
  assert.equal(actions.textOf(1), "m1, better");
  actions.edit(second);
  actions.type(1, "m2, better");
  chat.refusal = { code: "permission_denied", message: "No.", retryable: false };
  store.sender.send(1, "unsent");
  await settled();
  actions.takeBack(store.sender.outbox.value[0]);
  assert.deepEqual([actions.textOf(1), actions.intentOf(1)], ["unsent\nm2, better\nm1, better", null]);
  actions.edit(first);
  actions.type(1, "given up");
  actions.cancel(1);
  assert.equal(actions.textOf(1), "unsent\nm2, better\nm1, better");
});

test("what is typed while an edit is saved is still an edit, and what is begun meanwhile stays", async () => {
  const { chat, store, room } = await opened();
  chat.replies.set("message.edit", ({ seq, text }) => ["message.edited", { message: { ...chat.messages[seq - 1], rev: (chat.rev += 1), text } }]);
  const { actions } = store;
  const [first, second] = room.timeline.value.messages;
  actions.edit(first);
  actions.type(1, "better");
  const saved = actions.submit(1);
  actions.type(1, "better, and more");
  await saved;
  assert.deepEqual([actions.textOf(1), actions.intentOf(1).saved], ["better, and more", "better"]);
  const again = actions.submit(1);
  actions.reply(second);
  await again;
  assert.deepEqual([actions.textOf(1), actions.intentOf(1)], ["", { kind: "reply", message: second }]);
});

test("what is open beside a message does not come along to another room", async () => {
  const { store, room } = await opened({ rooms: [[1, "general"], [2, "random"]] });
  store.actions.floating.value = { kind: "menu", message: room.timeline.value.messages[0], anchor: null };
  store.select(2);
  assert.equal(store.actions.floating.value, null);
});

test("a message does not sort the people of its room again", async () => {
  const { chat, room } = await opened();
  const { people } = room;
  const known = people.value;
  chat.write();
  assert.equal(people.value, known);
});

test("an edit that is sent twice stays until the server has it, and nothing of it is lost if it fails", async () => {
  const { chat, store, room } = await opened();
  chat.replies.set("message.edit", () => ["error", { code: "internal", message: "No.", retryable: true }]);
  const { actions } = store;
  const [first, second] = room.timeline.value.messages;
  actions.edit(first);
  actions.type(1, "better");
  const both = [actions.submit(1), actions.submit(1)];
  assert.equal(actions.textOf(1), "better");
  assert.deepEqual(await Promise.all(both), [false, false]);
  assert.deepEqual([actions.textOf(1), store.notice.value], ["better", "No."]);
  actions.reply(second);
  assert.equal(actions.textOf(1), "better");
});

test("an edit is no draft, and a reply names what it answers", async () => {
  const { chat, store, room } = await opened();
  store.sender.send(1, "mine");
  await settled();
  store.actions.type(1, "a draft");
  assert.equal(store.actions.editLast(1), true);
  assert.equal(store.actions.textOf(1), "mine");
  store.actions.cancel(1);
  assert.equal(store.actions.textOf(1), "a draft");
  store.actions.reply(room.timeline.value.messages[0]);
  await store.actions.submit(1);
  await settled();
  assert.equal(chat.sockets.at(-1).requests("message.send").at(-1).payload.reply_to, 1);
  assert.deepEqual([store.actions.textOf(1), store.actions.intentOf(1)], ["", null]);
});

/** The browser's storage, over the life of several tabs. */
class FakeStorage {
  constructor() {
    this.entries = new Map();
    this.texts = new Map();
  }

  adoptEntries = async () => [...this.entries.values()];
  putEntry = (entry) => void this.entries.set(entry.client_msg_id, entry);
  deleteEntry = (id) => void this.entries.delete(id);
  drafts = async () => new Map(this.texts);
  watchTabs = () => {};
  putDraft = (roomId, text) => void (text === "" ? this.texts.delete(roomId) : this.texts.set(roomId, text));
}

test("what is unsent and what is typed outlives the tab", async () => {
  const storage = new FakeStorage();
  const { chat, store } = await opened({ storage });
  chat.sockets.at(-1).end(1006);
  for (let n = 0; n < 20; n += 1) {
    mock.timers.tick(1);
    store.sender.send(1, `offline ${n}`);
  }
  store.actions.type(1, "half a sent");
  store.client.stop();
  const next = await opened({ storage });
  for (let turn = 0; turn < 40; turn += 1) await settled();
  assert.deepEqual(next.texts().slice(3), Array.from({ length: 20 }, (_, n) => `offline ${n}`));
  assert.deepEqual([next.store.actions.textOf(1), [...next.store.drafts.texts.value.keys()], storage.entries.size], ["half a sent", [1], 0]);
});

test("what arrives during one frame is drawn once", async () => {
  const frames = [];
  const { chat, room } = await opened({ nextFrame: (draw) => frames.push(draw) });
  let drawn = -1;
  const stop = effect(() => void (room.timeline.value, (drawn += 1)));
  for (let n = 0; n < 5; n += 1) chat.write();
  assert.deepEqual([frames.length, drawn, room.timeline.value.messages.length], [1, 0, 3]);
  frames.pop()();
  assert.deepEqual([frames.length, drawn, room.timeline.value.messages.length], [0, 1, 8]);
  stop();
});

test("a room's new name comes without its numbers, so that no unread message is missed", async () => {
  const { chat, store, room } = await opened();
  store.setAttentive(false);
  const tell = (offset, data) => chat.sockets.at(-1).push("publication", { topic: "rooms:public", offset, data, publisher: null, time: "" });
  tell(1, { event: "room", rev: 9, room: { id: 1, name: "renamed", is_public: true, last_seq: 4, last_rev: 9 } });
  chat.write();
  assert.deepEqual([room.room.value.name, room.room.value.unread], ["renamed", 1]);
});

test("in a busy room the server is told what was read, without waiting for quiet", async () => {
  const { chat, room } = await opened();
  for (let n = 0; n < 10; n += 1) {
    chat.write();
    draw(room);
    mock.timers.tick(100);
    await settled();
  }
  assert.ok(chat.readSeq > 8, String(chat.readSeq));
});
