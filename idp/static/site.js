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

// The list of what went wrong is read first.
document.getElementById("error-summary")?.focus();
