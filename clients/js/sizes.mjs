/** Prints the size of each entry of this package, and of other clients: minified and gzipped. `npm ci`, then `node sizes.mjs`. */
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const OTHERS = ["centrifuge", "phoenix", "socket.io-client"];
const { exports } = JSON.parse(readFileSync(new URL("package.json", import.meta.url), "utf8"));
const own = Object.entries(exports).map(([name, { default: path }]) => [`rockstar-realtime${name.slice(1)}`, `export * from "${path}";`]);

/** @param {string} code @returns {Promise<number>} bytes */
async function gzipped(code) {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: new URL(".", import.meta.url).pathname },
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    platform: "browser",
    // Packages that bring their own dependency are not counted: the hooks of React need React.
    external: ["react", "vue"],
  });
  return gzipSync(outputFiles[0].contents, { level: 9 }).length;
}

const sizes = {};
for (const [name, code] of own) sizes[name] = await gzipped(code);
for (const name of OTHERS) {
  const { version } = createRequire(import.meta.url)(`./node_modules/${name}/package.json`);
  sizes[`${name} ${version}`] = await gzipped(`export * from "${name}";`);
}
console.log(JSON.stringify(sizes, null, 2));
