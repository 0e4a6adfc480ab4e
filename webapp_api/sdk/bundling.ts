/** What the bundles have in common, for pages of this gateway and for the npm package. */

import type { BuildOptions, Plugin } from "esbuild";

/** What a page has to load for a call, compressed; SIP.js alone is about 50 kB. */
export const SDK_LIMIT_BYTES = 71_000;

/**
 * SIP.js names some of its parts where this SDK never makes one: its own media session, as the default of an option that
 * is always given, and the client of SUBSCRIBE. A page need not load them.
 */
const NEVER_MADE: Readonly<Record<string, string>> = {
  "session-description-handler-factory-default.js": "export const defaultSessionDescriptionHandlerFactory = () => undefined;",
  "subscribe-user-agent-client.js": "export class SubscribeUserAgentClient {}",
};

const withoutUnusedParts: Plugin = {
  name: "without-unused-parts",
  setup({ onLoad }) {
    for (const [file, contents] of Object.entries(NEVER_MADE)) {
      onLoad({ filter: new RegExp(`[\\\\/]${file.replaceAll(".", "\\.")}$`) }, () => ({ contents }));
    }
  },
};

export const BUNDLING = {
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  plugins: [withoutUnusedParts],
} satisfies BuildOptions;
