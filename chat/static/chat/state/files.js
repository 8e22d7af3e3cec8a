import { signal } from "@preact/signals";

import { withFiles } from "../lib/attachments.js";
import { newId } from "./sender.js";
/** @import {Attachment} from "../types.js" */
/** @import {Limits, Upload} from "../lib/attachments.js" */

/**
 * @typedef {(attachment: Attachment, options: {onProgress: (progress: number) => void, signal: AbortSignal}) => Promise<number>} Post
 *   uploads a file and returns its id
 */

const UPLOADS_AT_ONCE_MAX = 3;

/** @type {Post} */
const loadAndPost = async (attachment, options) => (await import("./upload.js")).post(attachment, options);

/** The files in the composers, and the uploads of these and of unsent messages. */
export class Files {
  /** @param {{limits?: Limits, post?: Post}} [options] */
  constructor({ limits = { filesMax: 10, bytesMax: 0 }, post = loadAndPost } = {}) {
    this.limits = limits;
    this.post = post;
    /** By room: the files in its composer. */
    this.held = signal(/** @type {ReadonlyMap<number, readonly Attachment[]>} */ (new Map()));
    /** By key. */
    this.uploads = signal(/** @type {ReadonlyMap<string, Upload>} */ (new Map()));
    this.runningCount = 0;
    /** @type {((turn: unknown) => void)[]} */
    this.queue = [];
  }

  /** @param {number} roomId */
  of(roomId) {
    return this.held.value.get(roomId) ?? [];
  }

  /**
   * Put files into a room's composer, and upload them.
   * @param {number} roomId @param {Iterable<File>} files @returns {string} why some are refused, or ""
   */
  add(roomId, files) {
    const { held, refused } = withFiles(this.of(roomId), files, { ...this.limits, newKey: newId });
    this.put(roomId, held);
    return refused.join(" ");
  }

  /** @param {number} roomId @param {readonly Attachment[]} attachments */
  put(roomId, attachments) {
    this.held.value = new Map(this.held.value).set(roomId, attachments);
    for (const each of attachments) this.#start(each);
  }

  /** @param {number} roomId @param {string} key */
  remove(roomId, key) {
    this.cancel([key]);
    this.held.value = new Map(this.held.value).set(roomId, this.of(roomId).filter((each) => each.key !== key));
  }

  /** Try again to upload what failed without a network. */
  resume() {
    for (const attachments of this.held.value.values()) {
      for (const each of attachments) if (this.uploads.value.get(each.key)?.error?.retryable) this.#start(each);
    }
  }

  /** Stop and forget uploads. @param {readonly string[]} keys */
  cancel(keys) {
    const uploads = new Map(this.uploads.value);
    for (const key of keys) {
      uploads.get(key)?.abort.abort();
      uploads.delete(key);
    }
    this.uploads.value = uploads;
  }

  /** Upload a file, if it is not yet. @param {Attachment} attachment @returns {Promise<number>} its id */
  upload(attachment) {
    const { key, id } = attachment;
    if (id != null) return Promise.resolve(id);
    const known = this.uploads.value.get(key);
    if (known && known.error === null) return known.id;
    const abort = new AbortController();
    const note = (/** @type {Partial<Upload>} */ change) => {
      const now = this.uploads.value.get(key);
      // Otherwise it was cancelled, or begun anew.
      if (now?.abort === abort) this.uploads.value = new Map(this.uploads.value).set(key, { ...now, ...change });
    };
    const uploaded = this.#inTurn(() => this.post(attachment, { onProgress: (progress) => note({ progress }), signal: abort.signal }));
    this.uploads.value = new Map(this.uploads.value).set(key, { id: uploaded, abort, progress: 0, error: null });
    uploaded.then(() => note({ progress: 1 }), (error) => note({ progress: 0, error }));
    return uploaded;
  }

  /** Upload, and leave a failure to be seen. @param {Attachment} attachment */
  #start(attachment) {
    this.upload(attachment).catch(() => {});
  }

  /** @param {() => Promise<number>} act */
  async #inTurn(act) {
    if (this.runningCount >= UPLOADS_AT_ONCE_MAX) await new Promise((turn) => this.queue.push(turn));
    else this.runningCount += 1;
    try {
      return await act();
    } finally {
      const next = this.queue.shift();
      if (next) next(null);
      else this.runningCount -= 1;
    }
  }
}
