// A relying party made of openid-client, driven by lines of JSON: {"verb": …, "given": {…}} in, {"done": …} or {"failed": …} out.
import { webcrypto } from 'node:crypto'
import { createInterface } from 'node:readline'

// Node 18 keeps WebCrypto off the global object
globalThis.crypto ??= webcrypto
globalThis.CryptoKey ??= webcrypto.CryptoKey
const oidc = await import('openid-client')
const undici = await import('undici')

let config, keys, checks, tokens, device
// of sender-constrained clients
let proof, tls
const bound = () => ({ DPoP: proof })

const KEYS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]) },
  Ed25519: { name: 'Ed25519' },
}
const signing = () => ({ key: keys.privateKey, kid: 'driver-key' })

const METHODS = {
  client_secret_basic: (given) => oidc.ClientSecretBasic(given.secret),
  client_secret_post: (given) => oidc.ClientSecretPost(given.secret),
  private_key_jwt: () => oidc.PrivateKeyJwt(signing()),
  tls_client_auth: () => oidc.TlsClientAuth(),
  self_signed_tls_client_auth: () => oidc.TlsClientAuth(),
  none: () => oidc.None(),
}

// a request with our client certificate, if there is one
function call(url, options) {
  return tls ? undici.fetch(url, { ...options, dispatcher: tls }) : fetch(url, options)
}

function taken(answer) {
  tokens = { ...tokens, ...answer }
  const header = answer.id_token && JSON.parse(Buffer.from(answer.id_token.split('.')[0], 'base64url'))
  return { ...answer, claims: answer.claims(), header }
}

const VERBS = {
  async make_key({ alg = 'ES256' }) {
    keys = await crypto.subtle.generateKey(KEYS[alg], false, ['sign', 'verify'])
    const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey('jwk', keys.publicKey)
    return { kty, crv, x, y, n, e, kid: 'driver-key', alg, use: 'sig' }
  },
  // what only whoever discovers afterwards sees
  present(given) {
    tls = new undici.Agent({ connect: given })
  },
  async discover(given) {
    // loopback speaks plain http; the ID token's signature is checked although it came straight from the token endpoint
    const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]
    config = await oidc.discovery(new URL(given.issuer), given.client_id, given.metadata, METHODS[given.method](given), { execute, [oidc.customFetch]: call })
    tokens = undefined
    if (given.jarm) oidc.useJwtResponseMode(config)
    return config.serverMetadata()
  },
  async register(given) {
    const execute = [oidc.allowInsecureRequests, oidc.enableNonRepudiationChecks]
    const options = { initialAccessToken: given.token, execute }
    config = await oidc.dynamicClientRegistration(new URL(given.issuer), given.metadata, undefined, options)
    return config.clientMetadata()
  },
  async prove({ alg = 'ES256' }) {
    proof = oidc.getDPoPHandle(config, await oidc.randomDPoPKeyPair(alg))
    return proof.calculateThumbprint()
  },
  async authorize(given) {
    const verifier = oidc.randomPKCECodeVerifier()
    checks = { pkceCodeVerifier: verifier, expectedState: oidc.randomState(), expectedNonce: oidc.randomNonce() }
    const own = {
      code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state: checks.expectedState,
      nonce: checks.expectedNonce,
    }
    let asked = { ...own, ...given.parameters }
    if (given.signed) asked = (await oidc.buildAuthorizationUrlWithJAR(config, asked, signing())).searchParams
    return (given.pushed ? await oidc.buildAuthorizationUrlWithPAR(config, asked, bound()) : oidc.buildAuthorizationUrl(config, asked)).href
  },
  async callback(given) {
    const came = given.form ? new Request(given.url, { method: 'POST', body: new URLSearchParams(given.form) }) : new URL(given.url)
    return taken(await oidc.authorizationCodeGrant(config, came, { ...checks, ...given.checks }, undefined, bound()))
  },
  async refresh(given) {
    return taken(await oidc.refreshTokenGrant(config, given.token ?? tokens.refresh_token, given.parameters, bound()))
  },
  async device(given) {
    device = await oidc.initiateDeviceAuthorization(config, given.parameters)
    return device
  },
  async poll() {
    return taken(await oidc.pollDeviceAuthorizationGrant(config, device, undefined, bound()))
  },
  async client_credentials(given) {
    return taken(await oidc.clientCredentialsGrant(config, given.parameters, bound()))
  },
  userinfo: (given) => oidc.fetchUserInfo(config, given.token ?? tokens.access_token, given.sub ?? oidc.skipSubjectCheck, bound()),
  introspect: (given) => oidc.tokenIntrospection(config, given.token, given.parameters),
  revoke: (given) => oidc.tokenRevocation(config, given.token, given.parameters),
  end_session: (given) => oidc.buildEndSessionUrl(config, { id_token_hint: tokens.id_token, ...given.parameters }).href,
}

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, given } = JSON.parse(line)
  let said
  try {
    said = { done: (await VERBS[verb](given)) ?? null }
  } catch (error) {
    said = { failed: { name: error.name, code: error.code, error: error.error, status: error.status, message: error.message } }
  }
  console.log(JSON.stringify(said))
}
