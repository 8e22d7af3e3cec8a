import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import "./import-map.mjs";
import { FakeSocket, settled } from "./fake-socket.js";

const { RealtimeClient } = await import("../../realtime/static/realtime/client.js");
const { ChatStore } = await import("../../chat/static/chat/state/store.js");

const me = { id: 1, username: "alice" };
const bob = { id: 2, username: "bob" };

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** A chat server of a few rooms, whose messages are all in the first, as far as these tests need one. */
class FakeChat {
  constructor() {
    this.messages = [1, 2, 3].map((seq) => this.message(seq, bob));
    this.readSeq = 3;
    this.offset = 0;
    this.sockets = [];
    /** Types that get no answer. */
    this.silent = new Set();
    this.refusal = null;
    this.presence = { users: [me], count: 1 };
    /** Topics whose presence is pushed. */
    this.watched = new Set();
  }

  message(seq, author, text = `m${seq}`, client_msg_id = `c${seq}`) {
    return { id: seq, room_id: 1, seq, author, text, client_msg_id, sent_at: new Date(seq * 1000).toISOString() };
  }

  room(id = 1, name = "general") {
    const last_seq = this.messages.length;
    return {
      id, name, topic: `room:${id}`, is_public: true, is_member: true, member_count: 2,
      last_seq, read_seq: this.readSeq, unread: last_seq - this.readSeq,
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
    if (type === "subscribe") {
      return ["subscribed", payload.topics ? { topics: payload.topics.map((each) => this.subscribed(each)) } : this.subscribed(payload)];
    }
    if (type === "room.list") return ["room.list", { rooms: this.rooms.map((each) => this.room(...each)) }];
    if (type === "message.list") return ["message.list", this.page(payload)];
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

  page({ before_seq = Infinity, after_seq = 0, limit }) {
    const found = this.messages.filter(({ seq }) => seq < before_seq && seq > after_seq);
    const messages = after_seq ? found.slice(0, limit) : found.slice(-limit);
    return { room_id: 1, messages, has_more: messages.length < found.length };
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

  publish(message) {
    this.offset += 1;
    this.sockets.at(-1).push("publication", { topic: "room:1", offset: this.offset, data: { event: "message", message }, publisher: null, time: "" });
  }
}

async function opened({ rooms = [[1, "general"]] } = {}) {
  const chat = new FakeChat();
  chat.rooms = rooms;
  const client = new RealtimeClient("/ws/chat/", { createSocket: () => chat.connect(), random: () => 0 });
  const store = new ChatStore({ client, me, tenant: { slug: "acme", name: "Acme" }, rooms: rooms.map((each) => chat.room(...each)) });
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
  assert.deepEqual([...chat.watched], ["room:1"]);
  store.select(2);
  for (let turn = 0; turn < 4; turn += 1) await settled();
  assert.deepEqual([[...chat.watched], store.stores.value.get(1).present.value.count, store.current.value.present.value.count], [["room:2"], 0, 1]);
  chat.sockets.at(-1).push("presence", { topic: "room:1", joined: [bob], left: [] });
  assert.equal(store.stores.value.get(1).present.value.count, 0);
  chat.sockets.at(-1).end(1006);
  chat.watched.clear();
  await reconnect(chat);
  const asked = chat.sockets.at(-1).requests("subscribe").map(({ payload }) => payload.topics.map((each) => each.topic).sort());
  assert.deepEqual(asked, [["room:1", "room:2", "room:3", "typing:2", "user:1"]]);
  assert.deepEqual([...chat.watched], ["room:2"]);
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

test("what is seen is read, what is not is counted and marked", async () => {
  const { chat, store, room } = await opened();
  chat.write();
  mock.timers.tick(1000);
  await settled();
  assert.deepEqual([room.room.value.unread, chat.readSeq, room.newAfterSeq.value], [0, 4, null]);
  store.setAttentive(false);
  chat.write();
  chat.write();
  assert.deepEqual([room.room.value.unread, store.unread.value, room.newAfterSeq.value], [2, 2, 4]);
  store.setAttentive(true);
  mock.timers.tick(1000);
  await settled();
  assert.deepEqual([store.unread.value, chat.readSeq, room.newAfterSeq.value], [0, 6, 4]);
  store.markCurrentRead();
  assert.equal(room.newAfterSeq.value, null);
});

test("bursts are announced by their number", async () => {
  const { chat, store } = await opened();
  chat.write();
  mock.timers.tick(1000);
  assert.equal(store.announcement.value, "bob: m4");
  for (let n = 0; n < 5; n += 1) chat.write();
  mock.timers.tick(1000);
  assert.equal(store.announcement.value, "5 new messages");
});

test("an announcement is shown until it is closed or the next one comes", async () => {
  const { chat, store } = await opened();
  chat.sockets.at(-1).push("announcement", { text: "Back in 5 minutes", level: "warning" });
  assert.deepEqual(store.banner.value, { text: "Back in 5 minutes", level: "warning" });
  chat.sockets.at(-1).push("announcement", { text: "We are back", level: "info" });
  assert.equal(store.banner.value.text, "We are back");
});
