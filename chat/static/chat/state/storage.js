import { newId } from "./sender.js";
/** @import {Entry} from "../types.js" */

const DATABASE = "rockstar-chat";
const VERSION = 1;
// A tab that is reloaded takes its own messages back before others may have them.
const RELOAD_MS = 5_000;

/**
 * Unsent messages and drafts in IndexedDB, by user.
 *
 * A message belongs to the tab that holds the Web Lock of its `tab`, and only that tab sends it. When a tab ends,
 * its lock is free, and another tab of the user may adopt what it left. Without Web Locks (plain http) every new
 * tab adopts everything: a message may be sent twice then, and the server stores it once. Where the browser stores nothing (some
 * private windows), the page keeps all while it is open.
 */
export class BrowserStorage {
  /** @param {string} owner tenant and user */
  constructor(owner) {
    this.owner = owner;
    this.tab = newId();
    this.database = open();
    this.channel = channelOf(`${DATABASE}.${owner}`);
    // Held as long as the page lives.
    this.locked = navigator.locks ? new Promise((held) => navigator.locks.request(this.#lockName(this.tab), () => (held(null), new Promise(() => {})))) : null;
  }

  /** Messages of tabs that are gone, now this tab's. @returns {Promise<Entry[]>} */
  async adoptEntries() {
    await this.locked;
    const adopt = async () => {
      const living = await this.#livingTabs();
      return (await this.#run("outbox", "readwrite", (store) => this.#adopt(store, living))) ?? [];
    };
    return navigator.locks ? navigator.locks.request(`${DATABASE}.adopt.${this.owner}`, adopt) : adopt();
  }

  /** @param {Entry} entry */
  putEntry(entry) {
    this.#write("outbox", (store) => store.put({ ...entry, owner: this.owner, tab: this.tab }));
  }

  /** @param {string} clientMsgId */
  deleteEntry(clientMsgId) {
    this.#write("outbox", (store) => store.delete(clientMsgId));
  }

  /** The drafts of this user by room. @returns {Promise<Map<number, string>>} */
  async drafts() {
    const found = await this.#run("drafts", "readonly", (store) => this.#ofOwner(store));
    return new Map((found ?? []).map((draft) => [draft.room_id, draft.text]));
  }

  /** @param {number} roomId @param {string} text empty: forget it */
  putDraft(roomId, text) {
    this.#tell({ roomId, text });
    this.#write("drafts", (store) => (text === "" ? store.delete([this.owner, roomId]) : store.put({ owner: this.owner, room_id: roomId, text })));
  }

  /**
   * Call `onDraft` when another tab of the user changes a draft, and `onEnd` some seconds after another tab has ended. Such a tab may
   * have left unsent messages.
   * @param {{onDraft: (roomId: number, text: string) => void, onEnd: () => void}} listener
   */
  watchTabs({ onDraft, onEnd }) {
    if (this.channel === null) return;
    const watched = new Set();
    this.channel.onmessage = ({ data: { tab, roomId, text } }) => {
      if (roomId !== undefined) onDraft(roomId, text);
      if (watched.has(tab)) return;
      watched.add(tab);
      // The other tab may not know of this one.
      this.#tell({});
      navigator.locks?.request(this.#lockName(tab), () => {}).then(() => setTimeout(onEnd, RELOAD_MS));
    };
    this.#tell({});
  }

  /** Tell the user's other tabs. @param {{roomId?: number, text?: string}} draft */
  #tell(draft) {
    this.channel?.postMessage({ tab: this.tab, ...draft });
  }

  /** @param {IDBObjectStore} store @param {ReadonlySet<string>} living */
  async #adopt(store, living) {
    const left = (await this.#ofOwner(store)).filter((entry) => entry.tab !== this.tab && !living.has(entry.tab));
    for (const entry of left) store.put({ ...entry, tab: this.tab });
    return left.map(({ owner, tab, ...entry }) => entry);
  }

  /** @returns {Promise<Set<string>>} */
  async #livingTabs() {
    const { held = [] } = (await navigator.locks?.query()) ?? {};
    const prefix = this.#lockName("");
    return new Set(held.flatMap(({ name }) => (name?.startsWith(prefix) ? [name.slice(prefix.length)] : [])));
  }

  /** @param {string} tab */
  #lockName(tab) {
    return `${DATABASE}.tab.${tab}`;
  }

  /** @param {IDBObjectStore} store @returns {Promise<any[]>} */
  #ofOwner(store) {
    return answered(store.index("owner").getAll(this.owner));
  }

  /**
   * Write one thing. The commit does not wait for the answer, so that it takes place even if the tab is closed now.
   * @param {"outbox" | "drafts"} name @param {(store: IDBObjectStore) => IDBRequest} act
   */
  #write(name, act) {
    this.#run(name, "readwrite", (store) => {
      act(store);
      store.transaction.commit();
    });
  }

  /**
   * Do something with a store. Without a database the result is null: drafts and messages are kept by the page alone.
   * @template T @param {"outbox" | "drafts"} name @param {IDBTransactionMode} mode
   * @param {(store: IDBObjectStore) => T | Promise<T>} act @returns {Promise<T | null>}
   */
  async #run(name, mode, act) {
    const database = await this.database;
    if (database === null) return null;
    try {
      return await act(database.transaction(name, mode).objectStore(name));
    } catch (error) {
      console.warn("The browser did not store unsent text:", error);
      return null;
    }
  }
}

/** @param {string} name @returns {BroadcastChannel | null} */
function channelOf(name) {
  try {
    return new BroadcastChannel(name);
  } catch (error) {
    console.warn("The browser does not connect tabs:", error);
    return null;
  }
}

/** @returns {Promise<IDBDatabase | null>} */
async function open() {
  try {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("outbox", { keyPath: "client_msg_id" }).createIndex("owner", "owner");
      request.result.createObjectStore("drafts", { keyPath: ["owner", "room_id"] }).createIndex("owner", "owner");
    };
    return await answered(request);
  } catch (error) {
    console.warn("The browser stores no unsent text:", error);
    return null;
  }
}

/** @template T @param {IDBRequest<T>} request @returns {Promise<T>} */
function answered(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
