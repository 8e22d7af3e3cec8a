import { icon } from "./icons.js";

export const AttachIcon = () => icon("M19.5 11.5l-7.6 7.6a5 5 0 0 1-7-7L13 3.9a3.3 3.3 0 0 1 4.7 4.7l-8 8a1.7 1.7 0 0 1-2.4-2.4l7-7");
export const BoldIcon = () => icon("M7.5 4.5h5.5a3.6 3.6 0 0 1 0 7.2H7.5zM7.5 11.7h6.3a3.9 3.9 0 0 1 0 7.8H7.5z");
export const ItalicIcon = () => icon("M10 4.5h7M7 19.5h7M13.5 4.5l-3 15");
export const CodeIcon = () => icon("M8.5 7.5 4 12l4.5 4.5M15.5 7.5 20 12l-4.5 4.5");
export const QuoteIcon = () => icon("M5 5v14M9.5 8h10M9.5 12h10M9.5 16h6");
export const ListIcon = () => icon("M9 6.5h11M9 12h11M9 17.5h11M4.5 6.5h.01M4.5 12h.01M4.5 17.5h.01");
export const LinkIcon = () => icon("M10 14a4 4 0 0 0 6 .4l2.5-2.5a4 4 0 0 0-5.7-5.7L11.5 7.5M14 10a4 4 0 0 0-6-.4l-2.5 2.5a4 4 0 0 0 5.7 5.7l1.3-1.3");
export const ReplyIcon = () => icon("M9.5 7 5 11.5l4.5 4.5M5 11.5h8.5a5.5 5.5 0 0 1 5.5 5.5v1");
export const SmileIcon = () => icon("M12 20.5a8.5 8.5 0 1 0 0-17 8.5 8.5 0 0 0 0 17zM8.5 14c1.8 2.7 5.2 2.7 7 0M9 9.5v.5M15 9.5v.5");
