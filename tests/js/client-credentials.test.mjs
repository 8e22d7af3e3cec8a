import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { RealtimeClient } from "../../clients/js/src/index.js";
import { FakeSocket, settled } from "./fake-socket.js";

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"] });
});

function started(options) {
  const sockets = [];
  const client = new RealtimeClient("/ws/x/", {
    random: () => 0,
    createSocket: (url, protocols) => {
      sockets.push(Object.assign(new FakeSocket(), { url, offered: protocols }));
      return sockets.at(-1);
    },
    ...options,
  });
  const signedOut = [];
  client.on("unauthenticated", (why) => signedOut.push(why.code));
  client.start();
  return { client, sockets, signedOut, last: () => sockets.at(-1) };
}

/** Gives the tokens one after another, and remembers why each was asked for. */
function tokens(...given) {
  const reasons = [];
  const getToken = async ({ reason }) => {
    reasons.push(reason);
    const next = given.shift();
    if (next instanceof Error) throw next;
    return next;
  };
  return { getToken, reasons };
}

test("the token is a subprotocol, and is kept over reconnects", async () => {
  const { getToken, reasons } = tokens("one", "two");
  const { sockets, last } = started({ getToken });
  await settled();
  assert.deepEqual(last().offered, ["rockstar.v1.batch", "rockstar.v1", "bearer.one"]);
  last().welcome();
  last().end(1012);
  mock.timers.tick(20_000);
  await settled();
  assert.equal(sockets.length, 2);
  assert.equal(last().offered.at(-1), "bearer.one");
  assert.deepEqual(reasons, ["connect"]);
});

test("a token that the server refuses is replaced, once", async () => {
  const { getToken, reasons } = tokens("old", "new", "newer");
  const { client, sockets, last, signedOut } = started({ getToken });
  await settled();
  last().welcome();
  last().end(4401, "expired");
  assert.equal(client.state.name, "waiting");
  mock.timers.tick(20_000);
  await settled();
  assert.deepEqual([sockets.length, last().offered.at(-1), reasons], [2, "bearer.new", ["connect", "refused"]]);
  last().end(4401, "revoked");
  assert.deepEqual([client.state.name, client.state.code, signedOut], ["stopped", 4401, [4401]]);
});

test("a token that is about to end is refreshed in place, until it succeeds", async () => {
  const { getToken, reasons } = tokens("old", new Error("no network"), "new");
  const { client, sockets, last } = started({ getToken });
  await settled();
  last().welcome();
  last().push("expiring", { expires_at: "" });
  await settled();
  assert.equal(last().requests("refresh").length, 0);
  mock.timers.tick(5_000);
  await settled();
  assert.deepEqual(last().requests("refresh")[0].payload, { token: "new" });
  last().reply("refresh", "refreshed", { expires_at: "" });
  await settled();
  last().end(1012);
  mock.timers.tick(20_000);
  await settled();
  assert.deepEqual([sockets.length, last().offered.at(-1)], [2, "bearer.new"]);
  assert.deepEqual(reasons, ["connect", "expiring", "expiring"]);
  assert.equal(client.state.name, "connecting");
});

test("a refresh that the server refuses leaves the old token; nothing is refreshed for the next connection", async () => {
  const { getToken } = tokens("old", "foreign", "late");
  const { last } = started({ getToken });
  await settled();
  last().welcome();
  last().push("expiring", {});
  await settled();
  last().reply("refresh", "error", { code: "permission_denied", message: "", retryable: false });
  await settled();
  last().end(1012);
  mock.timers.tick(20_000);
  await settled();
  assert.equal(last().offered.at(-1), "bearer.old");
  last().welcome();
  mock.timers.tick(20_000);
  await settled();
  assert.equal(last().requests("refresh").length, 0);
});

test("nobody signed in stops the client; a token that cannot be had now is asked for again", async () => {
  const nobody = started({ getToken: () => null });
  const waiting = nobody.client.ready();
  await settled();
  assert.deepEqual([nobody.sockets.length, nobody.client.state.name, nobody.signedOut], [0, "stopped", [4401]]);
  await assert.rejects(waiting, { name: "RealtimeError", code: "unauthenticated", retryable: false });

  const { getToken } = tokens(new Error("no network"), "late");
  const { client, sockets, last } = started({ getToken });
  await settled();
  assert.deepEqual([sockets.length, client.state.name, client.state.reason], [0, "waiting", "Error: no network"]);
  mock.timers.tick(20_000);
  await settled();
  assert.equal(last().offered.at(-1), "bearer.late");
});

test("every connection has a ticket of its own, in the query", async () => {
  let count = 0;
  const { last } = started({ getTicket: async () => `a/${(count += 1)}` });
  await settled();
  assert.equal(last().url, "/ws/x/?ticket=a%2F1");
  last().welcome();
  last().end(1006);
  mock.timers.tick(20_000);
  await settled();
  assert.equal(last().url, "/ws/x/?ticket=a%2F2");
  assert.deepEqual(last().offered, ["rockstar.v1.batch", "rockstar.v1"]);
});

test("a client that is stopped while it asks for a token opens nothing; started again, it does", async () => {
  let give;
  const { client, sockets } = started({ getToken: () => new Promise((resolve) => (give = resolve)) });
  await settled();
  client.stop();
  give("late");
  await settled();
  assert.equal(sockets.length, 0);
  client.start();
  await settled();
  assert.equal(sockets[0].offered.at(-1), "bearer.late");
});

test("no token is asked for while the server is away", async () => {
  const { getToken, reasons } = tokens("one");
  let isThere = false;
  const { client, last } = started({ getToken, isReachable: async () => isThere });
  await settled();
  last().end(4401);
  for (const is of [false, true]) {
    isThere = is;
    client.reconnectNow();
    await settled();
    assert.deepEqual(reasons.slice(1), is ? ["refused"] : []);
  }
});

test("a URL that is refused after the token was had stops the client", async () => {
  const { client } = started({
    getToken: () => "one",
    createSocket: () => {
      throw new SyntaxError("wrong");
    },
  });
  await settled();
  assert.deepEqual([client.state.name, client.state.reason], ["stopped", "SyntaxError: wrong"]);
});

test("what waits is not sent if a listener of the welcome stops the client", () => {
  const { client, last } = started({ queueMax: 5 });
  client.on("welcome", ({ user }) => user?.id === 1 || client.stop());
  client.subscribe("user:1");
  client.request("message.send", { text: "a secret of user 1" }).catch(() => {});
  last().welcome({ user: { id: 1 } });
  assert.deepEqual(last().sent.map(({ type }) => type), ["subscribe", "message.send"]);
  last().end(1006);
  client.request("message.send", { text: "another" }).catch(() => {});
  client.reconnectNow();
  last().welcome({ user: { id: 2 } });
  assert.deepEqual([last().sent, last().isClosed, client.state.name], [[], true, "stopped"]);
});
