import { computed, signal } from "@preact/signals";
import { presenceAfter } from "realtime/presence";

import { isUnnamed } from "../lib/people.js";
/** @import {Presence, RealtimeClient} from "../types.js" */

/** Without input for this long, a user is shown as away. */
export const AWAY_MS = 5 * 60_000;
// The people who use the chat now. A person who is connected but not in this list is away.
const ACTIVE_TOPIC = "rooms:active";

/** Tells the other users whether the reader is active, and knows which of them are. */
export class Activity {
  /** @param {RealtimeClient} client */
  constructor(client) {
    this.client = client;
    /** null: not known, because the reader is away too. */
    this.active = signal(/** @type {Presence | null} */ (null));
    this.ids = computed(() => this.active.value && !isUnnamed(this.active.value) ? new Set(this.active.value.users.map(({ id }) => id)) : null);
    this.lastMs = 0;
    /** @type {(() => void) | null} */
    this.leave = null;
  }

  /** The reader did something. */
  touch() {
    this.lastMs = Date.now();
    if (this.leave !== null) return;
    this.leave = this.client.subscribe(ACTIVE_TOPIC, {
      presence: true,
      recover: false,
      onSubscribed: ({ presence }) => (this.active.value = presence ?? null),
      onPresence: (change) => this.active.value && (this.active.value = presenceAfter(this.active.value, change)),
    });
    this.#check();
  }

  /** Whether a connected user is away. @param {number | string} userId */
  isAway(userId) {
    return this.ids.value !== null && !this.ids.value.has(userId);
  }

  #check() {
    const leftMs = this.lastMs + AWAY_MS - Date.now();
    if (leftMs > 0) return void setTimeout(() => this.#check(), leftMs);
    this.leave?.();
    this.leave = this.active.value = null;
  }
}
