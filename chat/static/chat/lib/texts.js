/** The texts of the page, as other pages of the site have them. */
export { _, ngettext } from "realtime/texts";
