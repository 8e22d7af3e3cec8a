import htm from "htm";
import { h } from "preact";

/** JSX without a build step: html`<p class=${name}>…</p>`. */
export const html = htm.bind(h);
