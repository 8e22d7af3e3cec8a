/**
 * @typedef {{id: number | string, username: string, connections: number}} PresentUser
 * @typedef {{users: PresentUser[], count: number}} Presence
 */

/** @type {Presence} */
export const NOBODY = { users: [], count: 0 };

/**
 * Return the users who are present after a change, in the form that `onPresence` gets.
 * @param {Presence} before
 * @param {import("./client.js").PresenceChange} change
 * @returns {Presence}
 */
export function presenceAfter(before, { joined, left, count }) {
  // The server names nobody: not signed in, or a large topic.
  if (count !== undefined) return { users: [], count };
  const users = new Map(before.users.map((user) => [user.id, user]));
  for (const { id } of left) users.delete(id);
  for (const user of joined) users.set(user.id, user);
  return { users: [...users.values()], count: users.size };
}
