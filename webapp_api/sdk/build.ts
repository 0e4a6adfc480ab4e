/**
 * Bundles the SDK, the softphone and the console into webapp_api/static/dist:
 *   sdk.js                  the SDK as one ES module, a stable name for other pages (re-exports a hashed file)
 *   assets/<name>-<hash>.*  never change, may be cached for ever
 *   manifest.json           logical name → file, read by the Flask application
 */

import { readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build, type Metafile } from "esbuild";

import { BUNDLING, SDK_LIMIT_BYTES } from "./bundling.ts";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const OUT = path.resolve(HERE, "../static/dist");

const ENTRIES = {
  sdk: path.join(HERE, "src/index.ts"),
  softphone: path.resolve(HERE, "../softphone/main.ts"),
  style: path.resolve(HERE, "../softphone/style.css"),
  console: path.resolve(HERE, "../console/main.ts"),
  "console-style": path.resolve(HERE, "../console/style.css"),
};
const LOGICAL_NAMES = {
  sdk: "sdk.js",
  softphone: "softphone.js",
  style: "softphone.css",
  console: "console.js",
  "console-style": "console.css",
} as const;

await rm(OUT, { recursive: true, force: true });
const { metafile } = await build({
  entryPoints: ENTRIES,
  outdir: OUT,
  absWorkingDir: HERE,
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  splitting: true,
  sourcemap: "linked",
  metafile: true,
  ...BUNDLING,
});

const manifest: Record<string, string> = {};
for (const [file, output] of Object.entries(metafile.outputs)) {
  for (const [entry, source] of Object.entries(ENTRIES)) {
    if (output.entryPoint === undefined || path.resolve(HERE, output.entryPoint) !== source) continue;
    manifest[LOGICAL_NAMES[entry as keyof typeof ENTRIES]] = path.relative(OUT, path.resolve(HERE, file));
  }
}
for (const name of Object.values(LOGICAL_NAMES)) {
  if (manifest[name] === undefined) throw new Error(`the build made no ${name}`);
}
await writeFile(path.join(OUT, "sdk.js"), `export * from "./${manifest["sdk.js"]}";\n`);
await writeFile(path.join(OUT, "manifest.json"), `${JSON.stringify(manifest, null, 2)}\n`);

const size = await gzipSize(metafile, manifest["sdk.js"] ?? "");
console.log(`SDK with SIP.js: ${(size / 1000).toFixed(1)} kB gzip (limit ${SDK_LIMIT_BYTES / 1000} kB)`);
if (size > SDK_LIMIT_BYTES) {
  console.error("The SDK is larger than a page should have to load.");
  process.exitCode = 1;
}

/** Compressed bytes of `file` and of all chunks it loads. */
async function gzipSize(meta: Metafile, file: string): Promise<number> {
  const outputs = new Map(Object.entries(meta.outputs).map(([name, output]) => [path.resolve(HERE, name), output]));
  const pending = [path.resolve(OUT, file)];
  const seen = new Set<string>();
  let bytes = 0;
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    bytes += gzipSync(await readFile(next)).length;
    for (const { path: imported } of outputs.get(next)?.imports ?? []) pending.push(path.resolve(HERE, imported));
  }
  return bytes;
}
