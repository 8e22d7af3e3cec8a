import { batch, computed, effect, signal } from "@preact/signals";

import { nameOf } from "../lib/format.js";
import { neighbour, roomAfterChange, sortedRooms } from "../lib/room-list.js";
import { Actions } from "./actions.js";
import { Drafts } from "./drafts.js";
import { RoomStore } from "./room-store.js";
import { Sender } from "./sender.js";
import { NO_STORAGE } from "./storage.js";

/**
 * @typedef {import("../lib/room-list.js").Room} Room
 * @typedef {import("../lib/timeline.js").Message} Message
 * @typedef {{id: number, username: string}} User
 */

const ANNOUNCE_MS = 700;
const PUBLIC_ROOMS = "rooms:public";

/** The chat of one user on one page: the rooms, the current room, and their connection. */
export class ChatStore {
  /**
   * @param {{client: import("realtime/client").RealtimeClient, me: User, tenant: {slug: string, name: string}, rooms: Room[], roomId?: number | null,
   *   storage?: import("./storage.js").Storage, nextFrame?: (act: () => void) => void}} options
   *   roomId: the room to show first
   *   nextFrame: calls before the next frame is drawn: all publications until then are drawn together
   */
  constructor({ client, me, tenant, rooms, roomId = null, storage = NO_STORAGE, nextFrame = (act) => act() }) {
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
    /** The text for a screen reader. `turn` changes with every one, so that the same text is read again. */
    this.announcement = signal({ text: "", turn: 0 });
    this.notice = signal("");
    /** The newest announcement of an operator. */
    this.banner = signal(/** @type {{text: string, level: string} | null} */ (null));
    /** The day, for "Today" and "Yesterday". */
    this.today = signal(new Date().toDateString());
    /** @type {string[]} */
    this.toAnnounce = [];
    this.nextFrame = nextFrame;
    /** @type {(() => void)[]} */
    this.arrived = [];
    this.hasRooms = false;
    this.isLoadingRooms = false;
    this.roomsWanted = false;
    this.drafts = new Drafts(storage);
    this.sender = new Sender({ client, storage, onSent: (message) => this.#sent(message) });
    this.actions = new Actions(this);
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
    this.client.subscribe(PUBLIC_ROOMS, {
      onPublication: (publication) => this.#publicRoom(publication.data),
      onRecovered: (isComplete) => isComplete || this.loadRooms(),
    });
    // Messages on the screen are read while the reader looks at the page.
    effect(() => {
      const store = this.current.value;
      if (store && this.isAttentive.value && store.visibleSeq.value > 0) store.markRead(store.visibleSeq.value);
    });
    this.drafts.load();
    this.sender.adopt();
    this.client.start();
  }

  /** @param {number} roomId @returns {boolean} whether it is the current room now */
  select(roomId) {
    const store = this.stores.value.get(roomId);
    if (this.currentId.value === roomId) return true;
    if (!store?.room.value.is_member) return false;
    batch(() => {
      this.current.value?.close();
      this.currentId.value = roomId;
      store.isAtEnd.value = true;
      store.open();
    });
    return true;
  }

  /** @param {number} step */
  selectNeighbour(step) {
    const room = neighbour(this.joined.value, this.currentId.value, step);
    if (room) this.select(room.id);
  }

  /** @param {boolean} isAttentive whether somebody looks at the page */
  setAttentive(isAttentive) {
    this.isAttentive.value = isAttentive;
    this.today.value = new Date().toDateString();
  }

  /** Load the list of rooms. Calls while it loads cause one more load. */
  async loadRooms() {
    this.roomsWanted = true;
    if (this.isLoadingRooms) return;
    this.isLoadingRooms = true;
    while (this.roomsWanted) {
      // All topics of one answer ask for it at the same time.
      await Promise.resolve();
      this.roomsWanted = false;
      const reply = await this.client.request("room.list").catch(() => null);
      if (reply !== null) this.#take(reply.payload.rooms, { isComplete: true });
      this.hasRooms ||= reply !== null;
    }
    this.isLoadingRooms = false;
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
    const reply = await this.try("room.join", { room_id: roomId });
    if (reply === null) return;
    this.#take([reply.payload.room]);
    this.select(roomId);
  }

  /** @param {number} roomId */
  async leaveRoom(roomId) {
    const reply = await this.try("room.leave", { room_id: roomId });
    if (reply === null) return;
    this.#left(roomId);
    // The reader chose to leave. A reader who is removed stays on the room's page.
    if (this.currentId.value === roomId) this.#selectSomething();
  }

  /** Everything in the current room counts as read. */
  markCurrentRead() {
    const store = this.current.value;
    if (store === null) return;
    store.newAfterSeq.value = null;
    store.markRead();
  }

  /** Announce a text to screen readers. @param {string} text */
  announce(text) {
    this.toAnnounce.push(text);
    if (this.toAnnounce.length > 1) return;
    // If several come quickly, only their number is said.
    setTimeout(() => {
      const texts = this.toAnnounce.splice(0);
      const said = texts.length < 3 ? texts.join(". ") : `${texts.length} new messages`;
      this.announcement.value = { text: said, turn: this.announcement.value.turn + 1 };
    }, ANNOUNCE_MS);
  }

  /**
   * Send a request. Its failure is shown to the reader, and the result is null.
   * @param {string} type
   * @param {Record<string, unknown>} payload
   */
  async try(type, payload) {
    try {
      const reply = await this.client.request(type, payload);
      this.notice.value = "";
      return reply;
    } catch (error) {
      this.notice.value = /** @type {Error} */ (error).message;
      return null;
    }
  }

  /** @param {import("realtime/client").State} state */
  #connectionChanged(state) {
    this.connection.value = state;
    if (state.name !== "online") return;
    if (!this.hasRooms) this.loadRooms();
    const current = this.current.value;
    if (current?.room.value.is_member && (current.timeline.value === null || current.members.value.length === 0)) current.reload();
    for (const store of this.stores.value.values()) store.flushRead();
    this.sender.flushAll();
    this.sender.adopt();
  }

  /** @param {any} data */
  #ownEvent(data) {
    if (data.event === "read") this.stores.value.get(data.room_id)?.readElsewhere(data.seq);
    else if (data.event === "room" && data.room.is_member) this.#take([data.room]);
    else if (data.event === "room") this.#left(data.room.id, data.room);
  }

  /** A public room is there, or no longer. @param {any} data */
  #publicRoom(data) {
    if (data.event === "gone") {
      const room = this.stores.value.get(data.room_id)?.room.value;
      if (room && !room.is_member) this.#drop(room.id);
    } else if (data.event === "room" && !this.stores.value.has(data.room.id)) {
      this.#take([{ ...data.room, is_member: false, read_seq: 0, unread: 0, role: null }]);
    } else if (data.event === "room") {
      const store = /** @type {RoomStore} */ (this.stores.value.get(data.room.id));
      store.room.value = roomAfterChange(store.room.value, data.room);
    }
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
    for (const [id, store] of this.stores.value) {
      if (stores.has(id)) continue;
      store.left();
      // The messages and the reader's text stay, with a note about what happened.
      if (id === this.currentId.value) stores.set(id, store);
    }
    this.stores.value = stores;
    for (const store of stores.values()) if (store.room.value.is_member) this.#follow(store);
    if (this.current.value === null) this.#selectSomething();
  }

  /** @param {RoomStore} store */
  #follow(store) {
    store.follow();
    if (store.id === this.currentId.value) store.open();
  }

  /** Apply what arrived, in order, and draw it together with what else arrives before the next frame. @param {() => void} act */
  #soon(act) {
    this.arrived.push(act);
    if (this.arrived.length > 1) return;
    this.nextFrame(() => batch(() => this.arrived.splice(0).forEach((apply) => apply())));
  }

  /** @param {Room} room */
  #newStore(room) {
    return new RoomStore(room, {
      client: this.client,
      me: this.me,
      isAttentive: () => this.isAttentive.value,
      onMessage: (store, message) => this.#heard(store, message),
      onRefused: () => this.loadRooms(),
      onGap: () => this.loadRooms(),
      soon: (act) => this.#soon(act),
    });
  }

  /**
   * The reader is no longer in a room. The current one stays on the page.
   * @param {number} roomId
   * @param {Room} [room]
   */
  #left(roomId, room) {
    const store = this.stores.value.get(roomId);
    if (store === undefined) return;
    store.left(room);
    if (store === this.current.value) this.announce(`You are no longer in ${store.room.value.name}`);
    else if (store.room.value.is_public) this.stores.value = new Map(this.stores.value).set(roomId, this.#newStore(store.room.value));
    else this.#drop(roomId);
  }

  /** @param {number} roomId */
  #drop(roomId) {
    const stores = new Map(this.stores.value);
    stores.delete(roomId);
    this.stores.value = stores;
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
    else if (store === this.current.value) this.announce(`${nameOf(message.author)}: ${message.text}`);
  }
}
