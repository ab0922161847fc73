/* Sorting and filtering the leaderboard. The rows are in the page; nothing is drawn anew. */
(() => {
  const table = document.getElementById("leaderboard-table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const tools = document.getElementById("leaderboard-tools");
  const counted = document.getElementById("leaderboard-count");
  const origins = new Map(rows.map((row) => [row, JSON.parse(row.dataset.origin)]));
  const figures = (row) => [...row.querySelectorAll(".score, .margin")];
  const together = new Map(rows.map((row) => [row, figures(row).map((cell) => [...cell.childNodes])]));

  const key = (row, column, type) => {
    const cell = row.cells[column];
    if (type === "text") return cell.textContent;
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  };

  // What has no value stands last, whichever the direction.
  const compare = (a, b, sign) => {
    if (a === null || b === null) return (a === null) - (b === null);
    return sign * (typeof a === "string" ? a.localeCompare(b) : a - b);
  };

  const sort = (heading) => {
    const sign = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    const keyed = rows.map((row) => [key(row, heading.cellIndex, heading.dataset.type), row]);
    keyed.sort(([a], [b]) => compare(a, b, sign));
    body.append(...keyed.map(([, row]) => row));
  };

  // One seed's scores, of the prompts that have a value in it; intervals and margins are over all seeds.
  const showSeed = (row, seed) => {
    const [score, margin] = figures(row);
    const [scores, margins] = together.get(row);
    score.replaceChildren(...scores);
    margin.replaceChildren(...margins);
    const found = origins.get(row).bySeed[seed];
    if (!seed || !found) return;
    const [shown, prompts] = found;
    const textContent = `${shown} (${prompts} prompts)`;
    score.replaceChildren(epaBench.element("button", { type: "button", className: "origin", textContent }));
    margin.replaceChildren("over all seeds only");
  };

  const BY = ["run", "suite", "method", "model", "data", "beta"];
  const filter = () => {
    const chosen = Object.fromEntries(new FormData(tools));
    const words = chosen.search.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const origin = origins.get(row);
      const fits = BY.every((name) => !chosen[name] || row.dataset[name] === chosen[name]);
      const text = `${row.textContent} ${origin.metric}`.toLowerCase();
      row.hidden = !fits || (chosen.seed && !(chosen.seed in origin.bySeed)) || !words.every((word) => text.includes(word));
      showSeed(row, chosen.seed);
      shown += !row.hidden;
    }
    counted.textContent = `${shown} of ${rows.length}`;
  };

  table.tHead.addEventListener("click", (event) => {
    const heading = event.target.closest("th");
    if (heading) sort(heading);
  });
  body.addEventListener("click", (event) => {
    const button = event.target.closest("button.origin");
    if (!button) return;
    const row = button.closest("tr");
    epaBench.showOrigin(origins.get(row), button.textContent, tools.elements.seed?.value ?? "");
  });
  tools.addEventListener("input", filter);
  tools.addEventListener("submit", (event) => event.preventDefault());
})();
