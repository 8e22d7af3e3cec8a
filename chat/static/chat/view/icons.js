import { html } from "./html.js";

/** @param {string} path */
export const icon = (path) => html`<svg viewBox="0 0 24 24" width="20" height="20" fill="none" stroke="currentColor"
  stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><path d=${path} /></svg>`;

export const MenuIcon = () => icon("M4 6.5h16M4 12h16M4 17.5h16");
export const PlusIcon = () => icon("M12 5v14M5 12h14");
export const PeopleIcon = () => icon("M9 11.500a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 19.500c.6-3.300 3.200-5 6.5-5s5.9 1.700 6.5 5M16 4.900a3.5 3.5 0 0 1 0 6.200M18 14.900c1.9.7 3.100 2.200 3.5 4.600");
export const SendIcon = () => icon("M4.5 11.9 20 4.500l-5 15.5-3.5-6.600zM20 4.500l-8.5 8.9");
export const DownIcon = () => icon("M12 5v14M6 13l6 6 6-6");
export const CloseIcon = () => icon("M6 6l12 12M18 6 6 18");
export const SearchIcon = () => icon("M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM20 20l-4.800-4.800");
export const LockIcon = () => icon("M7 10.500V8a5 5 0 0 1 10 0v2.500M6 10.500h12a1 1 0 0 1 1 1V19a1 1 0 0 1-1 1H6a1 1 0 0 1-1-1v-7.500a1 1 0 0 1 1-1z");
export const HashIcon = () => icon("M9.5 4 8 20M16 4l-1.5 16M4.5 9h15.500M4 15h15.5");
export const EditIcon = () => icon("M4.500 19.500h3.500L19 8.500 15.500 5 4.500 16zM13 7.500 16.500 11");
export const BellOffIcon = () => icon("M9 18.500a3 3 0 0 0 6 0M6.500 9.500c0 3.500-1 5-2 6.500h13M17.500 12.500V9.500A5.500 5.500 0 0 0 9 4.900M4 4l16 16");
export const CompassIcon = () => icon("M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM15.500 8.500l-2 5-5 2 2-5z");
export const StarIcon = () => icon("M12 4l2.500 5.100 5.500.8-4 3.900 1 5.600-5-2.600-5 2.600 1-5.600-4-3.900 5.500-.8z");
export const MoreIcon = () => icon("M5.500 11.500v1M12 11.500v1M18.500 11.500v1M5 12h1M11.500 12h1M18 12h1");
export const InfoIcon = () => icon("M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM12 11.500v4.500M12 8.250v.01");
export const FileIcon = () => icon("M13.500 3.500h-7a1 1 0 0 0-1 1v15a1 1 0 0 0 1 1h11a1 1 0 0 0 1-1V8.500zM13.500 3.500v5h5");
export const PinIcon = () => icon("M9 4.500h6l-.7 6 3.200 3.500v1.500h-11V14l3.200-3.500zM12 15.500v5");
