"use strict";
// In the head, before the first paint, so that a chosen theme never flashes.
(() => {
  let chosen = "auto";
  // A browser may refuse storage to pages from disk.
  try { chosen = localStorage.getItem("epa-bench-theme") || "auto"; } catch { /* stays as the system has it */ }
  document.documentElement.dataset.theme = chosen;
})();
