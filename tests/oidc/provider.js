/**
 * A real OpenID Connect provider (panva's oidc-provider) with login and consent forms, for the tests.
 *
 * One JSON argument: {port, redirectUri, clientId, clientSecret, accounts: {login: {impi, impus}}, audience,
 * accessTokenTtl}. Standard input: a line "rotate" changes its signing keys, its end ends the provider. Prints "ready"
 * on standard output.
 */

import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

import Provider from "oidc-provider";

const options = JSON.parse(process.argv[2]);
const issuer = `http://127.0.0.1:${options.port}`;

function newKey() {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { ...privateKey.export({ format: "jwk" }), alg: "ES256", use: "sig", kid: randomUUID() };
}

function identityOf(login) {
  return options.accounts[login] ?? {};
}

function makeProvider(jwks) {
  const provider = new Provider(issuer, {
    jwks,
    clients: [
      {
        client_id: options.clientId,
        client_secret: options.clientSecret,
        redirect_uris: [options.redirectUri],
        grant_types: ["authorization_code", "refresh_token"],
        id_token_signed_response_alg: "ES256",
      },
    ],
    clientBasedCORS: () => false,
    cookies: { keys: ["of a test"] },
    scopes: ["openid"],
    claims: { openid: ["sub"], ims: ["impi", "impus"] },
    conformIdTokenClaims: false,
    findAccount: (_context, login) => ({
      accountId: login,
      claims: () => ({ sub: login, ...identityOf(login) }),
    }),
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    // The gateway checks these itself: its identities, and the session that a logout names.
    extraTokenClaims: (_context, token) => ({ ...identityOf(token.accountId), sid: token.grantId }),
    issueRefreshToken: () => true,
    // A refresh token that is used twice ends everything that came from its login.
    rotateRefreshToken: true,
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: "sip",
          audience: options.audience,
          accessTokenTTL: options.accessTokenTtl,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "ES256" } },
        }),
      },
    },
    ttl: { Interaction: 600, Session: 3600, Grant: 3600, IdToken: 600, RefreshToken: 3600 },
  });
  return provider.callback();
}

const keys = [newKey()];
let handler = makeProvider({ keys });
createInterface({ input: process.stdin }).on("line", (line) => {
  if (line !== "rotate") return;
  // Sessions and grants are forgotten with the former provider; a test logs in anew.
  keys.unshift(newKey());
  keys.length = 1;
  handler = makeProvider({ keys });
  console.log("rotated");
}).on("close", () => process.exit());
createServer((request, response) => handler(request, response)).listen(options.port, "127.0.0.1", () => console.log("ready"));
