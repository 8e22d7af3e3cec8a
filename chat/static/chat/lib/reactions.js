/** @import {Message} from "../types.js" */

/**
 * The reader's own reactions. A publication is the same for all readers, so it does not contain them: `reacted`
 * names the user and the emoji, and all other changes keep the reactions that were known.
 */

/**
 * A message from a publication, with `mine` in its reactions.
 * @param {Message} message @param {Message | undefined} known the message as it was here
 * @param {{emoji?: string, user_id?: number, is_added?: boolean}} change @param {number} myId
 */
export function withOwnReactions(message, known, change, myId) {
  const mine = new Set((known?.reactions ?? []).filter((reaction) => reaction.mine).map((reaction) => reaction.emoji));
  if (change.user_id === myId && change.emoji !== undefined) {
    if (change.is_added) mine.add(change.emoji);
    else mine.delete(change.emoji);
  }
  return { ...message, reactions: (message.reactions ?? []).map((each) => ({ ...each, mine: mine.has(each.emoji) })) };
}
