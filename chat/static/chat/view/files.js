import { _ } from "realtime/texts";

import { shownSize, sizeText } from "../lib/format.js";
import { html } from "./html.js";
import { FileIcon } from "./icons.js";
/** @import {ChatStore, Message, SentFile} from "../types.js" */

/** The files of a message: pictures in their place before they are loaded, others as cards. @param {{message: Message, store: ChatStore}} props */
export const FileList = ({ message, store }) => html`
  <div class="files">
    ${message.files.map((file) => (file.width && file.height ? html`<${Picture} key=${file.id} file=${file} message=${message} store=${store} />` : html`<${Card} key=${file.id} file=${file} />`))}
  </div>`;

/** @param {{file: SentFile, message: Message, store: ChatStore}} props */
function Picture({ file, message, store }) {
  const size = shownSize({ width: file.width ?? 1, height: file.height ?? 1 });
  return html`
    <button type="button" class="picture" title=${file.name} onClick=${() => store.show("Picture", { file, message })}>
      <img loading="lazy" decoding="async" src=${`${file.url}thumbnail/`} alt=${_("Picture {name}", { name: file.name })} width=${size.width} height=${size.height} />
    </button>`;
}

/** @param {{file: SentFile}} props */
const Card = ({ file }) => html`
  <a class="file-card" href=${file.url} download=${file.name}>
    <${FileIcon} /><bdi class="file-name">${file.name}</bdi><span class="muted">${sizeText(file.size)}</span>
  </a>`;
