import { signal } from "@preact/signals";

/**
 * The text that the reader has typed and not sent, by room. It is stored for the user with every change, because a
 * tab may end without notice.
 */
export class Drafts {
  /** @param {import("./storage.js").BrowserStorage} storage */
  constructor(storage) {
    this.storage = storage;
    this.texts = signal(/** @type {ReadonlyMap<number, string>} */ (new Map()));
  }

  /** Read the stored drafts. A draft that was typed meanwhile stays. */
  async load() {
    const stored = await this.storage.drafts();
    this.texts.value = new Map([...stored, ...this.texts.value]);
  }

  /** @param {number} roomId */
  of(roomId) {
    return this.texts.value.get(roomId) ?? "";
  }

  /** @param {number} roomId @param {string} text */
  put(roomId, text) {
    this.take(roomId, text);
    this.storage.putDraft(roomId, text);
  }

  /** The draft of a room is this one now, which another tab has stored. @param {number} roomId @param {string} text */
  take(roomId, text) {
    const texts = new Map(this.texts.value);
    if (text === "") texts.delete(roomId);
    else texts.set(roomId, text);
    this.texts.value = texts;
  }
}
