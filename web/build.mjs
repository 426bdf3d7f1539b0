/**
 * Builds the components into the folder that is named, or into the package: `node build.mjs [folder]`.
 *
 * The same sources and versions give the same bytes: a test holds what is committed against what it is built from.
 */

import { copyFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, transform } from "esbuild";

const HERE = dirname(fileURLToPath(import.meta.url));
const OUT = process.argv[2] ?? join(HERE, "../src/metriclake/charts/static");

/** Style sheets become texts, from which the components make constructed ones. */
const styles = {
  name: "styles",
  setup({ onLoad }) {
    onLoad({ filter: /\.css$/ }, async ({ path }) => {
      const { code } = await transform(await readFile(path, "utf8"), { loader: "css", minify: true, target: "chrome123" });
      return { contents: code.trim(), loader: "text" };
    });
  },
};

/** The page uses the same module that other pages embed. */
const shared = {
  name: "shared",
  setup({ onResolve }) {
    onResolve({ filter: /^\.\/(index|source)$/ }, ({ importer }) =>
      importer.endsWith("page.ts") ? { path: "./metriclake.js", external: true } : undefined,
    );
  },
};

const common = { absWorkingDir: HERE, bundle: true, minify: true, format: "esm", target: "es2022", charset: "utf8", legalComments: "none" };
const licences = "/* Parts are D3 (d3-shape, d3-path, d3-array): Copyright Mike Bostock, ISC licence. */";

await mkdir(OUT, { recursive: true });
await build({ ...common, entryPoints: ["src/index.ts"], outfile: join(OUT, "metriclake.js"), plugins: [styles], banner: { js: licences } });
await build({ ...common, entryPoints: ["src/page.ts"], outfile: join(OUT, "page.js"), plugins: [shared] });
await copyFile(join(HERE, "src/page.css"), join(OUT, "page.css"));
await copyFile(join(HERE, "src/page.html"), join(OUT, "page.html"));
