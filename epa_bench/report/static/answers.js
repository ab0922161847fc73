/* Examples: which are listed, and the one that is shown. */
(() => {
  const groupsScript = document.getElementById("answers-groups");
  if (!groupsScript) return;
  const groups = JSON.parse(groupsScript.textContent);
  const tools = document.getElementById("answers-tools").elements;
  const counted = document.getElementById("answers-count");
  let loaded = false;
  let rows = [];
  let listed = [];
  let wanted = location.hash;
  let shown = null;

  for (const group of groups) {
    group.examples = [];
    group.arms = [...new Set(group.checkpoints.map(([arm]) => arm))];
  }

  const receive = ({ group, examples }) => {
    for (const [id, prompt, category, opponent, answers] of examples) {
      const low = prompt.toLowerCase();
      const read = answers.map((answer) => answer && {
        text: answer[0],
        score: answer[1],
        error: answer[2],
        verdict: answer[3],
        calls: answer[4],
        low: answer[0].toLowerCase(),
      });
      const beside = typeof opponent === "number" ? read[opponent].text : opponent;
      groups[group].examples.push({ id, prompt, category, opponent: beside, answers: read, low });
    }
  };

  const group = () => groups[Number(tools.group.value)];
  const chosenArms = () => [Number(tools.left.value), Number(tools.right.value)];

  const options = (select, values, kept = select.value) => {
    const option = ([value, label]) => epaBench.element("option", { value, textContent: epaBench.excerpt(label, 80) });
    select.replaceChildren(...values.map(option));
    if (values.some(([value]) => value === kept)) select.value = kept;
  };

  // [label of the seed, left checkpoint, right checkpoint]: of the same seed, or all with the one an arm has.
  const pairs = () => {
    const all = group().checkpoints.map(([arm, seed], index) => ({ arm, seed, index }));
    const [left, right] = chosenArms().map((number) => all.filter((each) => each.arm === group().arms[number]));
    const same = left.flatMap((l) => right.filter((r) => r.seed === l.seed).map((r) => [r.seed, l.index, r.index]));
    if (same.length) return same;
    if (left.length < right.length) return right.map((r) => [r.seed, left[0].index, r.index]);
    return left.map((l) => [l.seed, l.index, right[0].index]);
  };

  // Every prompt and seed of the chosen pair of arms, whatever else is asked for.
  const gather = () => {
    rows = [];
    const chosen = pairs();
    group().examples.forEach((example, position) => {
      for (const [seed, l, r] of chosen) {
        const [left, right] = [example.answers[l], example.answers[r]];
        if (!left && !right) continue;
        const both = left?.score != null && right?.score != null;
        rows.push({ example, seed, left, right, position, change: both ? right.score - left.score : null });
      }
    });
  };

  const differs = ({ left, right, change }) => Boolean(change) || left?.verdict !== right?.verdict;
  const failed = ({ left, right }) => Boolean(left?.error || right?.error) || !left || !right;
  const KEPT = { all: () => true, disagree: differs, failures: failed };
  const NONE = -Infinity;
  const ORDERS = {
    change: (row) => (row.change === null ? NONE : Math.abs(row.change)),
    gain: (row) => row.change ?? NONE,
    loss: (row) => (row.change === null ? NONE : -row.change),
  };

  const filter = () => {
    const [seed, category, kept] = [tools.seed.value, tools.category.value, KEPT[tools.show.value]];
    const needle = tools.search.value.trim().toLowerCase();
    const holds = (each) => each?.low.includes(needle);
    listed = rows.filter((row) => (
      (seed === "all" || String(row.seed) === seed)
      && (category === "all" || row.example.category === category)
      && kept(row)
      && (!needle || holds(row.example) || holds(row.left) || holds(row.right))
    ));
    const order = ORDERS[tools.order.value];
    if (order) listed.sort((a, b) => order(b) - order(a) || a.position - b.position || a.seed - b.seed);
    counted.textContent = `${listed.length} of ${rows.length}${loaded ? "" : ", loading…"}`;
  };

  const score = (answer) => {
    if (!answer) return "no row";
    if (answer.score === null) return answer.error ? "failed" : "no score";
    return epaBench.shownScore(group(), answer.score);
  };

  const drawRow = (index) => {
    const { example, seed, left, right, change } = listed[index];
    const arrow = change === null || change === 0 ? "=" : change > 0 ? "▲" : "▼";
    const line = `${score(left)} → ${score(right)} ${change === null ? "⚠" : arrow}`;
    const about = [line, `seed ${seed}`, example.category].filter(Boolean).join(" · ");
    const prompt = epaBench.excerpt(example.prompt) || "(empty prompt)";
    return [
      epaBench.element("span", { className: "about", textContent: epaBench.excerpt(about) }),
      epaBench.element("span", { className: "prompt", dir: "auto", textContent: prompt }),
    ];
  };

  const nameOf = (row) => `#answer-${row.example.id}-${row.seed}-${tools.left.value}-${tools.right.value}`;

  const show = (row) => {
    shown = row;
    epaBench.showAnswer(group(), row, row && nameOf(row), chosenArms());
  };

  const choose = (index) => {
    show(listed[index]);
    try { history.replaceState(null, "", nameOf(shown)); } catch { /* the address stays */ }
  };

  const list = epaBench.virtualList(document.getElementById("answers-list"), drawRow, choose);

  // Lists anew; the example that is shown stays shown where it still is in the list.
  const refresh = () => {
    filter();
    const place = listed.indexOf(shown);
    if (place < 0) show(listed[0] ?? null);
    list.resize(listed.length, listed.length ? Math.max(0, place) : -1);
  };

  const arrange = () => {
    const seeds = [...new Set(pairs().map(([seed]) => String(seed)))];
    options(tools.seed, [["all", "all"], ...seeds.map((seed) => [seed, seed])]);
    const categories = [...new Set(group().examples.map((example) => example.category))].filter(Boolean).sort();
    options(tools.category, [["all", "all"], ...categories.map((name) => [name, name])]);
    gather();
    const before = shown;
    shown = rows.find((row) => row.example === before?.example && row.seed === before.seed) ?? null;
    if (shown) show(shown);
    refresh();
  };

  const openGroup = (left = group().arms.indexOf(group().left), right = group().arms.indexOf(group().right)) => {
    const arms = group().arms.map((arm, index) => [String(index), arm]);
    options(tools.left, arms, String(left));
    options(tools.right, arms, String(right));
    arrange();
  };

  // Shows the example that an address names. Until all chunks are there it may still come.
  const follow = (hash) => {
    const [, id, seed, left, right] = /^#answer-([0-9a-f]{12})-(-?\d+)-(\d+)-(\d+)$/.exec(hash) ?? [];
    const number = groups.findIndex((each) => id && each.examples.some((example) => example.id === id));
    if (number < 0) return false;
    tools.group.value = String(number);
    Object.assign(tools.show, { value: "all" });
    Object.assign(tools.order, { value: "asked" });
    tools.search.value = "";
    openGroup(left, right);
    tools.seed.value = tools.category.value = "all";
    refresh();
    const place = listed.findIndex((row) => row.example.id === id && String(row.seed) === seed);
    if (place < 0) return false;
    list.choose(place);
    document.getElementById("answers").scrollIntoView();
    return true;
  };

  const severalRuns = new Set(groups.map((each) => each.run)).size > 1;
  const groupName = (each) => (severalRuns ? `${each.run} · ${each.suite}` : each.suite);
  options(tools.group, groups.map((each, index) => [String(index), groupName(each)]));
  tools.group.addEventListener("change", () => openGroup());
  for (const name of ["left", "right"]) tools[name].addEventListener("change", arrange);
  for (const name of ["seed", "show", "category"]) tools[name].addEventListener("change", refresh);
  tools.order.addEventListener("change", () => {
    // Whoever asks for the largest change wants to see it.
    shown = null;
    refresh();
  });
  let typing = 0;
  tools.search.addEventListener("input", () => {
    cancelAnimationFrame(typing);
    typing = requestAnimationFrame(refresh);
  });
  document.getElementById("answers-tools").addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", () => follow(location.hash));

  const ANYWHERE = { j: () => 1, k: () => -1 };
  const IN_LIST = {
    ...ANYWHERE,
    ArrowDown: () => 1,
    ArrowUp: () => -1,
    PageDown: list.page,
    PageUp: () => -list.page(),
    Home: () => -list.count(),
    End: list.count,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("input, select, dialog")) return;
    const steps = event.target.id === "answers-list" ? IN_LIST : ANYWHERE;
    if (Object.hasOwn(steps, event.key)) list.move(steps[event.key]());
    else if (event.key === "/") tools.search.focus();
    else if (event.key === "d") epaBench.toggleDifference();
    else return;
    event.preventDefault();
  });

  openGroup();
  let first = true;
  epaBench.chunks("answers", (chunk) => {
    receive(chunk);
    if (first) openGroup();
    first = false;
  }).then((missing) => {
    if (missing.length) {
      const told = `Missing beside the page, with their examples: ${missing.join(", ")}`;
      counted.form.before(epaBench.element("p", { className: "error", role: "alert", textContent: told }));
    }
    loaded = true;
    arrange();
    if (wanted) follow(wanted);
    document.documentElement.dataset.answers = "loaded";
  });
})();
