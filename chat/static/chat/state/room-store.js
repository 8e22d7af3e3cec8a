import { batch, computed, signal } from "@preact/signals";
import { NOBODY, presenceAfter } from "realtime/presence";

import { peopleOf } from "../lib/people.js";
import { roomAfterChange, roomAfterMessage, roomAfterRead, roomUnreadFrom } from "../lib/room-list.js";
import { firstSeq, lastSeq, reaches, timelineOf, withCaughtUp, withChanged, withLive, withNewer, withOlder, withOwnReactions, withPin } from "../lib/timeline.js";
import { stillTyping, TYPING_AGAIN_MS, TYPING_EVERY_MS, TYPING_SHOWN_MS, withoutTyper, withTyper } from "../lib/typing.js";
import { RoomRequests } from "./room-requests.js";
/** @import {ChatStore, Message, Page, Person, Room, Timeline} from "../types.js" */

const READ_DELAY_MS = 250;
// More unread messages than this do not push others out of the page.
const UNSEEN_MAX = 100;

/** One room. After it has been opened it also has its messages and its connected users. */
export class RoomStore {
  /** @param {Room} room @param {Pick<ChatStore, "client" | "me" | "isAttentive" | "notice" | "heard" | "forgetDeleted" | "loadRooms" | "soon">} chat */
  constructor(room, chat) {
    this.id = room.id;
    this.chat = chat;
    this.room = signal(room);
    this.timeline = signal(/** @type {Timeline | null} */ (null));
    this.requests = new RoomRequests(chat.client, room.id, () => this.isOpen && this.reload());
    this.members = signal(/** @type {Person[]} */ ([]));
    this.present = signal(NOBODY);
    const memberCount = computed(() => this.room.value.member_count);
    this.people = computed(() => peopleOf(this.members.value, this.present.value, memberCount.value));
    /** The pictures of members, by user. */
    this.pictures = computed(() => new Map(this.members.value.map(({ id, picture }) => [/** @type {number | null} */ (id), picture])));
    this.typers = signal(/** @type {import("../lib/typing.js").Typer[]} */ ([]));
    /** The "new messages" line is after this message. */
    this.newAfterSeq = signal(/** @type {number | null} */ (null));
    /** Whether the list follows the newest message. */
    this.isAtEnd = signal(true);
    /** The newest message whose end the reader has on the screen; 0 before anything is drawn. */
    this.visibleSeq = signal(0);
    /** A message that the list is asked to show. */
    this.target = signal(/** @type {number | null} */ (null));
    /** The pinned messages, once they are loaded. */
    this.pins = signal(/** @type {readonly Message[] | null} */ (null));
    this.isOpen = false;
    /** Whether the reader marked messages as unread, which the screen must not undo. */
    this.isKeptUnread = false;
    /** Whether the server ended the subscription, because the reader may no longer see the room. */
    this.isRefused = false;
    /** The change number up to which the messages here are up to date. */
    this.rev = 0;
    /** The highest change number that the page has heard of. */
    this.seenRev = room.last_rev ?? 0;
    /** Whether changes are missing here. */
    this.isBehind = false;
    /** @type {(() => void) | null} */
    this.unsubscribe = null;
    this.typingAnnouncedMs = -Infinity;
    this.sentReadSeq = room.read_seq;
    this.isCatchingUp = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.readTimer = undefined;
    /** Counts the requests for messages of another place, and the replies. */
    this.loads = 0;
    /** @type {(() => void) | null} */
    this.stopTyping = null;
  }

  /** Whether the page shows which users are connected: in the open room, and in direct rooms, which have few people. */
  get #wantsPresence() {
    return this.isOpen || this.room.value.kind === "direct";
  }

  /** Whether something of the open room was never loaded. */
  get isIncomplete() {
    return this.timeline.value === null || this.members.value.length === 0 || this.isBehind;
  }

  /** Subscribe to the room's topic, which also updates the unread count. */
  follow() {
    if (this.unsubscribe || this.isRefused) return;
    const { topic } = this.room.value;
    this.unsubscribe = this.chat.client.subscribe(topic, {
      presence: this.#wantsPresence,
      onPublication: (publication) => this.chat.soon(() => this.#apply(publication.data)),
      onSubscribed: (reply) => reply.presence && this.#wantsPresence && (this.present.value = reply.presence),
      // After a gap the messages, the members and the unread count may be out of date.
      onRecovered: (isComplete) => isComplete || (this.reload(), this.chat.loadRooms()),
      // Ignore a change that arrives after the reader has gone to another room.
      onPresence: (change) => this.#wantsPresence && (this.present.value = presenceAfter(this.present.value, change)),
      onEnded: () => {
        this.unsubscribe = null;
        this.isRefused = true;
        this.chat.loadRooms();
      },
    });
  }

  /** The reader opens the room. @param {number | null} [seq] the message to show */
  open(seq = null) {
    if (this.isOpen) return;
    this.isOpen = true;
    this.isKeptUnread = false;
    const { unread, read_seq } = this.room.value;
    this.newAfterSeq.value = unread > 0 ? read_seq : null;
    this.visibleSeq.value = 0;
    this.chat.client.setPresence(this.room.value.topic, true);
    this.stopTyping = this.chat.client.subscribe(`typing:${this.id}`, {
      recover: false,
      onPublication: (publication) => this.#typing(publication.data.user),
    });
    const timeline = this.timeline.value;
    if (timeline !== null && !(unread > 0 ? reaches(timeline, read_seq + 1) : !timeline.hasNewer)) this.timeline.value = null;
    if (seq === null) return this.reload();
    this.loadMembers();
    this.catchUp();
    return this.jumpTo(seq);
  }

  /** The reader goes to another room. */
  close() {
    this.isOpen = false;
    this.stopTyping?.();
    this.stopTyping = null;
    this.typers.value = [];
    if (this.#wantsPresence) return;
    this.chat.client.setPresence(this.room.value.topic, false);
    this.present.value = NOBODY;
  }

  /** Update an open room, after it is opened or after a gap that could not be recovered. The promise is of its messages. */
  async reload() {
    // A closed room is loaded when it is opened the next time.
    if (!this.isOpen) return void (this.timeline.value = null);
    this.loadMembers();
    if (this.requests.errors.value["pin.list"]) this.loadPins();
    if (this.timeline.value !== null) await this.catchUp();
    else if (this.target.value !== null) await this.#load({ around_seq: this.target.value }, { isAtEnd: false });
    else if (this.newAfterSeq.value === null) await this.jumpToEnd();
    else await this.#load({ around_seq: this.newAfterSeq.value + 1 }, { isAtEnd: false });
  }

  /** A message that is on the page. @param {number} seq */
  message(seq) {
    return this.timeline.value?.messages.find((message) => message.seq === seq);
  }

  /** Show the newest messages. */
  jumpToEnd() {
    this.target.value = null;
    return this.#load({}, { isAtEnd: true });
  }

  /** Follow the newest messages. All before them count as read. */
  async toEnd() {
    if (this.timeline.value?.hasNewer && !(await this.jumpToEnd())) return;
    this.markRead();
    this.isAtEnd.value = true;
  }

  /** Show a message, with those around it. @param {number} seq */
  async jumpTo(seq) {
    const isHere = () => this.message(seq) !== undefined;
    // Browsers tell of one link by two events.
    if (this.target.value === seq && this.timeline.value !== null) return;
    this.target.value = seq;
    if (isHere()) return void (this.isAtEnd.value = false);
    const isLoaded = await this.#load({ around_seq: seq }, { isAtEnd: false });
    // Without any messages `reload` asks for it again.
    if (this.timeline.value === null || this.target.value !== seq) return;
    // The messages may have been loaded anew meanwhile, around this one.
    if (!isHere() && !this.requests.isLoading.value) this.target.value = null;
    if (!isLoaded) this.chat.notice.value = this.requests.failure;
  }

  async loadOlder() {
    if (this.timeline.value?.hasOlder) await this.#extend(withOlder, { before_seq: firstSeq(this.timeline.value) });
  }

  async loadNewer() {
    if (this.timeline.value?.hasNewer) await this.#extend(withNewer, { after_seq: lastSeq(this.timeline.value) });
  }

  /** Fetch what changed since the last change here, new messages among it. A call while it does so causes one more request. */
  async catchUp() {
    if (!this.isOpen) return void (this.timeline.value = null);
    this.isBehind = true;
    if (this.isCatchingUp) return;
    this.isCatchingUp = true;
    // The server may have written a reply before the changes that the page has heard of meanwhile.
    while (this.isBehind && this.timeline.value !== null && (await this.#catchUpOnce()));
    this.isCatchingUp = false;
  }

  loadMembers() {
    return this.requests.latest("member.list", ({ members }) => (this.members.value = members));
  }

  /** Show the first message of a day, or the one after it. @param {Date} day its beginning */
  async jumpToDay(day) {
    const reply = await this.requests.send("search", { query: `before:${day.toISOString()}`, limit: 1 });
    if (reply === null) return void (this.chat.notice.value = this.requests.failure);
    const { seq = 0 } = reply.payload.messages[0] ?? {};
    await this.jumpTo(Math.min(seq + 1, this.room.value.last_seq));
  }

  /** Whether a message was pinned, told by the reply or by the topic. @param {Message} message @param {boolean} isPinned */
  pinned(message, isPinned) {
    if (this.pins.value !== null) this.pins.value = withPin(this.pins.value, message, isPinned);
    // The reply that is awaited may not have it.
    else if (this.requests.turns.has("pin.list")) this.loadPins();
  }

  loadPins() {
    return this.requests.latest("pin.list", ({ messages }) => (this.pins.value = messages));
  }

  /** The reader has seen everything up to `seq`. The server is told after a short delay, or after a reconnect. */
  markRead(seq = this.room.value.last_seq) {
    if (this.isKeptUnread) return;
    if (seq > this.room.value.read_seq) this.room.value = roomAfterRead(this.room.value, seq);
    if (this.room.value.read_seq <= this.sentReadSeq) return;
    // A running delay is not restarted: in a busy room the server would never be told.
    this.readTimer ??= setTimeout(() => this.flushRead(), READ_DELAY_MS);
  }

  /** The reader marked messages as unread, until the room is opened again. @param {number} readSeq the last one before them */
  unread(readSeq) {
    clearTimeout(this.readTimer);
    this.readTimer = undefined;
    batch(() => {
      this.isKeptUnread = this.isOpen;
      this.sentReadSeq = readSeq;
      this.newAfterSeq.value = readSeq;
      this.room.value = roomUnreadFrom(this.room.value, readSeq, this.timeline.value?.messages ?? [], this.chat.me.id);
    });
  }

  async flushRead() {
    clearTimeout(this.readTimer);
    this.readTimer = undefined;
    const seq = this.room.value.read_seq;
    if (seq <= this.sentReadSeq || this.chat.client.state.name !== "online") return;
    const reply = await this.requests.send("read", { seq });
    if (reply !== null) this.sentReadSeq = Math.max(this.sentReadSeq, seq);
  }

  /** The reader is typing. */
  announceTyping() {
    const nowMs = Date.now();
    if (nowMs - this.typingAnnouncedMs < TYPING_EVERY_MS) return;
    this.typingAnnouncedMs = nowMs;
    this.chat.client.request("typing", { room_id: this.id }).catch(() => {});
  }

  /** A message that the server confirmed to its sender. The topic may deliver it too. @param {Message} message */
  confirmed(message) {
    // The message ends typing. The server announces it again only after its own, shorter interval.
    this.typingAnnouncedMs -= TYPING_EVERY_MS - TYPING_AGAIN_MS;
    this.#message(message);
  }

  /** A message from the reply to the verb that changed it. @param {Message} message */
  changed(message) {
    if (this.timeline.value !== null) this.timeline.value = withChanged(this.timeline.value, [message]);
    if (this.pins.value !== null) this.pins.value = withPin(this.pins.value, message);
    if (message.deleted) this.chat.forgetDeleted(message);
  }

  /** The user read up to `seq` on another screen. @param {number} seq */
  readElsewhere(seq) {
    // The server's mark only goes back if the reader marks messages as unread.
    if (seq < this.sentReadSeq) return void this.unread(seq);
    this.isKeptUnread = false;
    this.sentReadSeq = seq;
    this.room.value = roomAfterRead(this.room.value, seq);
  }

  /** The room as the server sees it. @param {Room} room */
  update(room) {
    const known = this.room.value;
    const isOlder = room.last_seq < known.last_seq || room.read_seq < known.read_seq;
    const { last_seq, read_seq, unread, mentions, last_message_at } = isOlder ? known : room;
    this.room.value = { ...room, last_seq, read_seq, unread, mentions, last_message_at };
    if (room.is_member && !known.is_member) this.isRefused = false;
    this.#saw(room.last_rev);
    this.#catchUpIfBehind();
  }

  /** The reader is no longer in the room, or the room is gone. The page keeps showing its messages. @param {Partial<Room>} [room] */
  left(room) {
    this.unsubscribe?.();
    this.unsubscribe = null;
    this.close();
    // What is pinned until the reader joins again is not heard.
    this.pins.value = null;
    this.room.value = { ...this.room.value, ...room, is_member: false, unread: 0, mentions: 0 };
  }

  /** @param {any} data of a publication */
  #apply(data) {
    if (data.event === "message") this.#message(data.message);
    else if (data.message) this.#changed(data);
    else if (data.event === "member") this.#member(data);
    else if (data.event === "room") this.room.value = roomAfterChange(this.room.value, data.room);
    this.#took(data.rev);
  }

  /** Note the change number of a publication. If one before it is missing, ask for it. @param {number | undefined} rev */
  #took(rev) {
    this.#saw(rev);
    if (rev === undefined || rev <= this.rev || this.timeline.value === null) return;
    if (rev === this.rev + 1) this.rev = rev;
    else this.catchUp();
  }

  /** @param {number | undefined} rev */
  #saw(rev = 0) {
    this.seenRev = Math.max(this.seenRev, rev);
  }

  /** @param {Message} message */
  #message(message) {
    const isNew = message.seq > this.room.value.last_seq;
    batch(() => {
      this.typers.value = withoutTyper(this.typers.value, message.author.id);
      if (isNew) this.#markNew(message);
      this.room.value = roomAfterMessage(this.room.value, message, this.chat.me.id);
      this.#show(message);
      this.chat.heard(this, message);
    });
  }

  /** @param {any} data of a publication about a message that changed */
  #changed({ message, ...change }) {
    const known = this.message(message.seq);
    const { mentions, read_seq } = this.room.value;
    const isMention = message.mentions.includes(this.chat.me.id);
    // If the message is not on the page, only the count of mentions is known. Most edits must not load all rooms.
    const isChanged = known ? known.mentions.includes(this.chat.me.id) !== isMention : isMention && mentions === 0;
    // The counts change if a message is deleted, or if an edit adds or removes a mention of the reader.
    if (message.seq > read_seq && (change.event === "edited" ? isChanged : change.event === "deleted")) this.chat.loadRooms();
    if (known) this.changed(withOwnReactions(message, known, change, this.chat.me.id));
    else this.changed(message);
    if (change.event === "pinned") this.pinned(message, change.is_pinned);
  }

  /** @param {Message} message */
  #show(message) {
    if (this.timeline.value === null) return;
    // Of very many that come at once the first stay.
    const isAtEnd = this.isAtEnd.value && this.isOpen && (this.isKeptUnread || this.room.value.unread < UNSEEN_MAX);
    const { timeline, isBehind } = withLive(this.timeline.value, message, { isAtEnd });
    this.timeline.value = timeline;
    if (isBehind) this.catchUp();
  }

  /** Remember where unseen messages begin. @param {Message} message */
  #markNew({ author, seq }) {
    const isSeen = this.isOpen && this.isAtEnd.value && this.chat.isAttentive.value;
    if (author.id === this.chat.me.id) {
      // With a message of the reader, from any screen, the server has marked all before it as read.
      this.newAfterSeq.value = null;
      this.isKeptUnread = false;
      this.sentReadSeq = Math.max(this.sentReadSeq, seq);
    } else if (!isSeen && this.room.value.unread === 0) this.newAfterSeq.value = seq - 1;
  }

  /** Somebody came, left, or has another role. @param {{joined?: {id: number, username: string}, left?: {id: number, username: string}}} change */
  #member({ joined, left }) {
    const others = this.members.value.filter((member) => member.id !== (joined ?? left)?.id);
    if (joined || left) this.members.value = joined ? [...others, joined] : others;
    if (this.isOpen) this.loadMembers();
  }

  /** @param {{id: number, username: string}} user */
  #typing(user) {
    if (user.id === this.chat.me.id) return;
    const member = this.members.value.find(({ id }) => id === user.id);
    this.typers.value = withTyper(this.typers.value, member ?? user, Date.now());
    setTimeout(() => (this.typers.value = stillTyping(this.typers.value, Date.now())), TYPING_SHOWN_MS);
  }

  /** Note that there are newer messages than known so far. @param {number} seq */
  #know(seq) {
    if (seq > this.room.value.last_seq) this.room.value = { ...this.room.value, last_seq: seq };
  }

  #catchUpIfBehind() {
    const timeline = this.timeline.value;
    if (!this.isOpen || timeline === null) return;
    const isMissingNew = !timeline.hasNewer && lastSeq(timeline) < this.room.value.last_seq;
    if (this.seenRev > this.rev || isMissingNew) this.catchUp();
  }

  /** Load the messages anew: the changes are too many or no longer stored. The reader keeps the place, which at the end is that of the first unread message. */
  #loadAnew() {
    if (this.target.value !== null) return this.#load({ around_seq: this.target.value }, { isAtEnd: false });
    if (this.isAtEnd.value && this.isKeptUnread) return this.jumpToEnd();
    const firstUnread = this.room.value.read_seq + 1;
    return this.#load({ around_seq: this.isAtEnd.value ? firstUnread : this.visibleSeq.value || firstUnread });
  }

  /**
   * Show a page of messages instead of the current ones. False: the request failed.
   * @param {Record<string, unknown>} where @param {{isAtEnd?: boolean}} [reader] where the reader is then; otherwise as before
   */
  async #load(where, { isAtEnd } = {}) {
    const load = (this.loads += 1);
    const page = await this.requests.page(where);
    if (page === null) this.isBehind = true;
    if (page === null || load !== this.loads) return page !== null;
    // A page that was asked for beside the messages before is none beside these.
    this.loads += 1;
    batch(() => {
      this.rev = page.last_rev;
      this.timeline.value = timelineOf(page);
      this.pins.value = null;
      this.isAtEnd.value = isAtEnd ?? this.isAtEnd.value;
      this.#know(lastSeq(this.timeline.value));
    });
    this.#catchUpIfBehind();
    return true;
  }

  /**
   * Load a page of messages at one end of the current ones.
   * @param {(timeline: Timeline, page: Page) => Timeline} merge @param {Record<string, number>} where
   */
  async #extend(merge, where) {
    if (this.requests.isLoading.value) return;
    const { loads } = this;
    const page = await this.requests.page(where);
    // Beside the messages of another place it would leave a hole.
    if (page === null || this.timeline.value === null || loads !== this.loads) return;
    this.timeline.value = merge(this.timeline.value, page);
    // A change of these messages that came before the page may not be in it.
    this.#saw(this.rev);
    this.rev = Math.min(this.rev, page.last_rev);
    this.#catchUpIfBehind();
  }

  /** Whether another attempt makes sense now. */
  async #catchUpOnce() {
    this.isBehind = false;
    const since = this.rev;
    const changes = await this.requests.changes(this.rev);
    this.isBehind ||= changes === null;
    if (changes === null || this.timeline.value === null) return false;
    const { timeline, isBehind } = withCaughtUp(this.timeline.value, changes.messages);
    const isHidden = this.isAtEnd.value && !this.isKeptUnread && !reaches(timeline, this.room.value.read_seq + 1);
    if (!changes.isComplete || isBehind || isHidden) return this.#loadAnew();
    batch(() => {
      this.pins.value = null;
      for (const each of changes.messages) if (each.deleted) this.chat.forgetDeleted(each);
      // Lower than before: a page of older messages came, whose changes are still missing.
      if (this.rev >= since) this.rev = Math.max(this.rev, changes.rev);
      this.timeline.value = timeline;
      this.#know(Math.max(0, ...changes.messages.map((message) => message.seq)));
    });
    return true;
  }
}
