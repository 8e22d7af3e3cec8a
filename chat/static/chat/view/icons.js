import { html } from "./html.js";

/** @param {string} path */
export const icon = (path) => html`<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor"
  stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path} /></svg>`;

/** A button that shows an icon. @param {{label: string, icon: () => any, [attribute: string]: any}} props */
export function IconButton({ label, icon: Icon, ...attributes }) {
  return html`<button type="button" class="icon-button" aria-label=${label} title=${label} ...${attributes}><${Icon} /></button>`;
}

export const MenuIcon = () => icon("M4 6.5h16M4 12h16M4 17.5h16");
export const PlusIcon = () => icon("M12 5v14M5 12h14");
export const PeopleIcon = () => icon("M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.5c.6-3.3 3.2-5 6.5-5s5.9 1.7 6.5 5M16 4.9a3.5 3.5 0 0 1 0 6.2M18 14.9c1.9.7 3.1 2.2 3.5 4.6");
export const SendIcon = () => icon("M4.5 11.9 20 4.5l-5 15.5-3.5-6.6zM20 4.5l-8.5 8.9");
export const DownIcon = () => icon("M12 5v14M6 13l6 6 6-6");
export const CloseIcon = () => icon("M6 6l12 12M18 6 6 18");
export const SearchIcon = () => icon("M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM20 20l-4.8-4.8");
export const LockIcon = () => icon("M7 10.5V8a5 5 0 0 1 10 0v2.5M6 10.5h12a1 1 0 0 1 1 1V19a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-7.5a1 1 0 0 1 1-1z");
export const HashIcon = () => icon("M9.5 4 8 20M16 4l-1.5 16M4.5 9h15.5M4 15h15.5");
export const EditIcon = () => icon("M4.5 19.5h3.5L19 8.5 15.5 5 4.5 16zM13 7.5 16.5 11");
export const BellOffIcon = () => icon("M9 18.5a3 3 0 0 0 6 0M6.5 9.5c0 3.5-1 5-2 6.5h13M17.5 12.5V9.5A5.5 5.5 0 0 0 9 4.9M4 4l16 16");
export const CompassIcon = () => icon("M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM15.5 8.5l-2 5-5 2 2-5z");
export const StarIcon = () => icon("M12 4l2.5 5.1 5.5.8-4 3.9 1 5.6-5-2.6-5 2.6 1-5.6-4-3.9 5.5-.8z");
export const MoreIcon = () => icon("M5.5 11.5v1M12 11.5v1M18.5 11.5v1M5 12h1M11.5 12h1M18 12h1");
export const InfoIcon = () => icon("M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM12 11.5v4.5M12 8.25v.01");
export const FileIcon = () => icon("M13.5 3.5h-7a1 1 0 0 0-1 1v15a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1V8.5zM13.5 3.5v5h5");
export const PinIcon = () => icon("M9 4.5h6l-.7 6 3.2 3.5v1.5h-11V14l3.2-3.5zM12 15.5v5");
