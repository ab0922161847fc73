/* Where a number came from: a tree of cells, as `epa-bench explain` tells it. */
(() => {
  const dialog = document.getElementById("origin");
  if (!dialog) return;
  const { element } = epaBench;
  const cells = JSON.parse(document.getElementById("leaderboard-cells").textContent);

  const facts = (pairs) => element("dl", {}, ...Object.entries(pairs).flatMap(([name, value]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: epaBench.visible(typeof value === "string" ? value : JSON.stringify(value)) }),
  ]));

  // A cell is drawn in full once; elsewhere its digest leads to it.
  const tree = (known, digest, name, told, open) => {
    const cell = known[digest];
    if (!cell) return element("p", { className: "remark", textContent: `${name}: ${digest} is not listed` });
    const address = element("code", { textContent: digest.slice(0, 12) });
    const named = element("strong", { textContent: name });
    const title = element("summary", {}, named, ` ${cell.step} `, address, ` ${epaBench.visible(cell.label)}`);
    if (told.has(digest)) return element("p", {}, ...title.childNodes, " (above)");
    told.add(digest);
    const versions = Object.entries(cell.versions).map(([of, version]) => `${of} ${version}`).join(", ");
    const made = element("details", { open }, title, facts({ ...cell.config, versions }));
    made.append(...Object.entries(cell.inputs).map(([input, needed]) => tree(known, needed, input, told, false)));
    return made;
  };

  const counted = ({ n_prompts: prompts, n_left_out: out, seeds }) => {
    const leftOut = out ? `, ${out} left out` : "";
    return `${prompts} prompts × ${seeds.length} seeds (${seeds.join(", ")})${leftOut}`;
  };

  const ends = ({ interval, note }) => {
    if (!interval) return note;
    return `${interval.low} to ${interval.high} (${100 * interval.level} %, ${interval.kind})`;
  };

  const figures = (origin) => {
    const { score, margin } = origin;
    const found = {
      score: String(score.value),
      interval: ends(score),
      over: counted(score),
      "failed rows": String(origin.failed),
      judge: origin.judge ?? "none",
    };
    if (!margin) return found;
    return {
      ...found,
      [`margin over ${margin.against}`]: String(margin.value),
      "its interval": ends(margin),
      "paired over": counted(margin),
      "minimum detectable effect": String(margin.mde),
    };
  };

  // `seed`: "" for all of them.
  epaBench.showOrigin = (origin, shown, seed) => {
    const known = cells[origin.run];
    const close = element("button", { type: "button", textContent: "Close", className: "close", autofocus: true });
    close.addEventListener("click", () => dialog.close());
    const named = epaBench.visible(`${origin.suite} ${origin.metric}, ${origin.arm}: ${shown}`);
    const title = element("h3", { id: "origin-title", textContent: named });
    const told = new Set();
    const seeds = Object.entries(origin.roots).filter(([each]) => !seed || each === seed);
    const grown = ([each, roots]) => roots.map((digest) => tree(known, digest, `seed ${each}`, told, seeds.length === 1));
    const trees = seeds.flatMap(grown);
    const none = "No cells: these figures were imported, or their run is not here. The notes under Versions say more.";
    dialog.replaceChildren(
      close,
      title,
      facts(figures(origin)),
      element("h4", { textContent: "Made of" }),
      ...(trees.length ? trees : [element("p", { className: "remark", textContent: none })]),
    );
    dialog.showModal();
  };
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
