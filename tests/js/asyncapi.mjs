/** Validates an AsyncAPI document: `node asyncapi.mjs <file>`. Prints what is wrong with it, and fails then. */
import { readFileSync } from "node:fs";

import { load } from "./npm.mjs";

const { Parser } = load("@asyncapi/parser");
const { diagnostics, document } = await new Parser().parse(readFileSync(process.argv[2], "utf8"));
// 0 is an error, 1 a warning; what is below are hints.
const faults = diagnostics.filter(({ severity }) => severity < 2);
for (const { message, path } of faults) console.log(`${path.join("/")}: ${message}`);
process.exit(document === undefined || faults.length > 0 ? 1 : 0);
