/** The client against a real server: `node real-server.mjs <port>`. Prints what it saw as JSON; a test looks at it. */
import { RealtimeClient } from "../../clients/js/src/index.js";
import { liveQuery } from "../../clients/js/src/live-query.js";
import { stream } from "../../clients/js/src/stream.js";
import { load, skip } from "./npm.mjs";

const PAGE = `http://localhost:${process.argv[2]}`;
// Where the package is installed, as in Node 20, which has no WebSocket of its own.
const WebSocket = skip ? globalThis.WebSocket : load("ws");
const clients = [];
const seen = { tokens: 0, tickets: 0 };

async function post(path, body, headers = {}) {
  const response = await fetch(PAGE + path, { method: "POST", body: JSON.stringify(body), headers: { "content-type": "application/json", ...headers } });
  if (!response.ok) throw new Error(`${path}: ${response.status}`);
  return response.json();
}

async function getToken() {
  seen.tokens += 1;
  return (await post("/api/token/", { username: "alice", password: "rockstar" })).access;
}

async function getTicket() {
  seen.tickets += 1;
  const { access } = await post("/api/token/", { username: "bob", password: "rockstar" });
  return (await post("/api/ws-ticket/", {}, { authorization: `Bearer ${access}` })).ticket;
}

function open(path, options = {}) {
  const client = new RealtimeClient(`${PAGE.replace("http", "ws")}${path}`, { WebSocket, getToken, ...options });
  clients.push(client);
  client.start();
  return client;
}

/** A listener that can be waited for. */
function listener() {
  const data = [];
  let look = () => {};
  const onPublication = (publication) => {
    data.push(publication.data);
    look();
  };
  const until = (count) =>
    new Promise((resolve) => {
      look = () => data.length >= count && resolve();
      look();
    });
  return { data, onPublication, until };
}

const rpc = open("/ws/rpc/", { queueMax: 10 });
seen.status = (await rpc.request("update_status", { status: "here" })).payload;
seen.error = await rpc.request("get_user", { user_id: 10 ** 9 }).catch(({ name, code, retryable, details }) => ({ name, code, retryable, details }));

const [writer, reader] = [open("/ws/pubsub/", { getToken: undefined, getTicket, queueMax: 1_000 }), open("/ws/pubsub/")];
const topic = `members:${crypto.randomUUID()}`;
const write = (n) => writer.request("publish", { topic, data: n });
const first = (await write(1)).payload;
const [page, late] = [listener(), listener()];
reader.subscribe(topic, { since: { epoch: first.epoch, offset: 0 }, onPublication: page.onPublication });
await write(2);
await page.until(2);
reader.subscribe(topic, { since: first, onPublication: late.onPublication });
await reader.ready();
reader.stop();
for (let n = 3; n <= 50; n += 1) await write(n);
reader.start();
writer.stop();
writer.start();
await Promise.all(Array.from({ length: 50 }, (_, n) => write(51 + n)));
await page.until(100);
await late.until(99);
seen.heard = { page: page.data, late: late.data };

const streams = open("/ws/stream/", { getToken: undefined });
seen.values = [];
for await (const { source, value } of stream(streams, "clock", { interval: 0.05 })) {
  seen.values.push([source, typeof value]);
  if (seen.values.length === 3) break;
}

const data = open("/ws/data/");
await data.ready();
seen.pages = [];
for await (const { items, more } of data.pages("query", { query: "items", params: { category: "books" }, page_size: 1 })) seen.pages.push([items.length, more]);

const resets = [];
const rowsCame = async () => {
  const before = resets.length;
  while (resets.length === before) await new Promise((resolve) => setTimeout(resolve, 10));
};
liveQuery(data, "items", { category: "books" }, { onReset: (items) => resets.push(items.length) });
await rowsCame();
data.stop();
data.start();
await rowsCame();
seen.resets = resets;

const stranger = open("/ws/data/", { getToken: () => null });
seen.stranger = await stranger.ready().catch(({ code }) => code);
const forger = open("/ws/data/", { getToken: () => "a.b.c" });
seen.forger = await forger.ready().catch(({ code }) => code);

for (const client of clients) client.stop();
console.log(JSON.stringify(seen));
