// Comfort only: every page works without this file. No words here; they come with the page as data attributes.
"use strict";

// The button that shows what is typed into a password field; the page carries it hidden.
for (const button of document.querySelectorAll("button.show")) {
  const field = document.getElementById(button.getAttribute("aria-controls"));
  const turn = (shown) => {
    field.type = shown ? "text" : "password";
    button.textContent = shown ? button.dataset.hide : button.dataset.show;
    button.setAttribute("aria-label", shown ? button.dataset.hideLabel : button.dataset.showLabel);
  };
  button.hidden = false;
  button.addEventListener("click", () => turn(field.type === "password"));
  field.form.addEventListener("submit", () => turn(false)); // or browsers keep the password as a typed text
}

// Password rules ticked while typing; the server judges.
const rules = document.querySelector("ul.rules");
if (rules) {
  const judges = {
    length: (text) => text.length >= Number(rules.dataset.min) && text.length <= Number(rules.dataset.max),
    upper: (text) => /[A-Z]/.test(text),
    lower: (text) => /[a-z]/.test(text),
    digit: (text) => /[0-9]/.test(text),
    blank: (text) => text !== "" && !/[\s~～]/.test(text),
  };
  const tick = (text) => {
    for (const item of rules.querySelectorAll("[data-rule]")) {
      const met = judges[item.dataset.rule](text);
      if (met === (item.dataset.state === "met")) continue;
      item.dataset.state = met ? "met" : "";
      item.querySelector(".unseen")?.remove();
      if (met) item.append(Object.assign(document.createElement("span"), { className: "unseen", textContent: ` (${rules.dataset.met})` }));
    }
  };
  document.getElementById("new_password").addEventListener("input", (event) => tick(event.target.value));
}

// The wait before another code, told by the second; the server keeps the window.
for (const line of document.querySelectorAll(".wait")) {
  const seconds = line.querySelector(".seconds"), button = line.parentElement.querySelector("button");
  const end = performance.now() + Number(seconds.textContent) * 1000;
  button.disabled = true;
  const timer = setInterval(() => {
    const left = Math.ceil((end - performance.now()) / 1000);
    seconds.textContent = Math.max(left, 0);
    if (left > 0) return;
    clearInterval(timer);
    button.disabled = false;
    line.hidden = true;
  }, 500);
}

// Before the session ends (R77). The server is asked first, so that work in another tab counts; asking is no activity.
const stay = document.getElementById("session-dialog");
if (stay) {
  const WARN_SECONDS = Math.min(150, Number(stay.dataset.idle) / 4);
  let timer;
  const later = (seconds) => {
    clearTimeout(timer);
    timer = setTimeout(look, Math.max(seconds, 1) * 1000);
  };
  const left = async (method) => {
    const body = method === "POST" ? new URLSearchParams({ csrf_token: stay.querySelector("[name=csrf_token]").value }) : undefined;
    const answer = await fetch("/session", { method, body });
    return answer.ok ? answer.json() : { idle: 0, absolute: 0 };
  };
  const say = (part, shown, seconds) => {
    const line = stay.querySelector(part);
    line.dataset.text ??= line.textContent;
    line.textContent = line.dataset.text.replace("{minutes}", Math.max(1, Math.round(seconds / 60)));
    line.hidden = !shown;
  };
  const look = async (method = "GET") => {
    const found = await left(method).catch(() => null);
    if (!found) return later(30); // no network at the moment
    const seconds = Math.min(found.idle, found.absolute);
    if (seconds <= 0) return location.assign(location.pathname + location.search); // its own page says what to do
    const ends = found.absolute <= WARN_SECONDS;
    if (seconds > WARN_SECONDS || (ends && method === "POST")) {
      stay.close();
      return later(seconds > WARN_SECONDS ? seconds - WARN_SECONDS : seconds);
    }
    say(".session-idle", !ends, seconds);
    say(".session-absolute", ends, seconds);
    if (!stay.open) stay.showModal();
    later(Math.min(seconds, 15));
  };
  stay.querySelector(".session-stay").addEventListener("click", () => look("POST"));
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
  later(Number(stay.dataset.idle) - WARN_SECONDS);
}

// The list of what went wrong is read first.
document.getElementById("error-summary")?.focus();
