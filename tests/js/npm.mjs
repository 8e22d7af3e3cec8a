/** The npm packages that tests of the client use, if they are installed (tests/prepare.py). */
import { existsSync } from "node:fs";
import { createRequire } from "node:module";

const PACKAGE = new URL("../../clients/js/package.json", import.meta.url);

/** For the option `skip` of a test: false, or why it is skipped. */
export const skip = existsSync(new URL("node_modules/.package-lock.json", PACKAGE)) ? false : "needs npm packages: .venv/bin/python tests/prepare.py";
export const load = createRequire(PACKAGE);
