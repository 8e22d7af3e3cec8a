import { useState } from "preact/hooks";

import { useEvents } from "./events.js";

/**
 * Files that are dropped anywhere on the page. Without this the browser would leave the page for the file.
 * @param {((files: Iterable<File>) => void) | null} onFiles null: none are taken
 * @returns {boolean} whether files are over the page
 */
export function useDrop(onFiles) {
  const [isOver, setOver] = useState(false);
  const onDrag = (/** @type {DragEvent} */ event) => {
    const { dataTransfer: data, type } = event;
    if (!data?.types.includes("Files")) return;
    event.preventDefault();
    if (onFiles === null) data.dropEffect = "none";
    // Leaving an element for its neighbour tells of leaving, too.
    setOver(onFiles !== null && (type === "dragover" || (type === "dragleave" && event.relatedTarget !== null)));
    if (type === "drop") onFiles?.(data.files);
  };
  useEvents(() => window, { dragover: onDrag, dragleave: onDrag, drop: onDrag });
  return isOver;
}
