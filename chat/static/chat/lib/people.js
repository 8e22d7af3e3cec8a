import { nameOf } from "./format.js";
/** @import {Person} from "../types.js" */

/**
 * The users that are connected to a room. `users` is null if the server does not name the users (more than 200, or
 * readers who are not signed in). Then only their number is known.
 *
 * @typedef {Person & {isHere: boolean | null}} SeenPerson  null: not known
 * @typedef {{count: number, users: ReadonlyMap<number, Person> | null}} Present
 */

/** @type {Present} */
export const NOBODY = Object.freeze({ count: 0, users: new Map() });

/**
 * The connected users, from the presence in a reply to `subscribe`.
 * @param {{users?: Person[], count?: number}} presence @returns {Present}
 */
export function presenceOf({ users = [], count = users.length }) {
  return users.length === 0 && count > 0 ? { count, users: null } : named(new Map(users.map((user) => [user.id, user])));
}

/**
 * The connected users after a push. If only the number was known, the first push with names has all of them.
 * @param {Present} present @param {import("realtime/client").PresenceChange} change @returns {Present}
 */
export function withPresence(present, { joined, left, count }) {
  if (count !== undefined) return { count, users: count > 0 ? null : NOBODY.users };
  const changed = new Map(present.users ?? []);
  for (const user of left) changed.delete(user.id);
  for (const user of joined) changed.set(user.id, user);
  return named(changed);
}

/** @param {ReadonlyMap<number, Person>} users */
const named = (users) => ({ count: users.size, users });

/**
 * The members of a room by name, connected ones first. The server lists 1,000 members at most: others are known while they are connected.
 * @param {readonly Person[]} members @param {Present} present @param {number} [count] of all members
 */
export function peopleOf(members, { users }, count = 0) {
  const listed = new Set(members.map(({ id }) => id));
  const others = listed.size > 0 && count > listed.size ? [...(users?.values() ?? [])].filter(({ id }) => !listed.has(id)) : [];
  return [...members, ...others]
    .map((member) => ({ ...member, isHere: users && users.has(member.id) }))
    .sort((a, b) => Number(b.isHere) - Number(a.isHere) || nameOf(a).localeCompare(nameOf(b)));
}
