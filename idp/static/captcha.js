// The captcha without typing: a number is looked for while the form is filled in. The picture is there without this file, and where it takes long.
"use strict";

const SLOW_SECONDS = 8;

for (const step of document.querySelectorAll(".captcha-step")) {
  const picture = step.querySelector(".captcha-picture"), told = step.querySelector(".captcha-work"), field = step.querySelector("[name=captcha]");
  const form = field.form, again = form.querySelector(".captcha-again"), asked = JSON.parse(step.dataset.work);
  // after a wrong answer the picture is asked
  if (picture.querySelector(".error") || !window.Worker || !window.crypto?.subtle) continue;
  let solved = false, failed = false, waiting = null;

  const show = (shown) => {
    picture.hidden = again.hidden = !shown;
  };
  const usePicture = () => {
    failed = true;
    told.hidden = true;
    show(true);
    waiting = null;
  };
  const worker = new Worker(step.dataset.worker);
  worker.onerror = usePicture;
  worker.onmessage = ({ data: number }) => {
    worker.terminate();
    if (number === null) return usePicture();
    solved = true;
    if (!field.value) {
      const { algorithm, challenge, salt, signature } = asked;
      field.value = btoa(JSON.stringify({ algorithm, challenge, number, salt, signature }));
      show(false);
    }
    told.hidden = true;
    if (waiting) form.requestSubmit(waiting);
  };
  show(false);
  worker.postMessage(asked);
  setTimeout(() => {
    if (solved || failed) return;
    told.hidden = false;
    show(true);
  }, SLOW_SECONDS * 1000);

  form.addEventListener("submit", (event) => {
    if (solved || failed || field.value || event.submitter?.formNoValidate) return;
    event.preventDefault();
    waiting = event.submitter;
    told.hidden = false;
  });
}
