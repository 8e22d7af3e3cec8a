import { html } from "./html.js";
import { lazy } from "./lazy.js";
/** @import {ChatStore} from "../types.js" */

/** @param {() => Promise<any>} load @param {string[]} names of components */
const from = (load, ...names) => Object.fromEntries(names.map((name) => [name, lazy(load, name)]));
/** @type {Record<string, any>} */
const DIALOGS = {
  ...from(() => import("./finder.js"), "Finder"),
  ...from(() => import("./room-dialogs.js"), "CreateRoom", "BrowseRooms", "JoinRoom", "RoomInfo", "LeaveRoom", "DeleteMessage"),
  ...from(() => import("./people-dialogs.js"), "NewDirect", "Invite", "Person", "Profile"),
  ...from(() => import("./pins.js"), "Pins"),
  ...from(() => import("./picture.js"), "Picture"),
  ...from(() => import("./shortcuts.js"), "Shortcuts"),
};

/** The dialog that is open. @param {{store: ChatStore}} props */
export function OpenDialog({ store }) {
  const open = store.dialog.value;
  return open && html`<${DIALOGS[open.name]} key=${open.name} ...${open} store=${store} onClose=${() => (store.dialog.value = null)} />`;
}
