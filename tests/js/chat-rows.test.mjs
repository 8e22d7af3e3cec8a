import assert from "node:assert/strict";
import { test } from "node:test";

import { peopleOf } from "../../chat/static/chat/lib/people.js";
import { attentionOf, attentionOfAll, neighbour, roomAfterMessage, roomAfterRead, roomUnreadFrom, sectionsOf, sortedRooms, titleOf } from "../../chat/static/chat/lib/room-list.js";
import { MEMBER, MODERATOR, OWNER, rankOf } from "../../chat/static/chat/lib/rights.js";
import { hasWords, marked, nameWanted } from "../../chat/static/chat/lib/search.js";
import { blocksOf, rowsOf } from "../../chat/static/chat/lib/rows.js";
import { stillTyping, typingLine, withTyper } from "../../chat/static/chat/lib/typing.js";
import { dayText } from "../../chat/static/chat/lib/format.js";

const me = { id: 1, username: "alice" };
const general = {
  id: 1, name: "general", topic: "room:1", kind: "public", is_public: true, topic_line: "", archived: false, is_member: true, member_count: 2, last_seq: 9,
  last_rev: 9, last_message_at: null, read_seq: 9, unread: 0, mentions: 0, level: "all", is_favourite: false, role: "member",
};
const message = (seq, author, at) => ({
  id: seq, room_id: 1, seq, author: { id: author, username: `u${author}` }, text: "", client_msg_id: `c${seq}`,
  sent_at: new Date(at).toISOString(),
});
const NOON = new Date(2026, 0, 5, 12).getTime();
const MINUTE = 60_000;

test("rows are divided by day and grouped by author and time", () => {
  const rows = rowsOf(
    [
      message(1, 2, NOON),
      message(2, 2, NOON + MINUTE),
      message(3, 2, NOON + 20 * MINUTE),
      message(4, 1, NOON + 21 * MINUTE),
      message(5, 1, NOON + 24 * 60 * MINUTE),
    ],
    [],
    { me },
  );
  const shape = rows.map((row) => (row.kind === "message" ? [row.key, row.startsGroup, row.isOwn] : row.kind));
  assert.deepEqual(shape, [
    "day", ["c1", true, false], ["c2", false, false], ["c3", true, false], ["c4", true, true], "day", ["c5", true, true],
  ]);
});

test("the line of new messages stands before the first of them, after a day's", () => {
  const messages = [message(1, 2, NOON), message(2, 2, NOON + 1), message(3, 2, NOON + 2)];
  const kinds = (newAfterSeq) => rowsOf(messages, [], { me, newAfterSeq }).map((row) => row.kind);
  assert.deepEqual(kinds(1), ["day", "message", "new", "message", "message"]);
  assert.deepEqual(kinds(0), ["day", "new", "message", "message", "message"]);
  assert.deepEqual(kinds(3), ["day", "message", "message", "message"]);
  assert.equal(rowsOf(messages, [], { me, newAfterSeq: 1 })[3].startsGroup, true);
});

test("the line of new messages stands above none that counts as read: the reader's own, or a deleted one", () => {
  const messages = [message(1, 2, NOON), message(2, 1, NOON + 1), { ...message(3, 2, NOON + 2), deleted: true }, message(4, 2, NOON + 3)];
  const kinds = (list, more = {}) => rowsOf(list, [], { me, newAfterSeq: 1, ...more }).map((row) => row.kind);
  assert.deepEqual(kinds(messages), ["day", "message", "message", "message", "new", "message"]);
  assert.deepEqual(kinds(messages.slice(0, 3)), ["day", "message", "message", "message"]);
  // The reader wants it there.
  assert.deepEqual(kinds(messages, { isMarkedHere: true }), ["day", "message", "new", "message", "message", "message"]);
  // New ones may be before the first that is here.
  assert.deepEqual(kinds(messages.slice(1), { hasOlder: true }), ["day", "message", "message", "message"]);
});

test("what is on its way comes last, and keeps its key when it arrives", () => {
  const entry = { client_msg_id: "x", room_id: 1, text: "hi", created_at: new Date(NOON).toISOString(), state: "sending", error: "" };
  const row = rowsOf([message(1, 1, NOON)], [entry], { me }).at(-1);
  assert.deepEqual([row.key, row.isOwn, row.startsGroup, row.entry], ["x", true, false, entry]);
  assert.equal(rowsOf([message(1, 1, NOON)], [{ ...entry, reply_to: 1 }], { me }).at(-1).startsGroup, true);
});

test("a message is in the same block wherever the list begins, and stays there when it arrives", () => {
  const messages = Array.from({ length: 70 }, (none, index) => message(index + 10, 2, NOON + (index < 60 ? 0 : 24 * 60 * MINUTE)));
  const entry = { client_msg_id: "c80", room_id: 1, text: "hi", created_at: new Date(NOON + 24 * 60 * MINUTE).toISOString(), state: "sending", error: "" };
  const blockOf = (rows) => new Map(blocksOf(rows).flatMap((part) => (part.kind === "block" ? part.rows.map((row) => [row.key, part.key]) : [])));
  const all = blockOf(rowsOf(messages, [entry], { me, newAfterSeq: 31 }));
  assert.equal(all.size, 72);
  assert.equal(new Set(all.values()).size, 4);
  assert.equal(all.get("new"), all.get("c32"));
  assert.notEqual(all.get("c31"), all.get("c32"));
  for (const [key, block] of blockOf(rowsOf(messages.slice(40), [entry], { me }))) assert.equal(block, all.get(key));
  assert.equal(blockOf(rowsOf([...messages, message(80, 1, NOON + 24 * 60 * MINUTE)], [], { me })).get("c80"), all.get("c80"));
});

test("unread counts follow messages, the reader's own among them, and read marks, here and elsewhere", () => {
  const room = { ...general, last_seq: 4, read_seq: 4 };
  const one = roomAfterMessage(room, { seq: 5, author: { id: 2 }, mentions: [1], sent_at: "2025" }, 1);
  const answered = roomAfterMessage(one, { seq: 6, author: { id: 1 }, mentions: [1], sent_at: "2026" }, 1);
  assert.deepEqual([answered.last_seq, answered.read_seq, answered.unread, answered.mentions], [6, 6, 0, 0]);
  const after = roomAfterMessage(one, { seq: 6, author: { id: 3 }, sent_at: "2026" }, 1);
  assert.deepEqual([after.last_seq, after.unread, after.mentions, after.last_message_at], [6, 2, 1, "2026"]);
  assert.equal(roomAfterMessage(after, { seq: 6, author: { id: 2 } }, 1), after);
  assert.deepEqual([roomAfterRead(after, 6).unread, roomAfterRead(after, 6).mentions], [0, 0]);
  assert.equal(roomAfterRead(after, 3), after);
});

test("what is marked as unread counts with the mentions in it", () => {
  const said = [[5, 2, [1]], [6, 1, []], [7, 2, [1, 3]]].map(([seq, id, mentions]) => ({ seq, author: { id }, mentions, deleted: false }));
  const read = { ...general, last_seq: 7, read_seq: 7, unread: 0, mentions: 0 };
  const counts = ({ unread, mentions }) => [unread, mentions];
  assert.deepEqual(counts(roomUnreadFrom(read, 4, said, 1)), [2, 2]);
  assert.deepEqual(counts(roomUnreadFrom(read, 5, said, 1)), [1, 1]);
  // The messages of a closed room are not known. What it had stays.
  assert.deepEqual(counts(roomUnreadFrom({ ...read, mentions: 1 }, 4, [], 1)), [3, 1]);
});

test("what is addressed to the reader counts before what is only unread, and what is muted not at all", () => {
  const of = (room) => Object.values(attentionOf({ ...general, ...room }));
  assert.deepEqual(of({ unread: 5 }), [5, false]);
  assert.deepEqual(of({ unread: 5, mentions: 2 }), [2, true]);
  assert.deepEqual(of({ unread: 5, level: "mentions" }), [0, false]);
  assert.deepEqual(of({ unread: 5, mentions: 1, level: "mentions" }), [1, true]);
  assert.deepEqual(of({ unread: 5, mentions: 2, level: "nothing" }), [0, false]);
  assert.deepEqual(of({ unread: 3, kind: "direct" }), [3, true]);
  assert.deepEqual(of({ kind: "direct" }), [0, false]);
  assert.deepEqual(of({ unread: 3, kind: "direct", level: "mentions" }), [0, false]);
  assert.deepEqual(attentionOfAll([{ ...general, unread: 2 }, { ...general, mentions: 1, unread: 9 }]), { count: 3, isPersonal: true });
});

test("rooms stand in sections, the newest message first, and an unread one stays while it is looked at", () => {
  const at = (last_message_at, more) => ({ ...general, ...more, last_message_at });
  const rooms = sortedRooms([
    at(null, { id: 1, name: "empty" }), at("2026-01-01", { id: 2, name: "old" }), at("2026-01-03", { id: 3, name: "bob", kind: "direct" }),
    at("2026-01-02", { id: 4, name: "new", unread: 1 }), at("2026-01-04", { id: 5, name: "best", is_favourite: true }), at(null, { id: 6, name: "also empty" }),
    at("2026-01-05", { id: 7, name: "noise", unread: 9, level: "nothing" }),
  ]);
  const names = (isKept) => sectionsOf(rooms, isKept).map((section) => [section.name, section.rooms.map((room) => room.name)]);
  assert.deepEqual(names(), [["unread", ["new"]], ["favourites", ["best"]], ["rooms", ["noise", "old", "also empty", "empty"]], ["people", ["bob"]]]);
  assert.deepEqual(names((room) => room.id === 2)[0], ["unread", ["new", "old"]]);
  assert.deepEqual(sectionsOf([]), [{ name: "rooms", rooms: [] }, { name: "people", rooms: [] }]);
});

test("staff moderate the rooms that they see, own those without an owner, and direct rooms never", () => {
  const owned = [{ role: "owner" }, { role: "member" }];
  assert.equal(rankOf({ kind: "public", role: "member" }, owned, false), MEMBER);
  assert.equal(rankOf({ kind: "public", role: null }, owned, false), -1);
  assert.equal(rankOf({ kind: "public", role: "member" }, owned, true), MODERATOR);
  assert.equal(rankOf({ kind: "private", role: "member" }, [{ role: "member" }], true), OWNER);
  assert.equal(rankOf({ kind: "direct", role: "member" }, [], true), MEMBER);
});

test("a result of a search shows where it matches", () => {
  const shown = (text, query) => marked(text, query).map(({ text: part, isMatch }) => (isMatch ? `[${part}]` : part)).join("");
  assert.equal(shown("The Cake is a lie", 'from:bob cake "a LIE"'), "The [Cake] is [a lie]");
  assert.equal(shown("a+b (c)", "+ ("), "a[+]b [(]c)");
  assert.equal(shown("nothing here", "in:general"), "nothing here");
  assert.equal(shown("nothing here", "else"), "nothing here");
  const long = shown(`${"x".repeat(500)}needle${"y".repeat(500)}`, "needle");
  assert.ok(long.includes("[needle]") && long.startsWith("…x") && long.endsWith("y…") && long.length < 260, long);
});

test("going up and down the rooms goes round", () => {
  const rooms = [{ id: 1 }, { id: 2 }, { id: 3 }];
  assert.equal(neighbour(rooms, 3, 1).id, 1);
  assert.equal(neighbour(rooms, 1, -1).id, 3);
  assert.equal(neighbour([], null, 1), null);
});

test("the title shows what is unread", () => {
  assert.equal(titleOf({ name: "general" }, "Acme", 3), "(3) general · Acme");
  assert.equal(titleOf(null, "Acme", 0), "Acme");
});

test("somebody types for six seconds, once", () => {
  const bob = { id: 2, username: "bob" };
  const typers = withTyper(withTyper(withTyper([], bob, 0), { id: 3, username: "eve" }, 100), bob, 3000);
  assert.equal(typingLine(typers), "eve and bob are typing…");
  assert.equal(typingLine(stillTyping(typers, 6500)), "bob is typing…");
  assert.equal(typingLine(stillTyping(typers, 9000)), "");
  const named = withTyper([], { id: 4, username: "ahmed", name: "أحمد (HR)" }, 0);
  assert.equal(typingLine(named), "\u2068أحمد (HR)\u2069 is typing…");
});

test("people are listed with those who are here first, if the server names them", () => {
  const members = [{ id: 1, username: "zoe" }, { id: 2, username: "bob" }, { id: 3, username: "ann" }];
  const listed = (present) => peopleOf(members, present).map((person) => [person.username, person.isHere]);
  assert.deepEqual(listed({ users: members.slice(0, 2), count: 2 }), [["bob", true], ["zoe", true], ["ann", false]]);
  assert.deepEqual(listed({ users: [], count: 0 }), [["ann", false], ["bob", false], ["zoe", false]]);
  assert.deepEqual(listed({ users: [], count: 250 }), [["ann", null], ["bob", null], ["zoe", null]]);
});

test("who is here is listed, also beyond the members that the server lists", () => {
  const present = { users: [{ id: 3, username: "zoe", connections: 1 }], count: 1 };
  const listed = (members, count) => peopleOf(members, present, count).map(({ username, isHere }) => [username, isHere]);
  assert.deepEqual(listed([{ id: 1, username: "ann" }], 1500), [["zoe", true], ["ann", false]]);
  // Somebody who has just left, and a list that is not there yet.
  assert.deepEqual(listed([{ id: 1, username: "ann" }], 1), [["ann", false]]);
  assert.deepEqual(listed([], 2), []);
});

test("days are named by their distance", () => {
  const now = new Date(2026, 2, 10, 0, 5);
  assert.deepEqual([dayText(new Date(2026, 2, 10), now), dayText(new Date(2026, 2, 9, 23), now)], ["Today", "Yesterday"]);
  assert.match(dayText(new Date(2024, 2, 9), now), /2024/);
});

test("names are found as they are written in a message too", () => {
  assert.deepEqual(["bob", " @bob ", "#general", "@", "c#"].map(nameWanted), ["bob", "bob", "general", "", "c#"]);
});

test("a text matches a query if it has all its words, in any case", () => {
  assert.deepEqual(["", "bob", "BO ad", "bob carol"].map((query) => hasWords("bob Robert Adams", query)), [true, true, true, false]);
});
