import { icon } from "./icons.js";

export const AttachIcon = () => icon("M19.500 11.500l-7.600 7.600a5 5 0 0 1-7-7L13 3.900a3.300 3.300 0 0 1 4.700 4.700l-8 8a1.700 1.700 0 0 1-2.400-2.400l7-7");
export const BoldIcon = () => icon("M7.500 4.500h5.500a3.600 3.600 0 0 1 0 7.200H7.500zM7.500 11.700h6.300a3.900 3.900 0 0 1 0 7.800H7.500z");
export const ItalicIcon = () => icon("M10 4.500h7M7 19.500h7M13.500 4.500l-3 15");
export const CodeIcon = () => icon("M8.500 7.500 4 12l4.500 4.500M15.500 7.500 20 12l-4.500 4.500");
export const QuoteIcon = () => icon("M5 5v14M9.500 8h10M9.500 12h10M9.500 16h6");
export const ListIcon = () => icon("M9 6.500h11M9 12h11M9 17.500h11M4.500 6.500h.01M4.500 12h.01M4.500 17.500h.01");
export const LinkIcon = () => icon("M10 14a4 4 0 0 0 6 .4l2.500-2.500a4 4 0 0 0-5.700-5.700L11.500 7.500M14 10a4 4 0 0 0-6-.4l-2.500 2.500a4 4 0 0 0 5.700 5.700l1.300-1.300");
export const ReplyIcon = () => icon("M9.5 7 5 11.500l4.500 4.500M5 11.500h8.500a5.500 5.500 0 0 1 5.500 5.500v1");
export const SmileIcon = () => icon("M12 20.500a8.500 8.500 0 1 0 0-17 8.500 8.500 0 0 0 0 17zM8.500 14c1.800 2.700 5.200 2.700 7 0M9 9.500v.5M15 9.500v.5");
