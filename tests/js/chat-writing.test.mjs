import assert from "node:assert/strict";
import { test } from "node:test";

import { completed, peopleFound, roomsNamed, tokenAt } from "../../chat/static/chat/lib/completion.js";
import { emojiFound, groupsOf, withRecent, withTone } from "../../chat/static/chat/lib/emoji.js";
import { TABLE } from "../../chat/static/chat/lib/emoji-table.js";
import { formatted } from "../../chat/static/chat/lib/formatting.js";

/** A text with `|` where the caret is, or around the selection. */
function place(marked) {
  const [before, selected, after] = [...marked.split("|"), ""];
  const isCaret = marked.split("|").length === 2;
  const text = marked.replaceAll("|", "");
  return { text, start: before.length, end: isCaret ? before.length : before.length + selected.length, after };
}

/** The text after an edit, marked in the same way. */
function after(text, edit) {
  const whole = text.slice(0, edit.start) + edit.text + text.slice(edit.end);
  const [a, b] = [edit.selectStart, edit.selectEnd];
  return a === b ? `${whole.slice(0, a)}|${whole.slice(a)}` : `${whole.slice(0, a)}|${whole.slice(a, b)}|${whole.slice(b)}`;
}

const format = (marked, kind) => {
  const { text, start, end } = place(marked);
  return after(text, formatted(text, start, end, kind));
};
const token = (marked) => {
  const { text, start } = place(marked);
  const found = tokenAt(text, start);
  return found && found.kind + found.query;
};

test("a name begins after a space or bracket, and ends at the caret", () => {
  const cases = {
    "@|": "@", "hi @al|": "@al", "(@al|": "@al", "@al|ice": "@al", "@Jörg|": "@Jörg", "x\n#gen|": "#gen", ":ta|": ":ta", ":+1|": ":+1",
    "a@b|": null, "hi @al |": null, "16:30|": null, ":)|": null, ":t|": null, "`@al|": null, "`a` @al|": "@al",
    "```\n@al|": null, "```\nx\n```\n@al|": "@al", "https://x.example/:ab|": null,
  };
  for (const [text, expected] of Object.entries(cases)) assert.equal(token(text), expected, text);
});

test("people are found by both names, those that begin with the text first, then everyone with numbers", () => {
  const people = [
    { id: 1, username: "bob", name: "Robert Hall" },
    { id: 2, username: "alice", name: "" },
    { id: 3, username: "hal", name: "Hal" },
  ];
  const counts = { memberCount: 12, hereCount: 3 };
  assert.deepEqual(peopleFound("hal", people, counts).map(({ insert }) => insert), ["@hal", "@bob"]);
  assert.deepEqual(peopleFound("", people, counts).map(({ detail }) => detail), ["@bob", "@alice", "@hal", "12 in this room", "3 here now"]);
  assert.deepEqual(peopleFound("HE", people, counts).map(({ label }) => label), ["@here"]);
  assert.deepEqual(peopleFound("zz", people, counts), []);
  const crowd = Array.from({ length: 300 }, (_, id) => ({ id, username: `r${id}` }));
  assert.equal(peopleFound("r", crowd, counts).at(-1).label, "@room");
  assert.equal(peopleFound("r", crowd, counts).length, 8);
});

test("what is chosen replaces the name that is typed, with one space after it", () => {
  const choose = (marked, insert) => {
    const { text, start } = place(marked);
    return after(text, completed(text, start, tokenAt(text, start), { insert }));
  };
  assert.equal(choose("hi @al|", "@alice"), "hi @alice |");
  assert.equal(choose("hi @al| there", "@alice"), "hi @alice |there");
  assert.equal(choose("(:ta|)", "🎉"), "(🎉 |)");
  assert.deepEqual(roomsNamed("te", [{ id: 1, name: "team room" }, { id: 2, name: "the team" }, { id: 3, name: "help" }]).map(({ insert }) => insert), ["#team room", "#the team"]);
});

test("a format is put around the selection, and taken away again", () => {
  assert.equal(format("say |it| loud", "bold"), "say **|it|** loud");
  assert.equal(format("say **|it|** loud", "bold"), "say |it| loud");
  assert.equal(format("|_it_|", "italic"), "|it|");
  assert.equal(format("a |", "code"), "a `|`");
  assert.equal(format("|a\nb|", "code"), "```\n|a\nb|\n```");
  assert.equal(format("x |a\nb| y", "code"), "x \n```\n|a\nb|\n```\n y");
  assert.equal(format("one\ntw|o", "quote"), "one\n> two|");
  assert.equal(format("|one\ntwo|", "list"), "|- one\n- two|");
  assert.equal(format("|- one\n- two|", "list"), "|one\ntwo|");
  assert.equal(format("see |this|", "link"), "see [this](|https://|)");
  assert.equal(format("|https://a.example/x|", "link"), "[|](https://a.example/x)");
});

test("the table has every emoji once, each with a name, in groups", () => {
  const groups = groupsOf(TABLE);
  const all = groups.flatMap(({ emoji }) => emoji);
  assert.deepEqual(groups.map(({ name }) => name).slice(0, 2), ["Smileys", "People"]);
  assert.equal(new Set(all.map(({ emoji }) => emoji)).size, all.length);
  assert.ok(all.length > 1_800 && all.every(({ emoji, names }) => /^\p{RGI_Emoji}$/v.test(emoji) && names[0]));
  const found = (query) => emojiFound(query, all).map(({ emoji }) => emoji);
  assert.equal(found("tada")[0], "🎉");
  assert.equal(found(":+1:")[0], "👍");
  assert.equal(found("heart")[0], "❤️");
  assert.ok(found("celebrate").includes("🎉"));
  assert.ok(found("germany").includes("🇩🇪"));
  assert.deepEqual(found("nothing like it"), []);
  for (const each of all.filter(({ hasTones }) => hasTones)) assert.match(withTone(each, "🏽"), /^\p{RGI_Emoji}$/v, each.emoji);
  assert.equal(withTone(all.find(({ emoji }) => emoji === "☝️"), "🏿"), "☝🏿");
  assert.equal(withTone({ emoji: "🎉", hasTones: false }, "🏿"), "🎉");
});

test("what was used last comes first, once, and not without end", () => {
  assert.deepEqual(withRecent(["a", "b"], "b"), ["b", "a"]);
  assert.equal(withRecent(Array.from({ length: 50 }, (_, n) => `${n}`), "x").length, 24);
});
