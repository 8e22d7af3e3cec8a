import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { RealtimeError } from "realtime/client";

import { settled } from "./fake-socket.js";
import { placeOf } from "../../chat/static/chat/lib/room-list.js";
import { roomParts } from "../../chat/static/chat/lib/room-names.js";

const { RoomStore } = await import("../../chat/static/chat/state/room-store.js");

const me = { id: 1, username: "alice" };
const bob = { id: 2, username: "bob" };
const NOW_MS = 1_000_000;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: NOW_MS });
});

const message = (seq, author = bob, more = {}) => ({
  id: seq, room_id: 1, seq, rev: seq, author, text: `m${seq}`, html: "", client_msg_id: `c${seq}`, sent_at: "2026-11-20T10:00:00Z",
  deleted: false, reply_to: null, reactions: [], files: [], mentions: [], ...more,
});

const unchanged = ({ after_rev }) => ({ messages: [], last_rev: after_rev, has_more: false });

/** An open room of 200 messages, with the requests that it made. */
async function opened({ readSeq = 200, answers = {} } = {}) {
  const asked = [];
  const publish = {};
  const client = {
    state: { name: "online" },
    setPresence: () => {},
    subscribe: (topic, { onPublication }) => {
      publish[topic] = (data) => onPublication({ data });
      return () => {};
    },
    request: async (type, payload) => {
      asked.push([type, payload]);
      const answer = answers[type] ?? { "message.list": page, "member.list": () => ({ members: [] }), read: ({ seq }) => ({ seq }), "message.changes": unchanged }[type];
      return { payload: (await answer?.(payload)) ?? {} };
    },
  };
  const page = ({ around_seq, limit }) => {
    const last = around_seq === undefined ? 200 : Math.min(200, around_seq + limit / 2);
    const messages = Array.from({ length: limit }, (_, n) => message(last - limit + 1 + n, n % 10 === 0 ? me : bob));
    return { messages, has_older: true, has_newer: last < 200, last_rev: 200 };
  };
  const notice = { value: "" };
  const info = { id: 1, name: "general", topic: "room:1", is_member: true, last_seq: 200, last_rev: 200, read_seq: readSeq, unread: 200 - readSeq };
  const room = new RoomStore(info, { client, me, isAttentive: { value: true }, heard: () => {}, forgetDeleted: () => {}, loadRooms: () => asked.push(["room.list"]), soon: (act) => act(), notice });
  room.follow();
  room.open();
  await settled();
  return { room, asked, notice, publish: publish["room:1"], types: () => asked.map(([type]) => type) };
}

test("an edit that gives or takes a mention in an unread message has the counts loaded", async () => {
  const { publish, room, types } = await opened({ readSeq: 198 });
  room.isKeptUnread = true;
  const loads = () => types().filter((type) => type === "room.list").length;
  const edited = (seq, rev, mentions) => publish({ event: "edited", message: message(seq, bob, { rev, mentions }), rev });
  edited(199, 201, []);
  edited(150, 202, [me.id]);
  assert.equal(loads(), 0);
  edited(199, 203, [me.id]);
  assert.equal(loads(), 1);
  edited(199, 204, [me.id]);
  assert.equal(loads(), 1);
  edited(199, 205, []);
  assert.equal(loads(), 2);
  // The messages of a closed room are not known: one that is edited all the time does not ask for all rooms each time.
  room.close();
  room.timeline.value = null;
  room.room.value = { ...room.room.value, mentions: 1 };
  edited(199, 206, [me.id]);
  edited(200, 207, []);
  assert.equal(loads(), 2);
});

test("the newest messages count as read when they are shown, and not when they could not be loaded", async () => {
  const pages = held();
  const { room } = await opened({ readSeq: 100, answers: { "message.list": pages.answer } });
  await pages.next({ messages: [message(100), message(101)], has_older: true, has_newer: true, last_rev: 200 });
  room.toEnd();
  await settled();
  for (const { reject } of pages.waiting.splice(0)) reject(busy);
  await settled();
  assert.equal(room.room.value.unread, 100);
  room.toEnd();
  await settled();
  await pages.next({ messages: [message(199), message(200)], has_older: true, has_newer: false, last_rev: 200 });
  assert.deepEqual([room.room.value.read_seq, room.room.value.unread, room.isAtEnd.value], [200, 0, true]);
});

test("a reader at the end who keeps messages unread stays at the end when changes are missing", async () => {
  const { room, types } = await opened();
  room.unread(10);
  room.isAtEnd.value = true;
  const pages = () => types().filter((type) => type === "message.list").length;
  const before = pages();
  await room.catchUp();
  assert.deepEqual([pages(), room.isAtEnd.value, room.room.value.read_seq], [before, true, 10]);
});

test("a place that cannot be shown now is told, and the reader stays", async () => {
  const answers = {};
  const { room, notice } = await opened({ answers });
  const lost = () => Promise.reject(new RealtimeError("disconnected", "There is no connection."));
  Object.assign(answers, { search: lost, "message.list": lost });
  for (const jump of [() => room.jumpTo(7), () => room.jumpToDay(new Date())]) {
    notice.value = "";
    await jump();
    assert.deepEqual([notice.value, room.target.value, room.isAtEnd.value], ["There is no connection.", null, true]);
  }
});

test("a place that cannot be shown after another one was asked for leaves the reader at the end", async () => {
  const answers = {};
  const { room } = await opened({ answers });
  const waiting = [];
  answers["message.list"] = () => new Promise((_, reject) => waiting.push(reject));
  const jumps = [room.jumpTo(7), room.jumpTo(8)];
  for (const reject of waiting) reject(new RealtimeError("not_found", "There is no such room."));
  await Promise.all(jumps);
  assert.deepEqual([room.target.value, room.isAtEnd.value], [null, true]);
});

test("a message and all after it are unread from there, until the room is opened again", async () => {
  const { room } = await opened();
  room.unread(195);
  // Of the five messages after it, one is the reader's own.
  assert.deepEqual([room.room.value.read_seq, room.room.value.unread, room.newAfterSeq.value], [195, 5, 195]);
  room.markRead(200);
  assert.equal(room.room.value.unread, 5);
  room.close();
  room.open();
  room.markRead(200);
  assert.equal(room.room.value.unread, 0);
});

test("marked as unread on another screen, it is here too; late news of reading changes nothing", async () => {
  const { room, publish } = await opened();
  room.readElsewhere(150);
  assert.deepEqual([room.room.value.read_seq, room.newAfterSeq.value], [150, 150]);
  room.readElsewhere(200);
  assert.deepEqual([room.room.value.unread, room.isKeptUnread], [0, false]);
  publish({ event: "read", user_id: 1, seq: 100 });
  assert.equal(room.room.value.read_seq, 200);
});

test("an answer from another tab ends what is unread here, as at the server", async () => {
  const { room, asked, publish } = await opened();
  room.unread(195);
  const before = asked.length;
  publish({ event: "message", message: message(201, me), rev: 201 });
  assert.deepEqual([room.room.value.unread, room.newAfterSeq.value], [0, null]);
  publish({ event: "message", message: message(202), rev: 202 });
  room.markRead(202);
  mock.timers.tick(1_000);
  await settled();
  assert.deepEqual([room.room.value.unread, asked.slice(before)], [0, [["read", { room_id: 1, seq: 202 }]]]);
});

test("a link leads to a message on the page or loads those around it; to one that is gone it leads nowhere", async () => {
  assert.deepEqual([placeOf("#room-7"), placeOf("#room-7-42"), placeOf("#room-7-0"), placeOf("#main")], [{ id: 7, seq: null }, { id: 7, seq: 42 }, null, null]);
  const { room, types } = await opened();
  const before = types().length;
  await room.jumpTo(150);
  assert.deepEqual([room.target.value, types().length], [150, before]);
  await room.jumpTo(20);
  assert.deepEqual([room.target.value, room.timeline.value.messages.some(({ seq }) => seq === 20)], [20, true]);
  await room.jumpTo(9_000);
  assert.equal(room.target.value, null);
});

test("a day leads to its first message: the one after the last before it", async () => {
  const found = { messages: [message(41)] };
  const { room, asked } = await opened({ answers: { search: () => found } });
  await room.jumpToDay(new Date("2026-11-20T00:00:00Z"));
  assert.deepEqual(asked.find(([type]) => type === "search")[1], { room_id: 1, query: "before:2026-11-20T00:00:00.000Z", limit: 1 });
  assert.equal(room.target.value, 42);
  found.messages = [];
  await room.jumpToDay(new Date("2000-01-01T00:00:00Z"));
  assert.equal(room.target.value, 1);
});

test("pins follow what is pinned, unpinned, edited and deleted", async () => {
  const pins = [message(5), message(3)];
  const { room, types, publish } = await opened({ answers: { "pin.list": () => ({ messages: [...pins] }) } });
  publish({ event: "pinned", message: message(7), is_pinned: true, rev: 201 });
  assert.ok(!types().includes("pin.list"));
  const loaded = room.loadPins();
  pins.unshift(message(7, bob, { rev: 202 }));
  publish({ event: "pinned", message: pins[0], is_pinned: true, rev: 202 });
  await loaded;
  await settled();
  publish({ event: "pinned", message: message(3, bob, { rev: 203 }), is_pinned: false, rev: 203 });
  publish({ event: "edited", message: message(5, bob, { rev: 204, text: "new" }), rev: 204 });
  assert.deepEqual(room.pins.value.map(({ seq, text }) => [seq, text]), [[7, "m7"], [5, "new"]]);
  publish({ event: "deleted", message: message(7, bob, { rev: 205, text: "", deleted: true }), rev: 205 });
  assert.deepEqual(room.pins.value.map(({ seq }) => seq), [5]);
});

test("pins that may have changed unheard are asked for again: after leaving, and with a new page of messages", async () => {
  const { room } = await opened({ answers: { "pin.list": () => ({ messages: [message(5)] }) } });
  await room.loadPins();
  await room.jumpToEnd();
  assert.equal(room.pins.value, null);
  await room.loadPins();
  room.left();
  assert.equal(room.pins.value, null);
});

test("typing is announced again a second after the message that ended it", async () => {
  const { room, types } = await opened();
  const count = () => types().filter((type) => type === "typing").length;
  room.announceTyping();
  mock.timers.tick(500);
  room.confirmed(message(201, me));
  room.announceTyping();
  assert.equal(count(), 1);
  mock.timers.tick(500);
  room.announceTyping();
  assert.equal(count(), 2);
});

/** Answers of the server that wait until the test gives them, in the order of the requests. */
function held() {
  const waiting = [];
  const answer = (payload) => new Promise((resolve, reject) => waiting.push({ payload, resolve, reject }));
  const next = async (reply) => (waiting.shift().resolve(reply), settled());
  /** Answers all requests that wait, the last one first. The replies are in the order of the requests. */
  const backwards = async (...replies) => {
    assert.equal(waiting.length, replies.length);
    for (const reply of replies.reverse()) {
      waiting.pop().resolve(reply);
      await settled();
    }
  };
  return { answer, waiting, next, backwards };
}

const seqs = (room) => room.timeline.value.messages.map(({ seq }) => seq);
const changesAfter = (stored) => ({ after_rev }) => ({ messages: stored.filter(({ rev }) => rev > after_rev), last_rev: Math.max(...stored.map(({ rev }) => rev)), has_more: false });
const busy = Object.assign(new Error("busy"), { code: "overloaded", retryable: true, retryAfterMs: 0 });

test("a message that arrives while changes are fetched, and is not among them, is fetched too", async () => {
  const changes = held();
  const { room, publish } = await opened({ answers: { "message.changes": changes.answer } });
  room.reload();
  await settled();
  // The server wrote the reply before this message, which comes first.
  publish({ event: "message", message: message(203), rev: 203 });
  await changes.next({ messages: [message(201), message(202)], last_rev: 202, has_more: false });
  assert.deepEqual(changes.waiting[0]?.payload, { room_id: 1, after_rev: 202, limit: 100 });
  await changes.next({ messages: [message(203)], last_rev: 203, has_more: false });
  assert.deepEqual([seqs(room).slice(-4), room.rev, changes.waiting.length], [[200, 201, 202, 203], 203, 0]);
});

test("a change that comes before the page of messages it is missing from is fetched", async () => {
  const pages = held();
  const edited = [message(100, bob, { rev: 201, text: "new" }), message(150, bob, { rev: 202, text: "new" })];
  const { room, publish } = await opened({ answers: { "message.list": pages.answer, "message.changes": changesAfter(edited) } });
  const page = (first, last, last_rev) => ({ messages: Array.from({ length: last - first + 1 }, (_, n) => message(first + n)), has_older: first > 1, has_newer: false, last_rev });
  publish({ event: "edited", message: edited[0], rev: 201 });
  await pages.next(page(101, 200, 200));
  assert.equal(room.rev, 202);
  assert.equal(room.timeline.value.messages.find(({ seq }) => seq === 150).text, "new");
  room.loadOlder();
  await settled();
  await pages.next(page(1, 100, 200));
  assert.equal(room.timeline.value.messages.find(({ seq }) => seq === 100).text, "new");
});

test("a page that was asked for at another place leaves no hole", async () => {
  const pages = held();
  const { room } = await opened({ answers: { "message.list": pages.answer } });
  const page = (first, last) => ({ messages: Array.from({ length: last - first + 1 }, (_, n) => message(first + n)), has_older: first > 1, has_newer: last < 200, last_rev: 200 });
  await pages.next(page(101, 200));
  room.jumpTo(50);
  await settled();
  room.jumpToEnd();
  await settled();
  await pages.backwards(page(20, 70), page(101, 200));
  assert.deepEqual([seqs(room)[0], seqs(room).at(-1)], [101, 200]);
  room.loadOlder();
  await settled();
  room.jumpTo(10);
  await settled();
  await pages.backwards(page(81, 100), page(1, 60));
  assert.deepEqual(seqs(room), Array.from({ length: 60 }, (_, n) => n + 1));
});

test("of two links that are followed one after the other the second leads to its message", async () => {
  const pages = held();
  const { room } = await opened({ answers: { "message.list": pages.answer } });
  const page = (first, last) => ({ messages: Array.from({ length: last - first + 1 }, (_, n) => message(first + n)), has_older: first > 1, has_newer: last < 200, last_rev: 200 });
  await pages.next(page(151, 200));
  room.jumpTo(10);
  room.jumpTo(100);
  await settled();
  await pages.next(page(1, 30));
  assert.equal(room.target.value, 100);
  await pages.next(page(80, 120));
  assert.deepEqual([room.target.value, seqs(room)[0]], [100, 80]);
});

test("a link whose messages come only with the second attempt leads away from the end", async () => {
  const pages = held();
  const { room } = await opened({ answers: { "message.list": pages.answer } });
  room.jumpTo(50);
  await settled();
  for (const { reject } of pages.waiting.splice(0)) reject(busy);
  await settled();
  room.reload();
  await settled();
  await pages.next({ messages: [message(50)], has_older: true, has_newer: true, last_rev: 200 });
  assert.deepEqual([room.target.value, room.isAtEnd.value], [50, false]);
});

test("a jump that is under way is not lost when the messages are loaded anew", async () => {
  const pages = held();
  const forgotten = Object.assign(new Error("Gone."), { code: "unrecoverable_position" });
  const { room } = await opened({ answers: { "message.list": pages.answer, "message.changes": () => Promise.reject(forgotten) } });
  await pages.next({ messages: [message(200)], has_older: true, has_newer: false, last_rev: 200 });
  room.jumpTo(50);
  room.catchUp();
  await settled();
  for (let left = pages.waiting.length; left > 0; left -= 1) await pages.next({ messages: [message(50)], has_older: true, has_newer: true, last_rev: 200 });
  assert.deepEqual([room.target.value, seqs(room), room.isAtEnd.value], [50, [50], false]);
});

test("the list follows the newest messages only if they came", async () => {
  const answers = {};
  const { room } = await opened({ answers });
  await room.jumpTo(20);
  answers["message.list"] = () => Promise.reject(busy);
  await room.toEnd();
  assert.deepEqual([room.timeline.value.hasNewer, room.isAtEnd.value], [true, false]);
});

test("a link that the browser tells of by two events is followed once", async () => {
  const pages = held();
  const { room, types } = await opened({ answers: { "message.list": pages.answer } });
  const page = (first, last) => ({ messages: Array.from({ length: last - first + 1 }, (_, n) => message(first + n)), has_older: first > 1, has_newer: last < 200, last_rev: 200 });
  await pages.next(page(151, 200));
  const before = types().length;
  room.jumpTo(10);
  room.jumpTo(10);
  await settled();
  assert.equal(types().length, before + 1);
  await pages.next(page(1, 30));
  assert.deepEqual([room.target.value, seqs(room)[0]], [10, 1]);
});

test("what failed for the moment is asked for again, once for all of it, until it succeeds", async () => {
  let isBusy = false;
  const answer = changesAfter([message(201)]);
  const { room, types } = await opened({ answers: { "message.changes": (payload) => { if (isBusy) throw busy; return answer(payload); } } });
  isBusy = true;
  const count = () => types().filter((type) => type === "message.changes").length;
  const before = count();
  room.reload();
  room.reload();
  await settled();
  for (let second = 0; second < 12; second += 1) {
    mock.timers.tick(1_000);
    await settled();
  }
  // At once, after 5 and after 10 seconds.
  assert.deepEqual([count() - before, seqs(room).at(-1), room.isIncomplete], [3, 200, true]);
  isBusy = false;
  mock.timers.tick(5_000);
  await settled();
  assert.equal(seqs(room).at(-1), 201);
});

test("a failure is told until the same succeeds, and pins that failed for the moment are asked for again after a while", async () => {
  const fail = () => { throw busy; };
  const answers = { "message.list": fail, "pin.list": fail };
  const { room, types } = await opened({ answers });
  const count = () => types().filter((type) => type === "pin.list").length;
  await room.loadPins();
  await room.loadMembers();
  await settled();
  assert.deepEqual([count(), room.requests.errors.value], [1, { "message.list": "busy", "pin.list": "busy" }]);
  answers["pin.list"] = () => ({ messages: [message(5)] });
  mock.timers.tick(5_000);
  await settled();
  assert.deepEqual([count(), room.pins.value.length, room.requests.errors.value], [2, 1, { "message.list": "busy", "pin.list": "" }]);
});

test("of the lists of members that were asked for, the last one counts", async () => {
  const lists = held();
  const { room, publish } = await opened({ answers: { "member.list": lists.answer } });
  publish({ event: "member", joined: { id: 3, username: "carol" }, rev: 201 });
  await settled();
  await lists.backwards({ members: [me, bob] }, { members: [me, bob, { id: 3, username: "carol" }] });
  assert.equal(room.members.value.length, 3);
});

test("names of rooms in a text are found, the longest first, and only whole ones", () => {
  const rooms = [{ id: 1, name: "team" }, { id: 2, name: "team red" }];
  const linked = (text) => roomParts(text, rooms).filter(({ roomId }) => roomId !== null);
  assert.deepEqual(linked("#team red, (#team) 16"), [{ text: "#team red", roomId: 2 }, { text: "#team", roomId: 1 }]);
  for (const text of ["#teams", "x#team", "&#team", "##team", "/#team", "#other"]) assert.deepEqual(linked(text), [], text);
  assert.deepEqual(roomParts("a #team b", rooms).map(({ text }) => text).join(""), "a #team b");
});
