import { nameOf } from "./format.js";
/** @import {Person, Presence} from "../types.js" */

/** @typedef {Person & {isHere: boolean | null}} SeenPerson  null: not known */

/** Whether the server does not name the users that are connected (more than 200, or readers who are not signed in). @param {Presence} present */
export const isUnnamed = ({ users, count }) => users.length === 0 && count > 0;

/**
 * The members of a room by name, connected ones first. The server lists 1,000 members at most: others are known while they are connected.
 * @param {readonly Person[]} members @param {Presence} present @param {number} [count] of all members
 */
export function peopleOf(members, present, count = 0) {
  const users = /** @type {readonly Person[]} */ (present.users);
  const here = isUnnamed(present) ? null : new Set(users.map(({ id }) => id));
  const listed = new Set(members.map(({ id }) => id));
  const others = listed.size > 0 && count > listed.size ? users.filter(({ id }) => !listed.has(id)) : [];
  return [...members, ...others]
    .map((member) => ({ ...member, isHere: here && here.has(member.id) }))
    .sort((a, b) => Number(b.isHere) - Number(a.isHere) || nameOf(a).localeCompare(nameOf(b)));
}
