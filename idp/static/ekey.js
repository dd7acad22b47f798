// Asks the e-key driver of this computer. No words here; they come with the page. The PIN is asked in the driver's own window, never here.
"use strict";

const page = document.getElementById("ekey-page");
const returning = document.getElementById("ekey-return");

// --- what is said ---------------------------------------------------------------------------------------------------------------------------

const shownFault = page?.querySelector(".ekey-fault");
const waiting = page?.querySelector(".ekey-waiting");

const say = (code, tries) => {
  const words = page.querySelector(`template[data-fault="${CSS.escape(code)}"]`) ?? page.querySelector('template[data-fault="other"]');
  shownFault.replaceChildren(words.content.cloneNode(true));
  for (const text of shownFault.querySelectorAll("p")) text.firstChild.textContent = text.firstChild.textContent.replace("{tries}", tries ?? "");
  shownFault.hidden = false;
  shownFault.focus();
};

// How many PINs are left, beside the words on the PIN; without a number they stay as they are.
const sayTries = (tries) => {
  const hint = page.querySelector(".ekey-pin");
  if (hint && Number.isInteger(tries)) hint.textContent = hint.dataset.tries.replace("{tries}", tries);
};

const busy = (is) => {
  waiting.hidden = !is;
  for (const button of page.querySelectorAll("button.ekey-use, button.ekey-form")) button.disabled = is;
  if (is) shownFault.hidden = true;
};

// Why the driver could not be reached: Chrome asks for leave to speak to this computer and says under these names what was answered.
const silence = async () => {
  for (const name of ["loopback-network", "local-network-access"]) {
    try {
      if ((await navigator.permissions.query({ name })).state === "denied") return "blocked";
    } catch {
      // this browser knows no such permission
    }
  }
  return "no_agent";
};

// The driver's answer, or {error} with a code of ours.
const ask = async (path, body) => {
  let answer;
  try {
    answer = await fetch(page.dataset.agent + path, {
      method: body ? "POST" : "GET",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
    });
  } catch {
    return { error: await silence() };
  }
  return answer.json().catch(() => ({ error: "other" }));
};

// The rule of idp/ekey/agent_versions.py: up to four numbers, compared as numbers, missing ones are 0; what is no version is too old.
const numbers = (text) => (/^(0|[1-9][0-9]{0,5})(\.(0|[1-9][0-9]{0,5})){0,3}$/.test(text) ? text.split(".").map(Number) : null);

const outdated = (version) => {
  const needed = numbers(page.dataset.agentNeeds ?? "");
  if (!needed) return false;
  const found = numbers(version ?? "");
  if (!found) return true;
  const differing = [0, 1, 2, 3].map((place) => (found[place] ?? 0) - (needed[place] ?? 0)).find((difference) => difference !== 0);
  return differing < 0;
};

const driverStatus = async () => {
  const told = await ask("/v1/status");
  return told.readers && outdated(told.version) ? { error: "outdated" } : told;
};

// --- the page of drivers: does it run? ------------------------------------------------------------------------------------------------------

const tryDriver = async () => {
  const runs = page.querySelector(".ekey-runs");
  runs.hidden = true;
  busy(true);
  const told = await driverStatus();
  busy(false);
  // an empty reader is no fault of the driver
  if (!told.readers) return say(told.error ?? "other");
  runs.textContent = runs.textContent.replace("{version}", told.version ?? "");
  runs.hidden = false;
};

// --- the page of user name and password: the key gives the name -----------------------------------------------------------------------------

const readName = async () => {
  busy(true);
  const status = await driverStatus();
  busy(false);
  if (status.error || !status.username) return say(status.error ?? "no_card");
  page.querySelector("[name=username]").value = status.username;
  page.querySelector("[name=ekey]").checked = true;
  page.querySelector(".ekey-read").hidden = false;
  page.querySelector("[name=password]").focus();
};

// --- the page of the key: PIN and signature -------------------------------------------------------------------------------------------------

const form = page?.querySelector("form");
const field = (name, of = form) => of.querySelector(`[name=${name}]`);

const challenge = async () => {
  const sent = new URLSearchParams({ csrf_token: field("csrf_token").value });
  const answer = await fetch(`${form.getAttribute("action")}/challenge`, { method: "POST", body: sent });
  // the sign-in is over, or further on: its own pages say so
  if (answer.redirected || answer.status === 410) return location.reload();
  return answer.json().catch(() => ({}));
};

const sign = async () => {
  busy(true);
  // before the person types a PIN for nothing; the server judges it again
  const status = await driverStatus();
  if (status.error === "outdated") {
    busy(false);
    return say("outdated");
  }
  sayTries(status.pin_tries);
  const { nonce, error } = (await challenge()) ?? {};
  const token = nonce ? await ask("/v1/authenticate", { nonce }) : { error: error ?? "other" };
  if (token.error) {
    busy(false);
    sayTries(token.tries);
    return say(token.error, token.tries);
  }
  field("nonce").value = nonce;
  field("token").value = JSON.stringify(token);
  form.submit();
};

// The form road: the whole page goes to the driver and comes back, so that no leave is needed. State is what a form may carry.
const encoded = (nonce) => nonce.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "~");
const decoded = (text) => text.replaceAll("-", "+").replaceAll("_", "/").replaceAll("~", "=");

const signByForm = async () => {
  busy(true);
  const { nonce, error } = (await challenge()) ?? {};
  if (!nonce) {
    busy(false);
    return say(error ?? "other");
  }
  const road = Object.assign(document.createElement("form"), { method: "post", action: `${page.dataset.agent}/v1/authenticate-form` });
  for (const [name, value] of Object.entries({ nonce, state: `${page.dataset.signin}.${encoded(nonce)}` })) {
    road.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(road);
  road.submit();
  setTimeout(() => busy(false), 3000);
};

// --- the way back of the form road ----------------------------------------------------------------------------------------------------------

const comeBack = () => {
  const told = new URLSearchParams(location.hash.slice(1));
  history.replaceState(null, "", location.pathname); // the token stays in no history
  const [, signin, nonce] = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_~-]{44})$/.exec(told.get("state") ?? "") ?? [];
  if (!signin) return;
  const step = `/signin/${signin}/ekey`;
  if (!told.get("token")) {
    location.replace(`${step}?${new URLSearchParams({ fault: told.get("error") ?? "other", tries: told.get("tries") ?? "" })}`);
    return;
  }
  returning.action = step;
  field("nonce", returning).value = decoded(nonce);
  field("token", returning).value = told.get("token");
  returning.submit();
};

// the button beside the picture of the browser's question
shownFault?.addEventListener("click", (event) => {
  if (event.target.closest("button.ekey-form")) signByForm();
});

const actions = { "button.ekey-name": readName, "button.ekey-use": sign, "button.ekey-form": signByForm, "button.ekey-check": tryDriver };
for (const [selector, action] of Object.entries(page ? actions : {})) {
  const button = page.querySelector(selector);
  if (!button) continue;
  button.hidden = false;
  button.addEventListener("click", (event) => {
    event.preventDefault();
    action();
  });
}
if (returning) comeBack();
