// Builds the widget runtime into the Python package: `node build.mjs [--watch]`.
// The output is git-ignored; js/hatch_build.py runs this when the package is installed and stamps the result.
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

/** @type {import("esbuild").BuildOptions} */
const options = {
  absWorkingDir: here,
  entryPoints: ["src/index.ts"],
  outfile: "../ftnb/widget/static/runtime.js",
  bundle: true,
  format: "esm",
  platform: "browser",
  // Two years of evergreen browsers, and what JupyterLab 4 itself asks for.
  target: "es2022",
  minify: true,
  // ASCII only: the same bytes are inlined in HTML files whose charset we do not control.
  charset: "ascii",
  legalComments: "none",
  loader: { ".css": "text" },
  logLevel: "warning",
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, minify: false, sourcemap: "inline", logLevel: "info" });
  await context.watch();
} else {
  await esbuild.build(options);
}
