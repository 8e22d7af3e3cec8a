import type { Presence, PresenceChange } from "./index.js";

/** Nobody. */
export const NOBODY: Presence;
/** Who is present after a change, as `onPresence` is given it. */
export function presenceAfter(before: Presence, change: PresenceChange): Presence;
