// A public client made of oidc-client-ts, as its documentation has it. What happened last stands in #shown, with how often something happened.
const manager = new oidc.UserManager(await (await fetch('settings.json')).json())
const shown = document.querySelector('#shown')
let times = 0

async function doing(what, how) {
  let said
  try {
    const outcome = await how()
    const { access_token, refresh_token, id_token, profile, scope } = (await manager.getUser()) ?? {}
    said = { done: outcome ?? null, user: { access_token, refresh_token, id_token, profile, scope } }
  } catch (error) {
    said = { failed: { name: error.name, message: error.message, error: error.error } }
  }
  times += 1
  shown.textContent = JSON.stringify({ what, ...said })
  shown.dataset.times = times
}

const BUTTONS = {
  'sign-in': () => manager.signinRedirect({ state: 'kept by the application' }),
  renew: async () => void (await manager.signinSilent()),
  revoke: () => manager.revokeTokens(),
  'sign-out': () => manager.signoutRedirect(),
}
for (const [name, how] of Object.entries(BUTTONS)) {
  document.querySelector(`#${name}`).addEventListener('click', () => doing(name, how))
}

const ARRIVED = {
  '/callback.html': async () => (await manager.signinRedirectCallback()).state,
  '/bye.html': async () => void (await manager.signoutRedirectCallback()),
}
await doing('arrived', ARRIVED[location.pathname] ?? (() => undefined))
