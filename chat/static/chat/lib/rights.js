/** The ranks of a room's members, as the server has them. */
export const MEMBER = 1;
export const MODERATOR = 2;
export const OWNER = 3;
export const ROLES = ["guest", "member", "moderator", "owner"];

/**
 * The rank of the reader in a room. Staff are moderators of every room that they see, and owners of those without
 * an owner. A direct room has members only.
 * @param {{kind: string, role: string | null}} room @param {readonly {role?: string | null}[]} members @param {boolean} isStaff
 */
export function rankOf({ kind, role }, members, isStaff) {
  const own = ROLES.indexOf(role ?? "");
  if (!isStaff || kind === "direct") return own;
  return Math.max(own, members.some((member) => member.role === "owner") ? MODERATOR : OWNER);
}
