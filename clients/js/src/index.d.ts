/** The codes of the server's errors, and `disconnected`: there is no connection, or it was lost before the reply. */
export type ErrorCode =
  | "invalid_json"
  | "invalid_message"
  | "unknown_type"
  | "message_too_large"
  | "unauthenticated"
  | "permission_denied"
  | "not_found"
  | "conflict"
  | "rate_limited"
  | "limit_exceeded"
  | "unrecoverable_position"
  | "timeout"
  | "cancelled"
  | "internal"
  | "disconnected";

/** The error of a request that was refused, timed out or lost its connection. */
export class RealtimeError extends Error {
  readonly name: "RealtimeError";
  /** Why. Methods of your own may use further codes. */
  readonly code: ErrorCode | (string & {});
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;
  /** How long to wait before that; 0 if the server did not say. */
  readonly retryAfterMs: number;
  /** Details of the error: `{field: "payload.user_id"}`, for example. */
  readonly details: any;
  constructor(code: string, message: string, more?: { retryable?: boolean; retryAfterMs?: number; details?: unknown });
}

/** The types of an endpoint's messages. `manage.py make_client` writes one for each endpoint of a site. */
export interface Contract {
  /** By the type of the request: its payload, and that of the reply. */
  verbs: { [type: string]: { params: any; reply: any } };
  /** By the type of the push: its payload. */
  pushes: { [type: string]: any };
  /** By the name of the topic: the data of its publications. */
  topics: { [topic: string]: any };
  /** By the name of the source: its values. */
  streams: { [source: string]: any };
  /** By the name of the query: its parameters, and one item. */
  queries: { [query: string]: { params: any; item: any } };
}

/** A message: a reply has the id of its request, a push has none. */
export interface Envelope<P = any> {
  id: string | number | null;
  type: string;
  payload: P;
}

/** A place in the history of a topic. */
export interface Position {
  epoch: string;
  offset: number;
}

export interface User {
  id: number | string;
  username: string;
}

export interface Publication<D = any> {
  topic: string;
  /** The number in the topic: 1, 2, 3 … */
  offset: number;
  data: D;
  /** The user who published it; null for the server and for people who are not signed in. */
  publisher: User | null;
  /** ISO 8601 in UTC. */
  time: string;
}

export interface PresentUser extends User {
  connections: number;
}

export interface Presence {
  users: PresentUser[];
  count: number;
}

/** The answer to a subscription. `recovered`: null if nothing was asked, false if publications were lost. */
export interface Subscribed<D = any> extends Position {
  topic: string;
  recovered: boolean | null;
  publications: Publication<D>[];
  presence?: Presence;
}

/** `count` without users: the server names nobody (not signed in, large topics). */
export interface PresenceChange {
  joined: PresentUser[];
  left: User[];
  count?: number;
}

/** The first push: the user of the connection, and the limits. */
export interface Welcome {
  connection_id: string;
  tenant: string;
  user: User | null;
  scopes: string[];
  node: string;
  server_time: string;
  heartbeat: { interval_s: number; timeout_s: number };
  limits: Record<string, number>;
}

/** `waiting` and `offline`: the next try is at `retryAtMs`, in the time of `Date.now()`. `stopped`: for good; `code` says why. */
export interface State {
  name: "connecting" | "online" | "waiting" | "offline" | "stopped";
  retryAtMs?: number;
  code?: number;
  reason?: string;
}

/** `connect`: the first connection; `refused`: the server refused the last token; `expiring`: it ends within a minute. */
export type TokenReason = "connect" | "refused" | "expiring";

export interface ClientOptions {
  /**
   * Returns an access token; null stops the client. The token is kept over reconnects, refreshed in place before it ends, and
   * asked for again when the server refuses it. If it throws, it is asked again later.
   */
  getToken?: (why: { reason: TokenReason }) => Promise<string | null> | string | null;
  /** Returns a new ticket for each connection; null stops the client. */
  getTicket?: () => Promise<string | null> | string | null;
  /** How many requests may wait for a connection. With 0, the default, they fail at once. */
  queueMax?: number;
  /** Where there is no global one, as in Node 20: that of the package `ws`. */
  WebSocket?: new (url: string, protocols: string[]) => any;
  /** Instead: opens a socket, for example of `ws` with headers. */
  createSocket?: (url: string, protocols: string[]) => any;
  /** Asked before each reconnect, so that no socket is opened while the server is away: see `reachableAt`. */
  isReachable?: () => Promise<boolean>;
  /** Returns a number from 0 to 1, for the backoff. */
  random?: () => number;
}

export interface SubscribeOptions<D = any> {
  /** Start after this position, which came with the page's data: nothing is missed before the first connection. */
  since?: Position | null;
  /** Whether users who come and go are told to `onPresence`. */
  presence?: boolean;
  /** False for topics whose history is not needed, such as typing marks. */
  recover?: boolean;
  /** Every publication, once and in order. */
  onPublication?: (publication: Publication<D>) => void;
  /** After each `subscribe`, also after a reconnect. */
  onSubscribed?: (reply: Subscribed<D>) => void;
  /** After a reconnect, or with `since`: false means that publications were lost, so that the state must be loaded again. */
  onRecovered?: (isComplete: boolean) => void;
  onPresence?: (change: PresenceChange) => void;
  /** The subscription was refused or ended by the server. */
  onEnded?: (error: RealtimeError) => void;
}

export interface RequestOptions {
  /** Until the reply, and between two pages of it; 10,000 by default. */
  timeoutMs?: number;
}

type Params<C extends Contract, K extends keyof C["verbs"]> = C["verbs"][K]["params"];
type Reply<C extends Contract, K extends keyof C["verbs"]> = C["verbs"][K]["reply"];
/** A payload whose fields are all optional may be left out. */
type Arguments<P> = {} extends P ? [payload?: P, options?: RequestOptions] : [payload: P, options?: RequestOptions];

export interface Query<C extends Contract, Q extends keyof C["queries"]> {
  query: Q;
  params: C["queries"][Q]["params"];
  page_size?: number;
  watch?: boolean;
}

/** A page of a query; of all pages, where `request` has joined them. */
export interface Rows<I = any> {
  query_id: string;
  items: I[];
  more: boolean;
}

/** The events of `on` besides the pushes of the server. */
export interface Events {
  state: State;
  welcome: Welcome;
  unauthenticated: { code: number; reason: string };
}

type Pushed<C extends Contract, K> = K extends keyof Events ? Events[K] : K extends keyof C["pushes"] ? C["pushes"][K] : never;

/** One connection to a JSON endpoint that reconnects by itself and recovers missed publications. */
export class RealtimeClient<C extends Contract = Contract> {
  readonly state: State;
  readonly url: string;
  /** `url` of the endpoint: `wss://…`, or a path on this page's host. */
  constructor(url: string, options?: ClientOptions);
  /** Connect, and stay connected until `stop`. Throws what the browser throws for a URL that it refuses. */
  start(): void;
  /** Disconnect and do not reconnect. */
  stop(): void;
  /** Wait until the client is online. Rejects with RealtimeError when it stops. */
  ready(): Promise<void>;
  /** Retry now instead of at the planned time. */
  reconnectNow(): void;
  /** The user is active: retry now, but at most once a second, and not if the server asked to wait. */
  hurry(): void;
  /** The page is visible again: reconnect at once, or check that the connection still answers. */
  checkNow(): void;
  /** The browser reports that the network is gone. */
  networkLost(): void;
  /** The browser reports that the network is back. */
  networkFound(): void;
  /** Send a request and wait for the reply; of a paged reply, for the items of all pages. Rejects with RealtimeError. */
  request<Q extends keyof C["queries"] & string>(type: "query", payload: Query<C, Q>, options?: RequestOptions): Promise<Envelope<Rows<C["queries"][Q]["item"]>>>;
  request<K extends keyof C["verbs"] & string>(type: K, ...rest: Arguments<Params<C, K>>): Promise<Envelope<Reply<C, K>>>;
  /** Send a request at the first step, and iterate over the pages of its reply. Leaving the loop early ends the request. */
  pages<Q extends keyof C["queries"] & string>(type: "query", payload: Query<C, Q>, options?: RequestOptions): AsyncGenerator<Rows<C["queries"][Q]["item"]>, void, void>;
  pages<K extends keyof C["verbs"] & string>(type: K, ...rest: Arguments<Params<C, K>>): AsyncGenerator<Reply<C, K>, void, void>;
  /** Call `listener` for every push of this type, or for `state`, `welcome`, `unauthenticated`. Returns a function that ends this. */
  on<K extends (keyof C["pushes"] & string) | keyof Events>(type: K, listener: (payload: Pushed<C, K>) => void): () => void;
  /**
   * Subscribe to a topic, which may have several listeners. Missed publications are passed to `onPublication` after a reconnect,
   * once and in order. Returns a function that ends this listener; the last one unsubscribes.
   */
  subscribe<T extends keyof C["topics"] & string>(topic: T, options?: SubscribeOptions<C["topics"][T]>): () => void;
  /** Switch presence on or off for a topic that is subscribed to. */
  setPresence(topic: keyof C["topics"] & string, isWanted: boolean): void;
}

/** If a client offers it, the server refuses by a close code, which a browser can read. */
export const SUBPROTOCOL: "rockstar.v1";
/** The same, but one frame may hold several messages, one on each line. */
export const BATCH_SUBPROTOCOL: "rockstar.v1.batch";
