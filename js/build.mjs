// Builds the widget runtime into the Python package: `node build.mjs [--watch]`.
// The output is git-ignored; js/hatch_build.py runs this when the package is installed and stamps the result.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import * as esbuild from "esbuild";

const here = fileURLToPath(new URL(".", import.meta.url));

// Cytoscape is built from its sources without what the widget never calls: graph algorithms, layouts, WebGL. A fifth of
// the bundle. What is left out is named here; a name that Cytoscape no longer has fails the build.
const EMPTY = "export default {};";
const ALGORITHMS = [
  "affinity-propagation", "a-star", "bellman-ford", "betweenness-centrality", "closeness-centrality", "degree-centrality",
  "dijkstra", "floyd-warshall", "hierarchical-clustering", "hierholzer", "hopcroft-tarjan-biconnected", "k-clustering",
  "karger-stein", "kruskal", "markov-clustering", "page-rank", "tarjan-strongly-connected",
];
const REPLACED = {
  ...Object.fromEntries(ALGORITHMS.map((name) => [`collection/algorithms/${name}.mjs`, EMPTY])),
  // Positions come with the payload.
  "extensions/layout/index.mjs":
    "import grid from './grid.mjs'; import preset from './preset.mjs'; export default [{ name: 'grid', impl: grid }, { name: 'preset', impl: preset }];",
  "extensions/renderer/canvas/webgl/drawing-redraw-webgl.mjs": EMPTY,
};
// The parts of lodash that are left; data of elements is never read by a path with dots.
const HELPERS = {
  "lodash/debounce.js":
    "export default (f, ms = 0) => { let timer = 0; const later = function (...a) { clearTimeout(timer); timer = setTimeout(() => f.apply(this, a), ms); }; later.cancel = () => clearTimeout(timer); return later; };",
  "lodash/get.js": "export default (at, path) => path.reduce((value, key) => value?.[key], at);",
  "lodash/set.js": "export default () => { throw new Error('not supported'); };",
  "lodash/toPath.js": "export default (name) => [name];",
};

/** @type {import("esbuild").Plugin} */
const smallCytoscape = {
  name: "small-cytoscape",
  setup(build) {
    const root = `${here}node_modules/cytoscape/src/`;
    const seen = new Set();
    build.onStart(() => seen.clear());
    build.onResolve({ filter: /^cytoscape$/ }, () => ({ path: `${root}index.mjs` }));
    build.onResolve({ filter: /^heap$/ }, () => ({ path: `${here}src/heap.ts` }));
    build.onResolve({ filter: /^lodash\// }, ({ path }) => ({ path, namespace: "helper" }));
    build.onLoad({ filter: /.*/, namespace: "helper" }, ({ path }) => ({ contents: HELPERS[path] }));
    build.onLoad({ filter: /cytoscape[\\/]src[\\/].*\.mjs$/ }, ({ path }) => {
      const name = path.slice(root.length).replaceAll("\\", "/");
      if (!Object.hasOwn(REPLACED, name)) return null;
      seen.add(name);
      return { contents: REPLACED[name], resolveDir: dirname(path) };
    });
    build.onEnd(() => {
      const lost = Object.keys(REPLACED).filter((name) => !seen.has(name));
      return lost.length ? { errors: [{ text: `Cytoscape has no ${lost.join(", ")} any more` }] } : null;
    });
  },
};

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
  define: { "process.env.NODE_ENV": '"production"', "process.env.VERSION": '"3"', "process.env.TEST_BUILD": "false" },
  plugins: [smallCytoscape],
  logLevel: "warning",
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, minify: false, sourcemap: "inline", logLevel: "info" });
  await context.watch();
} else {
  await esbuild.build(options);
}
