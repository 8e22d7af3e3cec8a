import { batch, computed, signal } from "@preact/signals";

import { NOBODY, peopleOf, presenceOf, withPresence } from "../lib/people.js";
import { roomAfterMessage, roomAfterRead } from "../lib/room-list.js";
import { firstSeq, lastSeq, newest, trimmed, withLive, withNewer, withOlder } from "../lib/timeline.js";
import { stillTyping, TYPING_EVERY_MS, TYPING_SHOWN_MS, withoutTyper, withTyper } from "../lib/typing.js";

/**
 * @typedef {import("../lib/timeline.js").Message} Message
 * @typedef {import("../lib/timeline.js").Timeline} Timeline
 * @typedef {{client: import("realtime/client").RealtimeClient, me: {id: number, username: string}, isAttentive: () => boolean,
 *   onMessage: (room: RoomStore, message: Message) => void, onRefused: () => void}} Context
 */

const PAGE = 100;
const FIRST_PAGE = 60;
// If more pages than this are missing, the newest page is loaded instead of the missing ones.
const CATCH_UP_PAGES = 4;
const READ_DELAY_MS = 250;

/** One room. After it has been opened it also has its messages and its connected users. */
export class RoomStore {
  /**
   * @param {import("../lib/room-list.js").Room} room
   * @param {Context} context
   */
  constructor(room, context) {
    this.id = room.id;
    this.context = context;
    this.room = signal(room);
    this.timeline = signal(/** @type {Timeline | null} */ (null));
    this.isLoading = signal(false);
    this.error = signal("");
    this.members = signal(/** @type {import("../lib/people.js").Person[]} */ ([]));
    this.present = signal(NOBODY);
    this.people = computed(() => peopleOf(this.members.value, this.present.value));
    this.typers = signal(/** @type {import("../lib/typing.js").Typer[]} */ ([]));
    /** The "new messages" line is after this message. */
    this.newAfterSeq = signal(/** @type {number | null} */ (null));
    /** Whether the reader sees the newest message. */
    this.isAtEnd = signal(true);
    this.draft = "";
    this.isOpen = false;
    /** Whether the server ended the subscription, because the reader may no longer see the room. */
    this.isRefused = false;
    /** @type {(() => void)[]} */
    this.subscriptions = [];
    this.typingAnnouncedMs = -Infinity;
    this.sentReadSeq = room.read_seq;
    this.isCatchingUp = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.readTimer = undefined;
    /** @type {(() => void) | null} */
    this.stopTyping = null;
  }

  /**
   * Subscribe to the room's topic, which also updates the unread count. Presence is only for the open room.
   */
  follow() {
    if (this.subscriptions.length > 0 || this.isRefused) return;
    const { topic } = this.room.value;
    const unsubscribe = this.context.client.subscribe(topic, {
      presence: this.isOpen,
      onPublication: (publication) => this.#apply(publication.data),
      onSubscribed: (reply) => reply.presence && this.isOpen && (this.present.value = presenceOf(reply.presence)),
      onRecovered: (isComplete) => isComplete || this.reload(),
      // Ignore a change that arrives after the reader has gone to another room.
      onPresence: (change) => this.isOpen && (this.present.value = withPresence(this.present.value, change)),
      onEnded: () => this.#refused(),
    });
    this.subscriptions = [unsubscribe];
  }

  unfollow() {
    for (const unsubscribe of this.subscriptions) unsubscribe();
    this.subscriptions = [];
    this.close();
  }

  /** The reader opens the room. */
  open() {
    if (this.isOpen) return;
    this.isOpen = true;
    const { unread, read_seq } = this.room.value;
    this.newAfterSeq.value = unread > 0 ? read_seq : null;
    this.context.client.setPresence(this.room.value.topic, true);
    this.stopTyping = this.context.client.subscribe(`typing:${this.id}`, {
      recover: false,
      onPublication: (publication) => this.#typing(publication.data.user),
    });
    this.reload();
  }

  /** The reader goes to another room. */
  close() {
    this.isOpen = false;
    this.stopTyping?.();
    this.stopTyping = null;
    this.typers.value = [];
    this.context.client.setPresence(this.room.value.topic, false);
    this.present.value = NOBODY;
  }

  /** Update an open room, after it is opened or after a gap that could not be recovered. */
  reload() {
    if (!this.isOpen) {
      // The room is loaded when it is opened the next time.
      this.timeline.value = null;
      return;
    }
    this.loadMembers();
    if (this.timeline.value === null) this.jumpToEnd();
    else this.catchUp();
  }

  /** Show the newest messages. */
  async jumpToEnd() {
    const limit = Math.min(PAGE, Math.max(FIRST_PAGE, this.room.value.unread + 10));
    const page = await this.#page({ limit });
    if (page === null) return;
    batch(() => {
      this.timeline.value = newest(page);
      this.#know(lastSeq(this.timeline.value));
    });
    this.#catchUpIfBehind();
  }

  async loadOlder() {
    const timeline = this.timeline.value;
    if (timeline === null || !timeline.hasOlder || this.isLoading.value) return;
    const page = await this.#page({ before_seq: firstSeq(timeline), limit: PAGE });
    if (page !== null && this.timeline.value !== null) this.timeline.value = withOlder(this.timeline.value, page);
  }

  async loadNewer() {
    const timeline = this.timeline.value;
    if (timeline === null || !timeline.hasNewer || this.isLoading.value) return;
    const page = await this.#page({ after_seq: lastSeq(timeline), limit: PAGE });
    if (page !== null && this.timeline.value !== null) this.timeline.value = withNewer(this.timeline.value, page);
  }

  /** Fetch the messages after the last one here. */
  async catchUp() {
    if (this.isCatchingUp || this.timeline.value === null || this.timeline.value.hasNewer) return;
    this.isCatchingUp = true;
    try {
      for (let pages = 0; pages < CATCH_UP_PAGES; pages += 1) {
        const page = await this.#page({ after_seq: lastSeq(this.timeline.value), limit: PAGE });
        if (page === null || this.timeline.value === null) return;
        this.timeline.value = withNewer(this.timeline.value, { ...page, has_more: false });
        this.#know(lastSeq(this.timeline.value));
        if (!page.has_more && !this.#isBehind()) return;
      }
      this.timeline.value = null;
    } finally {
      this.isCatchingUp = false;
    }
    await this.jumpToEnd();
  }

  async loadMembers() {
    const reply = await this.#request("member.list", { room_id: this.id });
    if (reply !== null) this.members.value = reply.payload.members;
  }

  /**
   * The reader has seen everything up to `seq`. The server is told after a short delay, or after a reconnect.
   */
  markRead(seq = this.room.value.last_seq) {
    if (seq > this.room.value.read_seq) this.room.value = roomAfterRead(this.room.value, seq);
    if (this.room.value.read_seq <= this.sentReadSeq) return;
    clearTimeout(this.readTimer);
    this.readTimer = setTimeout(() => this.flushRead(), READ_DELAY_MS);
  }

  async flushRead() {
    const seq = this.room.value.read_seq;
    if (seq <= this.sentReadSeq || this.context.client.state.name !== "online") return;
    const reply = await this.#request("read", { room_id: this.id, seq });
    if (reply !== null) this.sentReadSeq = Math.max(this.sentReadSeq, seq);
  }

  /** The reader is typing. */
  announceTyping() {
    const nowMs = Date.now();
    if (nowMs - this.typingAnnouncedMs < TYPING_EVERY_MS) return;
    this.typingAnnouncedMs = nowMs;
    this.context.client.request("typing", { room_id: this.id }).catch(() => {});
  }

  /** A message that the server confirmed to its sender. The topic may deliver it too. @param {Message} message */
  confirmed(message) {
    this.typingAnnouncedMs = -Infinity;
    this.#message(message);
  }

  /** The user read up to `seq` on another screen. @param {number} seq */
  readElsewhere(seq) {
    this.sentReadSeq = Math.max(this.sentReadSeq, seq);
    this.room.value = roomAfterRead(this.room.value, seq);
  }

  /** The room as the server sees it. @param {import("../lib/room-list.js").Room} room */
  update(room) {
    const known = this.room.value;
    const isOlder = room.last_seq < known.last_seq || room.read_seq < known.read_seq;
    const { last_seq, read_seq, unread } = isOlder ? known : room;
    this.room.value = { ...room, last_seq, read_seq, unread };
    this.#catchUpIfBehind();
  }

  #refused() {
    this.subscriptions = [];
    this.isRefused = true;
    this.context.onRefused();
  }

  /** @param {any} data of a publication */
  #apply(data) {
    if (data.event === "message") this.#message(data.message);
    else if (data.event === "member") this.#member(data);
    else if (data.event === "read" && data.user_id === this.context.me.id) this.readElsewhere(data.seq);
  }

  /** @param {Message} message */
  #message(message) {
    const isNew = message.seq > this.room.value.last_seq;
    batch(() => {
      this.typers.value = withoutTyper(this.typers.value, message.author.id);
      if (isNew) this.#markNew(message);
      this.room.value = roomAfterMessage(this.room.value, message, this.context.me.id);
      this.#show(message);
      this.context.onMessage(this, message);
    });
  }

  /** @param {Message} message */
  #show(message) {
    if (this.timeline.value === null) return;
    const { timeline, isBehind } = withLive(this.timeline.value, message);
    this.timeline.value = this.isAtEnd.value ? trimmed(timeline) : timeline;
    if (isBehind) this.isOpen ? this.catchUp() : (this.timeline.value = null);
  }

  /** Remember where unseen messages begin. @param {Message} message */
  #markNew(message) {
    const isSeen = this.isOpen && this.isAtEnd.value && this.context.isAttentive();
    if (message.author.id === this.context.me.id) this.newAfterSeq.value = null;
    else if (!isSeen && this.room.value.unread === 0) this.newAfterSeq.value = message.seq - 1;
  }

  /** @param {{joined?: {id: number, username: string}, left?: {id: number, username: string}}} change */
  #member({ joined, left }) {
    const others = this.members.value.filter((member) => member.id !== (joined ?? left)?.id);
    this.members.value = joined ? [...others, joined] : others;
    if (this.isOpen) this.loadMembers();
  }

  /** @param {{id: number, username: string}} user */
  #typing(user) {
    if (user.id === this.context.me.id) return;
    this.typers.value = withTyper(this.typers.value, user, Date.now());
    setTimeout(() => (this.typers.value = stillTyping(this.typers.value, Date.now())), TYPING_SHOWN_MS);
  }

  /** Note that there are newer messages than known so far. @param {number} seq */
  #know(seq) {
    if (seq > this.room.value.last_seq) this.room.value = { ...this.room.value, last_seq: seq };
  }

  #isBehind() {
    const timeline = this.timeline.value;
    return timeline !== null && !timeline.hasNewer && lastSeq(timeline) < this.room.value.last_seq;
  }

  #catchUpIfBehind() {
    if (this.isOpen && this.#isBehind()) this.catchUp();
  }

  /**
   * @param {Record<string, unknown>} where
   * @returns {Promise<import("../lib/timeline.js").Page | null>}
   */
  async #page(where) {
    this.isLoading.value = true;
    const reply = await this.#request("message.list", { room_id: this.id, ...where });
    this.isLoading.value = false;
    return reply === null ? null : /** @type {any} */ (reply.payload);
  }

  /**
   * Send a request. Its failure is shown in the room, and the result is null.
   * @param {string} type
   * @param {Record<string, unknown>} payload
   */
  async #request(type, payload) {
    try {
      const reply = await this.context.client.request(type, payload);
      this.error.value = "";
      return reply;
    } catch (error) {
      const { code, message } = /** @type {{code: string, message: string}} */ (error);
      // The connection bar shows this already, and the data is requested again after the reconnect.
      if (code !== "disconnected") this.error.value = message;
      return null;
    }
  }
}
