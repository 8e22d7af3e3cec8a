import { _ } from "realtime/texts";

import { sizeText } from "../lib/format.js";
import { html } from "./html.js";
import { CloseIcon, FileIcon, IconButton } from "./icons.js";
/** @import {Attachment, ChatStore} from "../types.js" */

/**
 * The files of a message that is not sent yet, with their progress.
 * @param {{store: ChatStore, files: readonly Attachment[], onRemove?: (key: string) => void}} props
 */
export const Attachments = ({ store, files, onRemove }) => html`
  <ul class="attachments" aria-label=${_("Files")}>
    ${files.map((file) => html`<${Attached} key=${file.key} store=${store} file=${file} onRemove=${onRemove} />`)}
  </ul>`;

/** @param {{store: ChatStore, file: Attachment, onRemove?: (key: string) => void}} props */
function Attached({ store, file, onRemove }) {
  const { progress = file.id ? 1 : 0, error = null } = store.files.value?.uploads.value.get(file.key) ?? {};
  return html`
    <li class="file-card" data-failed=${error !== null}>
      <${FileIcon} />
      <span class="file-name">
        <bdi>${file.name}</bdi>
        ${error ? html`<span class="file-error" role="alert">${error.message}</span>`
          : progress < 1 ? html`<progress value=${progress} aria-label=${_("Upload of {name}", { name: file.name })}></progress>` : html`<span class="muted">${sizeText(file.size)}</span>`}
      </span>
      ${error?.retryable && onRemove && html`<button type="button" class="button small" onClick=${() => store.files.value?.upload(file).catch(() => {})}>${_("Try again")}</button>`}
      ${onRemove && html`<${IconButton} label=${_("Remove {name}", { name: file.name })} icon=${CloseIcon} onClick=${() => onRemove(file.key)} />`}
    </li>`;
}
