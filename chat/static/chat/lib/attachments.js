import { _ } from "realtime/texts";

import { sizeText } from "./format.js";
/** @import {Attachment} from "../types.js" */

/**
 * Files that go with a message. All functions are pure.
 *
 * @typedef {{id: Promise<number>, abort: AbortController, progress: number, error: {code: string, message: string, retryable: boolean} | null}} Upload
 *   id: of the file on the server; progress: 0 to 1
 * @typedef {{filesMax: number, bytesMax: number}} Limits of the server; 0 is no limit
 */

const WORDS = new Map([
  ["message_too_large", _("It is larger than the server takes.")],
  ["unreachable", _("The server could not be reached.")],
  ["unauthenticated", _("You are signed out. Sign in again in another tab.")],
]);

/**
 * The attachments with more files, as far as the limits allow, and a sentence for each that is refused.
 * @param {readonly Attachment[]} held @param {Iterable<File>} files @param {Limits & {newKey: () => string}} options
 */
export function withFiles(held, files, { filesMax, bytesMax, newKey }) {
  const taken = [...held];
  const refused = new Set();
  for (const file of files) {
    if (filesMax > 0 && taken.length >= filesMax) refused.add(_("A message takes {most} files.", { most: filesMax }));
    else if (bytesMax > 0 && file.size > bytesMax) refused.add(_("{name} is larger than {size}.", { name: file.name, size: sizeText(bytesMax) }));
    else if (file.size === 0) refused.add(_("{name} is empty or a folder.", { name: file.name }));
    else taken.push({ key: newKey(), name: file.name, size: file.size, type: file.type, blob: file });
  }
  return { held: taken, refused: [...refused] };
}

/** Why an upload failed, in words. @param {{code: string, message: string}} error */
export const reasonText = ({ code, message }) => WORDS.get(code) ?? message;
