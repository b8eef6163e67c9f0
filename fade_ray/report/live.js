// Keeps a page of `fade-ray watch` up to date: asks for it again, and exchanges what it shows.
"use strict";

const PERIOD = 2000; // milliseconds between two questions
let tag = "";

function places() {
  return [...document.querySelectorAll("main .scroll, main .drawing")];
}

function exchange(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const open = [...document.querySelectorAll("main details")].map(details => details.open);
  const scrolled = places().map(place => place.scrollLeft);
  document.querySelector("main").replaceWith(document.adoptNode(fresh.querySelector("main")));
  document.title = fresh.title;
  document.querySelectorAll("main details").forEach((details, i) => (details.open = !!open[i]));
  places().forEach((place, i) => (place.scrollLeft = scrolled[i] || 0));
}

async function look() {
  const silence = document.getElementById("silence");
  try {
    const answer = await fetch("/", { headers: { "If-None-Match": tag }, cache: "no-store" });
    if (answer.status !== 304) {
      const text = await answer.text();
      tag = answer.headers.get("ETag") || "";
      exchange(text);
    }
    silence.hidden = true;
  } catch {
    silence.textContent = "fade-ray watch does not answer: this is what it showed last.";
    silence.hidden = false;
  }
  setTimeout(look, PERIOD);
}

look();
