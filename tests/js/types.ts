/** Compiled by the strict TypeScript compiler, and never run: what the types of the client allow, and what they refuse. */
import { RealtimeClient, RealtimeError, type Contract, type Position } from "rockstar-realtime";
import { liveQuery } from "rockstar-realtime/live-query";
import { liveState } from "rockstar-realtime/live-state";
import { watchPage } from "rockstar-realtime/page-watch";
import { NOBODY, presenceAfter } from "rockstar-realtime/presence";
import { reachableAt } from "rockstar-realtime/reachable";
import { useConnection, useLiveState, usePresence, useSubscription } from "rockstar-realtime/react";
import { stream } from "rockstar-realtime/stream";
import * as vue from "rockstar-realtime/vue";

interface Order {
  id: number;
  state: string;
}

interface Shop extends Contract {
  verbs: {
    get_order: { params: { order_id: number }; reply: { order: Order } };
    ping: { params: {}; reply: {} };
  };
  pushes: { sale: { percent: number } };
  topics: { [topic: `orders:${string}`]: Order; news: string };
  streams: { clock: string };
  queries: { orders: { params: { state: string }; item: Order } };
}

const since: Position = { epoch: "e", offset: 3 };
const shop = new RealtimeClient<Shop>("/ws/", { getToken: async ({ reason }) => (reason === "connect" ? "token" : null), isReachable: reachableAt("/healthz") });

export async function typed(): Promise<number> {
  const { payload } = await shop.request("get_order", { order_id: 7 }, { timeoutMs: 100 });
  await shop.request("ping");
  const rows = await shop.request("query", { query: "orders", params: { state: "open" } });
  for await (const { items } of shop.pages("query", { query: "orders", params: { state: "open" } })) items[0]?.state.toUpperCase();
  for await (const { value } of stream(shop, "clock", { interval: 5 })) value.toUpperCase();
  liveQuery(shop, "orders", { state: "open" }, { onReset: (items) => items[0]?.state.toUpperCase(), onChange: ({ op, item }) => (op === "remove" ? item.id : item.state) });
  shop.on("sale", ({ percent }) => percent.toFixed());
  shop.on("state", ({ name }) => name === "online");
  shop.subscribe("orders:7", { since, onPublication: ({ data, publisher }) => (publisher?.username ?? data.state).toUpperCase() });
  shop.subscribe("news", { onPublication: ({ data }) => data.toUpperCase(), onRecovered: (isComplete) => isComplete || location.reload() });
  liveState(shop, "orders:7", { load: async () => ({ state: [] as Order[], since }), reduce: (state, { data }) => [...state, data], onState: (state) => state.length });
  return payload.order.id + (rows.payload.items[0]?.id ?? 0);
}

export function refused(): void {
  // @ts-expect-error there is no such verb
  shop.request("get_user", {});
  // @ts-expect-error the payload is needed
  shop.request("get_order");
  // @ts-expect-error a field of the wrong type
  shop.request("get_order", { order_id: "7" });
  // @ts-expect-error there is no such query
  shop.request("query", { query: "items", params: {} });
  // @ts-expect-error there is no such topic
  shop.subscribe("users:7");
  // @ts-expect-error there is no such push
  shop.on("sales", () => {});
  // @ts-expect-error there is no such query
  liveQuery(shop, "items", {}, { onReset: () => {} });
  // @ts-expect-error a parameter of the wrong name
  liveQuery(shop, "orders", { status: "open" }, { onReset: () => {} });
  // @ts-expect-error there is no such source
  stream(shop, "server");
}

/** Without a contract everything may be sent, and anything may come. */
export async function untyped(client: RealtimeClient): Promise<unknown> {
  client.subscribe("anything", { presence: true, onPresence: (change) => presenceAfter(NOBODY, change).count });
  client.on("anything", (payload) => payload.anything);
  watchPage(client);
  try {
    return (await client.request("anything", { any: 1 })).payload.anything;
  } catch (error) {
    return error instanceof RealtimeError && error.retryable ? error.code === "disconnected" : error;
  }
}

export function Component(): number | undefined {
  const { state } = useLiveState(shop, "orders:7", { load: async () => ({ state: 0, since }), reduce: (count, { data }) => count + data.id });
  useSubscription(shop, "news", { onPublication: ({ data }) => data.toUpperCase() });
  const none: string | undefined = useLiveState(shop, Math.random() > 1 ? "news" : null, { load: async () => ({ state: "", since }), reduce: (text) => text }).state;
  useSubscription(shop, undefined);
  const there = vue.usePresence(shop, () => "news");
  const live = vue.useLiveState(shop, "orders:7", { load: async () => ({ state: 0, since }), reduce: (count, { data }) => count + data.id });
  return useConnection(shop).name === "online" ? (state ?? 0) + usePresence(shop, "news").count + there.value.count + (live.state.value ?? 0) : undefined;
}
