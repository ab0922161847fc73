"use strict";
/* One name for everything here. Text of models and people reaches the page by textContent alone. */
const epaBench = (() => {
  const listeners = {};
  const waiting = {};

  const element = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };

  // A chunk of a section's data, from a script file beside the page or from the page itself.
  const receive = (anchor, chunk) => {
    if (listeners[anchor]) listeners[anchor](chunk);
    else (waiting[anchor] ??= []).push(chunk);
  };

  const loadFile = (name) => new Promise((done, failed) => {
    const script = element("script", { src: name, onload: done, onerror: failed });
    document.head.append(script);
  }).finally(() => new Promise((next) => setTimeout(next)));

  // Hands every chunk of a section to `listener`; resolves to the names of files that are missing when all were.
  const chunks = async (anchor, listener) => {
    listeners[anchor] = listener;
    (waiting[anchor] ?? []).forEach(listener);
    const here = `[data-section="${anchor}"]`;
    for (const script of document.querySelectorAll(`script.chunk${here}`)) listener(JSON.parse(script.textContent));
    const files = document.querySelector(`script.chunk-files${here}`);
    const missing = [];
    for (const name of files ? JSON.parse(files.textContent) : []) await loadFile(name).catch(() => missing.push(name));
    return missing;
  };

  return { element, receive, chunks };
})();

(() => {
  const button = document.getElementById("theme");
  const themes = { auto: ["◐ auto", "as the system"], light: ["☀ light", "light"], dark: ["☾ dark", "dark"] };
  const show = () => {
    const [label, told] = themes[document.documentElement.dataset.theme] ?? themes.auto;
    button.textContent = label;
    button.setAttribute("aria-label", `Colours: ${told}`);
  };
  button.addEventListener("click", () => {
    const names = Object.keys(themes);
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    document.documentElement.dataset.theme = next;
    try { localStorage.setItem("epa-bench-theme", next); } catch { /* not kept */ }
    show();
    document.dispatchEvent(new Event("epa-bench-theme"));
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    document.dispatchEvent(new Event("epa-bench-theme"));
  });
  show();
})();
