import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { settled } from "./fake-socket.js";
import { NO_STORAGE } from "./no-storage.js";
import { reasonText, withFiles } from "../../chat/static/chat/lib/attachments.js";
import { shownSize, sizeText, summaryOf } from "../../chat/static/chat/lib/format.js";

const { Files } = await import("../../chat/static/chat/state/files.js");
const { Sender } = await import("../../chat/static/chat/state/sender.js");

const file = (name, size = 10) => ({ name, size, type: "text/plain" });
const limits = { filesMax: 3, bytesMax: 100 };

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

/** The files of a page whose uploads wait for the test. */
function files() {
  const posts = [];
  const post = ({ name }, { onProgress, signal }) =>
    new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject({ code: "cancelled", message: "", retryable: false }));
      posts.push({ name, onProgress, resolve, reject });
    });
  return { made: new Files({ limits, post }), posts };
}

const states = (made) => [...made.uploads.value.values()].map(({ progress, error }) => error?.code ?? progress);

test("only as many and as large files are attached as the server takes, each refusal with its reason", () => {
  let key = 0;
  const options = { ...limits, newKey: () => `k${(key += 1)}` };
  const { held, refused } = withFiles([], [file("a"), file("big", 101), file("none", 0), file("b"), file("c"), file("d"), file("e")], options);
  assert.deepEqual(held.map(({ name }) => name), ["a", "b", "c"]);
  assert.deepEqual(refused, ["big is larger than 100 bytes.", "none is empty or a folder.", "A message takes 3 files."]);
  assert.equal(withFiles([], [file("a", 1e9)], { filesMax: 0, bytesMax: 0, newKey: () => "k" }).held.length, 1);
});

test("sizes, reasons and messages without a text are told in words", () => {
  assert.deepEqual([0, 1023, 1536, 10 * 1024 ** 2, 3.3 * 1024 ** 3].map(sizeText), ["0 bytes", "1023 bytes", "1.5 KB", "10 MB", "3.3 GB"]);
  assert.equal(reasonText({ code: "limit_exceeded", message: "There is no more space." }), "There is no more space.");
  assert.match(reasonText({ code: "message_too_large", message: "x" }), /larger/);
  assert.equal(summaryOf({ text: "", files: [file("a.txt"), file("b.txt")] }), "a.txt, b.txt");
  assert.equal(summaryOf({ text: "see", files: [file("a.txt")] }), "see");
});

test("a picture has its size before it is loaded, and is never enlarged", () => {
  assert.deepEqual(shownSize({ width: 3600, height: 1200 }), { width: 360, height: 120 });
  assert.deepEqual(shownSize({ width: 16, height: 9 }), { width: 16, height: 9 });
  assert.deepEqual(shownSize({ width: 1, height: 5000 }), { width: 1, height: 260 });
});

test("a few files are uploaded at once, and the next one as one ends", async () => {
  const { made, posts } = files();
  made.limits = { filesMax: 10, bytesMax: 0 };
  made.add(1, ["a", "b", "c", "d", "e"].map((name) => file(name)));
  assert.deepEqual(posts.map(({ name }) => name), ["a", "b", "c"]);
  posts[0].onProgress(0.5);
  posts[1].reject({ code: "limit_exceeded", message: "full", retryable: false });
  posts[2].resolve(7);
  await settled();
  assert.deepEqual(posts.map(({ name }) => name), ["a", "b", "c", "d", "e"]);
  assert.deepEqual(states(made), [0.5, "limit_exceeded", 1, 0, 0]);
});

test("a removed file is uploaded no further, and its place goes to the next", async () => {
  const { made, posts } = files();
  made.add(1, [file("a")]);
  made.remove(1, made.of(1)[0].key);
  await settled();
  assert.deepEqual([states(made), made.of(1)], [[], []]);
  made.add(1, [file("b"), file("c"), file("d")]);
  assert.equal(posts.length, 4);
});

test("after a reconnect the failed uploads of the composers run again, refused ones do not", async () => {
  const { made, posts } = files();
  made.add(1, [file("a"), file("b")]);
  posts[0].reject({ code: "unreachable", message: "", retryable: true });
  posts[1].reject({ code: "invalid_message", message: "Not taken.", retryable: false });
  await settled();
  made.resume();
  assert.deepEqual(posts.map(({ name }) => name), ["a", "b", "a"]);
});

/** A sender with such files. */
function sender() {
  const { made, posts } = files();
  const client = { state: { name: "online" }, sent: [], answer: (payload) => ({ payload: { message: payload } }) };
  client.request = async (type, payload) => {
    client.sent.push(payload);
    return client.answer(payload);
  };
  const stored = [];
  const storage = { ...NO_STORAGE, putEntry: (entry) => stored.push(entry) };
  const sends = new Sender({ client, storage, loadFiles: async () => made, onSent: () => {} });
  const send = (text, names) => {
    made.add(1, names.map((name) => file(name)));
    sends.send(1, text, { files: made.of(1) });
    made.put(1, []);
  };
  return { sends, send, client, posts, stored, made };
}

test("a message waits for its files, and the ones behind it wait too", async () => {
  const { send, client, posts } = sender();
  send("look", ["a", "b"]);
  send("behind", []);
  posts[1].resolve(12);
  await settled();
  assert.deepEqual(client.sent, []);
  posts[0].resolve(11);
  await settled();
  assert.deepEqual(client.sent.map(({ text, file_ids }) => [text, file_ids]), [["look", [11, 12]], ["behind", undefined]]);
});

test("a message that is sent at once is written to the storage once", async () => {
  const { send, client, stored } = sender();
  send("quick", []);
  await settled();
  assert.deepEqual([client.sent.length, stored.map(({ text, state }) => [text, state])], [1, [["quick", "waiting"]]]);
});

test("a retry names the same files as the first attempt, also from another page", async () => {
  const { sends, send, client, posts, stored, made } = sender();
  client.answer = () => {
    throw { code: "internal", message: "x", retryable: true, retryAfterMs: 0 };
  };
  send("", ["a"]);
  posts[0].resolve(11);
  await settled();
  assert.equal(stored.at(-1).files[0].id, 11);
  assert.deepEqual([made.uploads.value.size, states(made)], [0, []]);
  mock.timers.tick(2_000);
  await settled();
  assert.deepEqual(client.sent.map(({ file_ids }) => file_ids), [[11], [11]]);
  assert.equal(posts.length, 1);
  client.answer = () => {
    throw { code: "not_found", message: "There is no such file of yours.", retryable: false, retryAfterMs: 0 };
  };
  mock.timers.tick(4_000);
  await settled();
  const [entry] = sends.outbox.value;
  assert.deepEqual([entry.state, entry.files[0].id], ["failed", null]);
});

test("a file that the server refuses fails its message by name, and a discarded message sends nothing", async () => {
  const { sends, send, client, posts, made } = sender();
  send("", ["virus.exe"]);
  posts[0].reject({ code: "invalid_message", message: "Files of this type are not taken.", retryable: false, retryAfterMs: 0 });
  await settled();
  const [failed] = sends.outbox.value;
  assert.deepEqual([failed.state, failed.error], ["failed", "virus.exe: Files of this type are not taken."]);
  sends.forget(failed.client_msg_id);
  send("", ["slow"]);
  const [slow] = sends.outbox.value;
  made.cancel(slow.files.map(({ key }) => key));
  sends.forget(slow.client_msg_id);
  posts[1].resolve(5);
  await settled();
  assert.deepEqual([client.sent, sends.outbox.value], [[], []]);
});
