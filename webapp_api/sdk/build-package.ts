/**
 * Makes what `npm pack` packs:
 *   dist/sdk.js    the SDK and what it needs of SIP.js as one ES module, for bundlers and for pages without one
 *   dist/types/    its public types, for themselves: they name nothing of SIP.js
 */

import { execFileSync } from "node:child_process";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

import { BUNDLING, SDK_LIMIT_BYTES } from "./bundling.ts";
import { VERSION } from "./src/version.ts";

const HERE = path.dirname(fileURLToPath(import.meta.url));
const ENTRY = path.join(HERE, "src/index.ts");
const MODULE = path.join(HERE, "dist/sdk.js");
const TYPES = path.join(HERE, "dist/types");
const BANNER = `/*! @webrtc-ims/sdk ${VERSION}, MIT; with parts of SIP.js, MIT: see LICENSE and LICENSE-SIP.js */`;

await rm(path.join(HERE, "dist"), { recursive: true, force: true });
await build({ ...BUNDLING, entryPoints: [ENTRY], outfile: MODULE, banner: { js: BANNER } });
const size = gzipSync(await readFile(MODULE)).length;
if (size > SDK_LIMIT_BYTES) throw new Error(`the SDK is larger than a page should have to load: ${size} bytes gzip`);
await writeTypes();

/** Write the declarations of all that the public API mentions, and of nothing else. */
async function writeTypes(): Promise<void> {
  const compiler = path.join(HERE, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", "tsconfig.package.json"], { cwd: HERE, stdio: "inherit" });
  const mentioned = new Set(["index.d.ts"]);
  for (const file of mentioned) {
    const text = await readFile(path.join(TYPES, file), "utf8");
    const named = text.replace(/from "\.\/([\w-]+)\.ts"/g, (_, name: string) => {
      mentioned.add(`${name}.d.ts`);
      return `from "./${name}.js"`;
    });
    await writeFile(path.join(TYPES, file), named);
  }
  for (const file of await readdir(TYPES)) if (!mentioned.has(file)) await rm(path.join(TYPES, file));
  if (mentioned.has("sipjs.d.ts")) throw new Error("the public types name something of SIP.js: mark it @internal");
}
