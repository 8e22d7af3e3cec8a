/** Leads modules under test to what became of them when they were collected into $COLLECTED: node --import. */
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

const ROOT = pathToFileURL(`${process.env.COLLECTED}/`);
const { paths } = JSON.parse(readFileSync(new URL("staticfiles.json", ROOT), "utf8"));
const FOLDERS = [
  [ROOT.href, ""],
  [new URL("../../chat/static/", import.meta.url).href, ""],
  [new URL("../../realtime/static/", import.meta.url).href, ""],
  [new URL("../../clients/js/src/", import.meta.url).href, "realtime/client/"],
];

registerHooks({
  resolve(specifier, context, next) {
    // The import map of a page has its module as a bare name.
    if (paths[specifier]) return next(new URL(paths[specifier], ROOT).href, context);
    const found = next(specifier, context);
    const [folder, prefix] = FOLDERS.find(([each]) => found.url.startsWith(each)) ?? [];
    const path = folder && paths[prefix + found.url.slice(folder.length)];
    return path ? { ...found, url: new URL(path, ROOT).href } : found;
  },
});
