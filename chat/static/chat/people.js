/**
 * @typedef {{id: number, username: string, status?: string}} Person
 * @typedef {Person & {isHere: boolean}} SeenPerson
 */

/**
 * Who is connected, by the list that comes with a subscription.
 * @param {any} presence `{users: […]}`, or the users alone
 * @returns {Map<number, Person>}
 */
export function presenceOf(presence) {
  const users = Array.isArray(presence) ? presence : (presence?.users ?? []);
  return new Map(users.map((/** @type {Person} */ user) => [user.id, user]));
}

/**
 * @param {ReadonlyMap<number, Person>} present
 * @param {{joined: Person[], left: Person[]}} change
 */
export function withPresence(present, { joined, left }) {
  const changed = new Map(present);
  for (const user of left) changed.delete(user.id);
  for (const user of joined) changed.set(user.id, user);
  return changed;
}

/**
 * The members of a room, those who are here first, by name.
 * @param {readonly Person[]} members
 * @param {ReadonlyMap<number, Person>} present
 * @returns {SeenPerson[]}
 */
export function peopleOf(members, present) {
  return members
    .map((member) => ({ ...member, isHere: present.has(member.id) }))
    .sort((a, b) => Number(b.isHere) - Number(a.isHere) || a.username.localeCompare(b.username));
}
