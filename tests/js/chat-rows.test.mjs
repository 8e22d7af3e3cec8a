import assert from "node:assert/strict";
import { test } from "node:test";

import { linkified } from "../../chat/static/chat/lib/linkify.js";
import { NOBODY, peopleOf, presenceOf, withPresence } from "../../chat/static/chat/lib/people.js";
import { neighbour, roomAfterMessage, roomAfterRead, titleOf } from "../../chat/static/chat/lib/room-list.js";
import { rowsOf } from "../../chat/static/chat/lib/rows.js";
import { stillTyping, typingLine, withTyper } from "../../chat/static/chat/lib/typing.js";
import { dayText } from "../../chat/static/chat/lib/format.js";

const me = { id: 1, username: "alice" };
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

test("what is on its way comes last, and keeps its key when it arrives", () => {
  const entry = { client_msg_id: "x", room_id: 1, text: "hi", created_at: new Date(NOON).toISOString(), state: "sending", error: "" };
  const row = rowsOf([message(1, 1, NOON)], [entry], { me }).at(-1);
  assert.deepEqual([row.key, row.isOwn, row.startsGroup, row.entry], ["x", true, false, entry]);
});

test("unread counts follow messages of others and read marks, here and elsewhere", () => {
  const room = { id: 1, name: "a", topic: "room:1", is_public: true, is_member: true, member_count: 2, last_seq: 4, read_seq: 4, unread: 0 };
  const after = roomAfterMessage(roomAfterMessage(room, { seq: 5, author: { id: 2 } }, 1), { seq: 6, author: { id: 1 } }, 1);
  assert.deepEqual([after.last_seq, after.unread], [6, 1]);
  assert.equal(roomAfterMessage(after, { seq: 6, author: { id: 2 } }, 1), after);
  assert.equal(roomAfterRead(after, 6).unread, 0);
  assert.equal(roomAfterRead(after, 3), after);
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
});

test("people are listed with those who are here first", () => {
  const members = [{ id: 1, username: "zoe" }, { id: 2, username: "bob" }, { id: 3, username: "ann" }];
  const present = withPresence(presenceOf({ users: [members[1]], count: 1 }), { joined: [members[0]], left: [] });
  assert.deepEqual(peopleOf(members, present).map((person) => [person.username, person.isHere]), [["bob", true], ["zoe", true], ["ann", false]]);
  assert.equal(withPresence(present, { joined: [], left: [{ id: 2 }] }).count, 1);
});

test("where the server names nobody there is a number", () => {
  const crowd = presenceOf({ users: [], count: 250 });
  assert.deepEqual(crowd, { count: 250, users: null });
  assert.deepEqual(peopleOf([{ id: 1, username: "zoe" }], crowd), [{ id: 1, username: "zoe", isHere: null }]);
  assert.deepEqual(withPresence(crowd, { joined: [], left: [], count: 251 }), { count: 251, users: null });
  // Names after a number are all there are.
  assert.deepEqual([...withPresence(crowd, { joined: [{ id: 1 }, { id: 2 }], left: [{ id: 3 }], count: undefined }).users.keys()], [1, 2]);
  assert.deepEqual(withPresence(presenceOf({ users: [{ id: 1 }], count: 1 }), { joined: [], left: [], count: 201 }), { count: 201, users: null });
  assert.deepEqual([presenceOf({ users: [], count: 0 }), withPresence(crowd, { joined: [], left: [], count: 0 })], [NOBODY, NOBODY]);
});

test("only web addresses become links, without the sentence around them", () => {
  const links = (text) => linkified(text).filter((part) => part.url).map((part) => part.url);
  assert.deepEqual(links("see https://a.example/x?y=1, and (http://b.example)."), ["https://a.example/x?y=1", "http://b.example"]);
  assert.deepEqual(links("https://a.example/x_(y) javascript:alert(1) ftp://c data:text/html,x"), ["https://a.example/x_(y)"]);
  assert.deepEqual(linkified("<b>no</b>"), [{ text: "<b>no</b>", url: null }]);
  assert.equal(linkified("a https://b.example c").map((part) => part.text).join(""), "a https://b.example c");
});

test("brackets and full-width punctuation around an address are not part of it", () => {
  const only = (text) => linkified(text).filter((part) => part.url).map((part) => part.url);
  const cases = {
    "[https://a.example/x]": "https://a.example/x",
    "{https://a.example/x}": "https://a.example/x",
    "(see https://a.example/x_(y))": "https://a.example/x_(y)",
    "((https://a.example/x)).": "https://a.example/x",
    "\u898b\u3066https://a.example/x\u3002\u6b21": "https://a.example/x",
    "\uff08https://a.example/x\uff09": "https://a.example/x",
    "\u300chttps://a.example/x\u300d\u3068": "https://a.example/x",
    "https://a.example/x\uff01": "https://a.example/x",
    "**https://a.example/x**": "https://a.example/x",
    "https://a.example/[x]": "https://a.example/[x]",
    "https://ja.example/\u65e5\u672c": "https://ja.example/\u65e5\u672c",
  };
  for (const [text, url] of Object.entries(cases)) assert.deepEqual(only(text), [url], text);
});

test("an address that does not show where it leads is no link", () => {
  const hidden = [
    "http://user:pw@evil.example", "https://bank.example@evil.example/x", "http://@evil.example", "http:///a@evil.example",
    "HTTPS://user@evil.example", "http://a.example\u202e/gpj.exe", "https://exa\u200bmple.com", "https://a.example/\u2066x\u2069",
    "https://a.exam\u00adple", "https://a.example/\u3164", "https://a.example/\u{e0041}", "https://a.example/\u2800", "https://a.example/\ufe0f",
  ];
  for (const text of hidden) assert.deepEqual(linkified(`see ${text} now`), [{ text: `see ${text} now`, url: null }], text);
  assert.equal(linkified("\u202e https://a.example").some((part) => part.url), false);
  const shown = ["https://a.example/@user", "https://a.example/?q=a@b.example", "https://a.example/#x@y", "https://a.example/\u05d0"];
  for (const url of shown) assert.deepEqual(linkified(`see ${url} now`)[1], { text: url, url });
});

test("days are named by their distance", () => {
  const now = new Date(2026, 2, 10, 0, 5);
  assert.deepEqual([dayText(new Date(2026, 2, 10), now), dayText(new Date(2026, 2, 9, 23), now)], ["Today", "Yesterday"]);
  assert.match(dayText(new Date(2024, 2, 9), now), /2024/);
});
