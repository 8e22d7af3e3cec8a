/**
 * The types that several modules name.
 *
 * @typedef {import("./state/store.js").ChatStore} ChatStore
 * @typedef {import("./state/room-store.js").RoomStore} RoomStore
 * @typedef {import("./state/files.js").Files} Files
 * @typedef {import("realtime/client").RealtimeClient} RealtimeClient
 * @typedef {import("realtime/client").RealtimeError} RealtimeError
 * @typedef {import("realtime/client").Presence} Presence
 *
 * The properties of components:
 * @typedef {{store: ChatStore, room: RoomStore}} Place
 * @typedef {Place & {input: {current: HTMLTextAreaElement}}} Writing  input: the field of the composer, which is drawn before
 * @typedef {{store: ChatStore, onClose: () => void}} Shown  those of a dialog
 *
 * What the server sends:
 * @typedef {{id: number, name: string, topic: string, kind: "public" | "private" | "direct", is_public: boolean, topic_line: string,
 *   archived: boolean, is_member: boolean, member_count: number, last_seq: number, last_rev: number, last_message_at: string | null,
 *   read_seq: number, unread: number, mentions: number, level: "all" | "mentions" | "nothing", is_favourite: boolean,
 *   role: string | null}} Room
 * @typedef {{id: number, username: string, name?: string, status?: string, status_emoji?: string, picture?: string | null, role?: string | null}} Person
 * @typedef {{id: number | null, username: string | null, name: string}} Author  null: the account was deleted
 * @typedef {{seq: number, author: Author, text: string, deleted: boolean}} Quote
 * @typedef {{id: number, name: string, type: string, size: number, url: string, width: number | null, height: number | null}} SentFile
 * @typedef {{emoji: string, count: number, mine?: boolean}} Reaction
 * @typedef {{id: number, room_id: number, seq: number, rev: number, author: Author, text: string, html: string, sent_at: string,
 *   edited_at: string | null, deleted: boolean, reply_to: Quote | null, reactions: Reaction[], files: SentFile[],
 *   mentions: number[], client_msg_id: string}} Message
 * @typedef {{messages: Message[], has_more: boolean, has_older: boolean, has_newer: boolean, last_rev: number}} Page
 *
 * Loaded messages, and messages and files that are not sent yet:
 * @typedef {{messages: readonly Message[], hasOlder: boolean, hasNewer: boolean}} Timeline
 * @typedef {{key: string, name: string, size: number, type: string, blob: Blob, id?: number | null}} Attachment  id: of the uploaded file
 * @typedef {{client_msg_id: string, room_id: number, text: string, reply_to?: number | null, created_at: string,
 *   files?: readonly Attachment[]}} Draft
 * @typedef {Draft & {state: "waiting" | "sending" | "failed", error: string, tries: number}} Entry
 *   tries: how often the server failed to take it, in a row
 */
export {};
