import type { Presence, PresenceChange } from "./index.js";

/** Nobody. */
export const NOBODY: Presence;
/** Return the users who are present after a change, in the form that `onPresence` gets. */
export function presenceAfter(before: Presence, change: PresenceChange): Presence;
