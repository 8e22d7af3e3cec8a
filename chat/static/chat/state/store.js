import { batch, computed, effect, signal } from "@preact/signals";
import { _ } from "realtime/texts";

import { nameOf, summaryOf } from "../lib/format.js";
import { rankOf } from "../lib/rights.js";
import { attentionOfAll, isWorthTelling, neighbour, roomAfterChange, sectionsOf, sortedRooms } from "../lib/room-list.js";
import { Actions } from "./actions.js";
import { Activity } from "./activity.js";
import { Drafts } from "./drafts.js";
import { RoomStore } from "./room-store.js";
import { Sender } from "./sender.js";
/** @import {Files, Message, Person, RealtimeClient, Room} from "../types.js" */

const ANNOUNCE_MS = 700;
// For so long the rest of the page waits for the first connection.
const CONNECT_MS = 2_000;
const PUBLIC_ROOMS = "rooms:public";
const DELETED_MAX = 500;

/** The chat of one user on one page: the rooms, the current room, and their connection. */
export class ChatStore {
  /**
   * @param {{client: RealtimeClient, me: Person, tenant: {slug: string, name: string}, rooms: Room[], roomId?: number | null,
   *   storage: import("./storage.js").BrowserStorage, fileLimits?: import("../lib/attachments.js").Limits, nextFrame?: (act: () => void) => void,
   *   notify?: (room: RoomStore, message: Message) => void}} options
   *   roomId: the room to show first
   *   nextFrame: calls before the next frame is drawn: all publications until then are drawn together
   *   notify: tells the reader about a message, outside of the page
   */
  constructor({ client, me, tenant, rooms, roomId = null, storage, fileLimits, nextFrame = (act) => act(), notify = () => {} }) {
    this.notify = notify;
    this.client = client;
    this.me = me;
    this.tenant = tenant;
    this.connection = signal(client.state);
    this.isOnline = computed(() => this.connection.value.name === "online");
    this.isAttentive = signal(false);
    this.stores = signal(/** @type {Map<number, RoomStore>} */ (new Map()));
    this.currentId = signal(/** @type {number | null} */ (null));
    this.current = computed(() => this.stores.value.get(this.currentId.value ?? 0) ?? null);
    /** Whether the first connection takes long. */
    this.isSlow = signal(false);
    /** Whether messages of the current room are on their way. What nobody waits for loads after them. */
    this.isStarting = computed(() => {
      const { timeline, requests } = this.current.value ?? {};
      const isConnecting = this.connection.value.name === "connecting" && !this.isSlow.value;
      return timeline?.value === null && (isConnecting || (this.isOnline.value && requests?.isLoading.value === true));
    });
    this.rooms = computed(() => sortedRooms([...this.stores.value.values()].map((store) => store.room.value)));
    /** Whether the reader looks at new messages now. Their room keeps its place. */
    this.isAtNew = computed(() => typeof this.current.value?.newAfterSeq.value === "number");
    this.sections = computed(() => sectionsOf(this.rooms.value.filter((room) => room.is_member), ({ id }) => this.isAtNew.value && id === this.currentId.value));
    /** The user's rooms in the order of the sidebar. */
    this.joined = computed(() => this.sections.value.flatMap(({ rooms }) => rooms));
    this.joinable = computed(() => this.rooms.value.filter((room) => !room.is_member && room.is_public));
    this.attention = computed(() => attentionOfAll(this.joined.value));
    /** Whether the user is staff of the tenant, who moderate every room that they see. */
    this.isStaff = signal(false);
    /** The user's own profile. */
    this.profile = signal(me);
    this.activity = new Activity(client);
    /** The open dialog: the name of its component, and what it is about. */
    this.dialog = signal(/** @type {{name: string, [about: string]: unknown} | null} */ (null));
    /** The panel beside the messages. On narrow screens the panel and the rooms are drawers. */
    this.panel = signal(/** @type {string} */ ("people"));
    /** How many times a panel was asked for. */
    this.panelAsked = signal(0);
    this.searchFor = signal("");
    this.drawer = signal(/** @type {"rooms" | "panel" | null} */ (null));
    /** The text for a screen reader. `turn` changes with every one, so that the same text is read again. */
    this.announcement = signal({ text: "", turn: 0 });
    this.notice = signal("");
    /** The ids of the messages that were deleted last. Search results and notifications leave them out. */
    this.deleted = signal(/** @type {readonly number[]} */ ([]));
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
    /** How often the list of rooms was asked for since it began to load. */
    this.roomsAsked = 0;
    this.storage = storage;
    this.drafts = new Drafts(storage);
    this.fileLimits = fileLimits;
    /** The files of composers and of unsent messages, once there are some. */
    this.files = signal(/** @type {Files | null} */ (null));
    const onSent = (/** @type {Message} */ message) => this.stores.value.get(message.room_id)?.confirmed(message);
    this.sender = new Sender({ client, storage, loadFiles: () => this.loadFiles(), onSent });
    this.actions = new Actions(this);
    this.firstRoomId = roomId;
    this.#take(rooms);
  }

  /** Connect, and keep the page up to date. */
  start() {
    this.client.on("state", (state) => batch(() => this.#connectionChanged(state)));
    this.client.on("welcome", ({ scopes }) => (this.isStaff.value = scopes?.includes("control:write") ?? false));
    this.client.on("announcement", ({ text, level }) => {
      this.banner.value = { text, level };
      this.#say(text);
    });
    const onRecovered = (/** @type {boolean} */ isComplete) => isComplete || this.loadRooms();
    this.client.subscribe(`user:${this.me.id}`, { onPublication: ({ data }) => this.#ownEvent(data), onRecovered });
    this.client.subscribe(PUBLIC_ROOMS, { onPublication: ({ data }) => this.#publicRoom(data), onRecovered });
    // Messages on the screen are read while the reader looks at the page.
    effect(() => {
      const store = this.current.value;
      if (store && this.isAttentive.value && store.visibleSeq.value > 0) store.markRead(store.visibleSeq.value);
    });
    this.drafts.load();
    this.sender.adopt();
    this.storage.watchTabs({ onDraft: (roomId, text) => this.drafts.take(roomId, text), onEnd: () => this.sender.adopt() });
    setTimeout(() => (this.isSlow.value = true), CONNECT_MS);
    this.client.start();
  }

  /**
   * Open a room. On small screens nothing covers it then.
   * @param {number} roomId @param {number | null} [seq] the message to show
   * @returns {boolean} whether it is the current room now
   */
  select(roomId, seq = null) {
    this.drawer.value = null;
    const store = this.stores.value.get(roomId);
    if (this.currentId.value === roomId) {
      if (seq !== null) store?.jumpTo(seq);
      return true;
    }
    if (!store?.room.value.is_member) return false;
    batch(() => {
      this.current.value?.close();
      this.actions.floating.value = null;
      this.notice.value = "";
      this.currentId.value = roomId;
      store.isAtEnd.value = true;
      store.open(seq);
    });
    return true;
  }

  /** Open a dialog. @param {string} name of its component @param {Record<string, unknown>} [about] */
  show(name, about = {}) {
    this.dialog.value = { ...about, name };
  }

  /** Show a panel beside the messages. @param {string} name */
  showPanel(name) {
    this.panel.value = name;
    this.panelAsked.value += 1;
    this.drawer.value = "panel";
  }

  /** @param {number} step */
  selectNeighbour(step) {
    const room = neighbour(this.joined.value, this.currentId.value, step);
    if (room) this.select(room.id);
  }

  /** @param {boolean} isAttentive whether somebody looks at the page */
  setAttentive(isAttentive) {
    // The line before new messages ends when the reader has seen them all and looks away.
    const current = this.current.value;
    if (!isAttentive && this.isAttentive.value && current?.room.value.unread === 0) current.newAfterSeq.value = null;
    this.isAttentive.value = isAttentive;
    if (isAttentive) this.activity.touch();
    this.today.value = new Date().toDateString();
  }

  /** Load the list of rooms. Calls while it loads cause one more load. */
  async loadRooms() {
    this.roomsAsked += 1;
    if (this.roomsAsked > 1) return;
    for (let served = 0; served < this.roomsAsked; ) {
      // All topics of one answer ask for it at the same time.
      await Promise.resolve();
      served = this.roomsAsked;
      const reply = await this.client.request("room.list").catch(() => null);
      if (reply !== null) this.#take(reply.payload.rooms, { isComplete: true });
      this.hasRooms ||= reply !== null;
    }
    this.roomsAsked = 0;
  }

  /** Send a request about a room, and take the room from its reply. @param {string} type @param {Record<string, unknown>} payload */
  async change(type, payload) {
    const { room } = (await this.client.request(type, payload)).payload;
    if (room.archived) this.#left(room.id, room, true);
    else this.#take([room]);
    return room.id;
  }

  /** The same, and go to the room. @param {string} type @param {Record<string, unknown>} payload */
  async enter(type, payload) {
    this.select(await this.change(type, payload));
  }

  /** @param {number} roomId */
  joinRoom(roomId) {
    return this.try(this.enter("room.join", { room_id: roomId }));
  }

  /** The user's rank in a room, which decides what the page offers; the server decides what is done. @param {RoomStore} store */
  rank(store) {
    return rankOf(store.room.value, store.members.value, this.isStaff.value);
  }

  /** @param {number} roomId */
  async leaveRoom(roomId) {
    await this.client.request("room.leave", { room_id: roomId });
    this.#left(roomId, {}, true);
  }

  /** The files, whose modules are loaded with the first one. */
  async loadFiles() {
    const { Files } = await import("./files.js");
    this.files.value ??= new Files({ limits: this.fileLimits });
    return this.files.value;
  }

  /** Everything in the current room counts as read. */
  markCurrentRead() {
    const store = this.current.value;
    if (store === null) return;
    store.isKeptUnread = false;
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
      const said = texts.length < 3 ? texts.join(". ") : _("{count} new messages", { count: texts.length });
      this.#say(said);
    }, ANNOUNCE_MS);
  }

  /** @param {string} text */
  #say(text) {
    this.announcement.value = { text, turn: this.announcement.value.turn + 1 };
  }

  /** Show the reader the failure of a request, or that there is none. @param {Promise<unknown>} done @returns whether it succeeded */
  async try(done) {
    this.notice.value = await done.then(() => "", ({ message }) => message);
    return this.notice.value === "";
  }

  /** @param {import("realtime/client").State} state */
  #connectionChanged(state) {
    this.connection.value = state;
    if (state.name !== "online") return;
    const current = this.current.value;
    const isLoaded = current?.room.value.is_member && current.isIncomplete ? current.reload() : null;
    // After the messages, for which the reader waits. If they were cut off, the next connection asks; after a gap the topics do.
    Promise.resolve(isLoaded).then(() => {
      if (this.isOnline.value && !this.hasRooms && this.roomsAsked === 0) this.loadRooms();
    });
    for (const store of this.stores.value.values()) store.flushRead();
    this.sender.flushAll();
    this.sender.adopt();
    this.files.value?.resume();
  }

  /** @param {any} data */
  #ownEvent(data) {
    if (data.event === "read") this.stores.value.get(data.room_id)?.readElsewhere(data.seq);
    else if (data.event === "room" && data.room.is_member) this.#take([data.room]);
    else if (data.event === "room") this.#left(data.room.id, data.room);
  }

  /** A public room is there, or no longer. @param {any} data */
  #publicRoom(data) {
    const store = this.stores.value.get(data.room_id ?? data.room?.id);
    const isOutside = { is_member: false, read_seq: 0, unread: 0, mentions: 0, level: "all", is_favourite: false, role: null };
    // Members are told in their own topics.
    if (data.event === "gone" && !store?.room.value.is_member) this.#left(data.room_id, { is_public: false });
    else if (data.event === "room" && store) store.room.value = roomAfterChange(store.room.value, data.room);
    else if (data.event === "room") this.#take([{ ...data.room, ...isOutside }]);
  }

  /**
   * Apply rooms from the server. A complete list holds all rooms.
   * @param {Room[]} rooms @param {{isComplete?: boolean}} [options]
   */
  #take(rooms, { isComplete = false } = {}) {
    const stores = new Map(isComplete ? [] : this.stores.value);
    for (const room of rooms) {
      const store = this.stores.value.get(room.id);
      store?.update(room);
      stores.set(room.id, store ?? new RoomStore(room, this));
    }
    for (const [id, store] of this.stores.value) {
      if (stores.has(id)) continue;
      // Archived, or private now: nobody can join it.
      store.left({ is_public: false });
      // The messages and the reader's text stay, with a note about what happened.
      if (id === this.currentId.value) stores.set(id, store);
    }
    this.stores.value = stores;
    for (const store of stores.values()) {
      if (!store.room.value.is_member) continue;
      store.follow();
      if (store.id === this.currentId.value) store.open();
    }
    if (this.current.value === null) this.#selectSomething();
  }

  /** Apply what arrived, in order, and draw it together with what else arrives before the next frame. @param {() => void} act */
  soon(act) {
    this.arrived.push(act);
    if (this.arrived.length > 1) return;
    this.nextFrame(() => batch(() => this.arrived.splice(0).forEach((apply) => apply())));
  }

  /** Take the text of a deleted message out of search results, notifications, the announcement and the composer. @param {Message} message */
  forgetDeleted(message) {
    this.deleted.value = [...this.deleted.value, message.id].slice(-DELETED_MAX);
    this.announcement.value = { text: "", turn: 0 };
    this.actions.deleted(message);
  }

  /**
   * The reader is no longer in a room. The page of the current one stays, with the reader's text, unless the reader chose to go.
   * @param {number} roomId @param {Partial<Room>} [room] what else has changed @param {boolean} [isChosen]
   */
  #left(roomId, room, isChosen = false) {
    const store = this.stores.value.get(roomId);
    store?.left(room);
    if (isChosen && roomId === this.currentId.value) this.#selectSomething();
    const { is_public = false, archived = false } = store?.room.value ?? {};
    if (roomId !== this.currentId.value && (archived || !is_public)) this.#drop(roomId);
  }

  /** @param {number} roomId */
  #drop(roomId) {
    this.stores.value = new Map([...this.stores.value].filter(([id]) => id !== roomId));
  }

  #selectSomething() {
    this.currentId.value = null;
    const [newest] = this.joined.value;
    const first = this.joined.value.find((room) => room.id === this.firstRoomId) ?? newest;
    if (first) this.select(first.id);
  }

  /** A room has a new message. @param {RoomStore} store @param {Message} message */
  heard(store, message) {
    if (message.author.id === this.me.id) return this.sender.forget(message.client_msg_id);
    if (store === this.current.value) this.announce(`${nameOf(message.author)}: ${summaryOf(message)}`);
    if (isWorthTelling(store.room.value, message, this.me.id)) this.notify(store, message);
  }
}
