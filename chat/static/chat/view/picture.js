import { _ } from "realtime/texts";

import { sizeText } from "../lib/format.js";
import { Dialog } from "./dialog.js";
import { html } from "./html.js";
/** @import {SentFile} from "../types.js" */

/** A picture in its whole size, as far as the window allows. @param {{file: SentFile, onClose: () => void}} props */
export const Picture = ({ file, onClose }) => html`
  <${Dialog} title=${file.name} isWide onClose=${onClose}>
    <img class="picture-whole" src=${file.url} alt=${file.name} width=${file.width} height=${file.height} />
    <div class="actions">
      <span class="picture-size muted">${file.width} × ${file.height}, ${sizeText(file.size)}</span>
      <button type="button" class="button" onClick=${onClose}>${_("Close")}</button>
      <a class="button primary" href=${file.url} download=${file.name}>${_("Download")}</a>
    </div>
  <//>`;
