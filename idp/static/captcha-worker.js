// Looks for the number whose hash, behind the salt, is the challenge (altcha, version 1).
"use strict";

const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));

onmessage = async ({ data: { salt, challenge, maxnumber } }) => {
  const wanted = bytes(challenge), encoder = new TextEncoder();
  for (let number = 0; number <= maxnumber; number += 1) {
    const found = new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(salt + number)));
    if (found.every((byte, place) => byte === wanted[place])) return postMessage(number);
  }
  postMessage(null);
};
