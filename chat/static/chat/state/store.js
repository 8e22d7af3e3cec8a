import { batch, computed, effect, signal } from "@preact/signals";

import { neighbour, sortedRooms } from "../lib/room-list.js";
import { RoomStore } from "./room-store.js";
import { Sender } from "./sender.js";

/**
 * @typedef {import("../lib/room-list.js").Room} Room
 * @typedef {import("../lib/timeline.js").Message} Message
 * @typedef {{id: number, username: string}} User
 */

const ANNOUNCE_MS = 700;
// New public rooms are not announced, so the list is loaded again when the reader returns to the page.
const ROOMS_FRESH_MS = 30_000;

/** The chat of one user on one page: the rooms, the current room, and their connection. */
export class ChatStore {
  /**
   * @param {{client: import("realtime/client").RealtimeClient, me: User, tenant: {slug: string, name: string}, rooms: Room[], roomId?: number | null}} options
   *   roomId: the room to show first
   */
  constructor({ client, me, tenant, rooms, roomId = null }) {
    this.client = client;
    this.me = me;
    this.tenant = tenant;
    this.connection = signal(client.state);
    this.isAttentive = signal(false);
    this.stores = signal(/** @type {Map<number, RoomStore>} */ (new Map()));
    this.currentId = signal(/** @type {number | null} */ (null));
    this.current = computed(() => this.stores.value.get(this.currentId.value ?? 0) ?? null);
    this.rooms = computed(() => sortedRooms([...this.stores.value.values()].map((store) => store.room.value)));
    this.joined = computed(() => this.rooms.value.filter((room) => room.is_member));
    this.joinable = computed(() => this.rooms.value.filter((room) => !room.is_member && room.is_public));
    this.unread = computed(() => this.joined.value.reduce((sum, room) => sum + room.unread, 0));
    /** The text for a screen reader. */
    this.announcement = signal("");
    this.notice = signal("");
    /** The newest announcement of an operator. */
    this.banner = signal(/** @type {{text: string, level: string} | null} */ (null));
    /** @type {string[]} */
    this.toAnnounce = [];
    this.roomsLoadedMs = -Infinity;
    this.sender = new Sender({
      client,
      storageKey: `rockstar.outbox.${tenant.slug}.${me.id}`,
      onSent: (message) => this.#sent(message),
    });
    this.firstRoomId = roomId;
    this.#take(rooms);
  }

  /** Connect, and keep the page up to date. */
  start() {
    this.client.on("state", (state) => this.#connectionChanged(state));
    this.client.on("announcement", ({ text, level }) => (this.banner.value = { text, level }));
    this.client.subscribe(`user:${this.me.id}`, {
      onPublication: (publication) => this.#ownEvent(publication.data),
      onRecovered: (isComplete) => isComplete || this.loadRooms(),
    });
    // Messages that the reader sees count as read.
    effect(() => {
      const store = this.current.value;
      if (store?.timeline.value && store.isAtEnd.value && this.isAttentive.value) store.markRead(store.room.value.last_seq);
    });
    this.client.start();
  }

  /** @param {number} roomId */
  select(roomId) {
    const store = this.stores.value.get(roomId);
    if (!store?.room.value.is_member || this.currentId.value === roomId) return;
    batch(() => {
      this.current.value?.close();
      this.currentId.value = roomId;
      store.isAtEnd.value = true;
      store.open();
    });
  }

  /** @param {number} step */
  selectNeighbour(step) {
    const room = neighbour(this.joined.value, this.currentId.value, step);
    if (room) this.select(room.id);
  }

  /** @param {boolean} isAttentive whether somebody looks at the page */
  setAttentive(isAttentive) {
    this.isAttentive.value = isAttentive;
    if (isAttentive && Date.now() - this.roomsLoadedMs > ROOMS_FRESH_MS) this.loadRooms();
  }

  async loadRooms() {
    const reply = await this.client.request("room.list").catch(() => null);
    if (reply === null) return;
    this.roomsLoadedMs = Date.now();
    this.#take(reply.payload.rooms, { isComplete: true });
  }

  /**
   * @param {string} name
   * @param {boolean} isPublic
   */
  async createRoom(name, isPublic) {
    const reply = await this.client.request("room.create", { name, is_public: isPublic });
    this.#take([reply.payload.room]);
    this.select(reply.payload.room.id);
  }

  /** @param {number} roomId */
  async joinRoom(roomId) {
    const reply = await this.#try("room.join", { room_id: roomId });
    if (reply === null) return;
    this.#take([reply.payload.room]);
    this.select(roomId);
  }

  /** @param {number} roomId */
  async leaveRoom(roomId) {
    const reply = await this.#try("room.leave", { room_id: roomId });
    if (reply !== null) this.#left(roomId);
  }

  /** Everything in the current room counts as read. */
  markCurrentRead() {
    const store = this.current.value;
    if (store === null) return;
    store.newAfterSeq.value = null;
    store.markRead();
  }

  /** @param {import("realtime/client").State} state */
  #connectionChanged(state) {
    this.connection.value = state;
    if (state.name !== "online") return;
    if (this.roomsLoadedMs < 0) this.loadRooms();
    const current = this.current.value;
    if (current !== null && (current.timeline.value === null || current.members.value.length === 0)) current.reload();
    for (const store of this.stores.value.values()) store.flushRead();
    this.sender.flush();
  }

  /** @param {any} data */
  #ownEvent(data) {
    if (data.event === "read") this.stores.value.get(data.room_id)?.readElsewhere(data.seq);
    else if (data.event === "room" && data.room.is_member) this.#take([data.room]);
    else if (data.event === "room") this.#left(data.room.id, data.room);
  }

  /**
   * Apply rooms from the server. A complete list holds all rooms.
   * @param {Room[]} rooms
   * @param {{isComplete?: boolean}} [options]
   */
  #take(rooms, { isComplete = false } = {}) {
    const stores = new Map(isComplete ? [] : this.stores.value);
    for (const room of rooms) {
      const store = this.stores.value.get(room.id);
      store?.update(room);
      stores.set(room.id, store ?? this.#newStore(room));
    }
    for (const [id, store] of this.stores.value) if (!stores.has(id)) store.unfollow();
    this.stores.value = stores;
    for (const store of stores.values()) if (store.room.value.is_member) store.follow();
    if (!this.current.value?.room.value.is_member) this.#selectSomething();
  }

  /** @param {Room} room */
  #newStore(room) {
    return new RoomStore(room, {
      client: this.client,
      me: this.me,
      isAttentive: () => this.isAttentive.value,
      onMessage: (store, message) => this.#heard(store, message),
      onRefused: () => this.loadRooms(),
    });
  }

  /**
   * @param {number} roomId
   * @param {Room} [room]
   */
  #left(roomId, room) {
    const store = this.stores.value.get(roomId);
    if (store === undefined) return;
    store.unfollow();
    const left = { ...store.room.value, ...room, is_member: false, unread: 0 };
    const stores = new Map(this.stores.value);
    if (left.is_public) stores.set(roomId, this.#newStore(left));
    else stores.delete(roomId);
    this.stores.value = stores;
    if (this.currentId.value === roomId) this.#selectSomething();
  }

  #selectSomething() {
    this.currentId.value = null;
    const [alphabetical] = this.joined.value;
    const first = this.joined.value.find((room) => room.id === this.firstRoomId) ?? alphabetical;
    if (first) this.select(first.id);
  }

  /** @param {Message} message */
  #sent(message) {
    batch(() => {
      this.stores.value.get(message.room_id)?.confirmed(message);
      this.sender.forget(message.client_msg_id);
    });
  }

  /**
   * @param {RoomStore} store
   * @param {Message} message
   */
  #heard(store, message) {
    if (message.author.id === this.me.id) this.sender.forget(message.client_msg_id);
    else if (store === this.current.value) this.#announce(`${message.author.username}: ${message.text}`);
  }

  /** Announce a text to screen readers. If several come quickly, announce only their number. @param {string} text */
  #announce(text) {
    this.toAnnounce.push(text);
    if (this.toAnnounce.length > 1) return;
    setTimeout(() => {
      const texts = this.toAnnounce.splice(0);
      this.announcement.value = texts.length < 3 ? texts.join(". ") : `${texts.length} new messages`;
    }, ANNOUNCE_MS);
  }

  /**
   * Send a request. Its failure is shown to the reader, and the result is null.
   * @param {string} type
   * @param {Record<string, unknown>} payload
   */
  async #try(type, payload) {
    try {
      const reply = await this.client.request(type, payload);
      this.notice.value = "";
      return reply;
    } catch (error) {
      this.notice.value = /** @type {Error} */ (error).message;
      return null;
    }
  }
}
