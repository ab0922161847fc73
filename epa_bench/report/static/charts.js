/* Charts: Plotly is compiled when the first chart comes near the screen, so it never delays the page. */
(() => {
  const figures = [...document.querySelectorAll("figure.chart")];
  if (!figures.length) return;
  const drawn = new Set();

  const plotly = () => {
    if (!window.Plotly) {
      const script = document.createElement("script");
      script.textContent = document.getElementById("plotly").textContent;
      document.head.append(script);
    }
    return window.Plotly;
  };

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  // Text, grid and paper in the page's colours, whatever the figure's own template says.
  const themed = (layout) => {
    const axis = { gridcolor: colour("--line"), zerolinecolor: colour("--faint"), linecolor: colour("--line") };
    const axes = Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key));
    const own = Object.fromEntries([...new Set([...axes, "xaxis", "yaxis"])].map((key) => [key, { ...layout[key], ...axis }]));
    const annotations = (layout.annotations ?? []).map((each) => ({ ...each, font: { ...each.font, color: colour("--text") } }));
    return {
      ...layout,
      ...own,
      annotations,
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { ...layout.font, color: colour("--text"), family: "system-ui, sans-serif" },
      hoverlabel: { bgcolor: colour("--paper"), font: { color: colour("--text") } },
    };
  };

  const draw = (figure) => {
    const { data, layout } = JSON.parse(figure.querySelector("script.figure").textContent);
    const options = { responsive: true, displaylogo: false, showSendToCloud: false, showEditInChartStudio: false };
    plotly().react(figure.querySelector(".plot"), data, themed(layout ?? {}), options);
    drawn.add(figure);
    figure.dataset.drawn = "yes";
  };

  const near = new IntersectionObserver((entries) => {
    for (const entry of entries.filter((each) => each.isIntersecting)) {
      near.unobserve(entry.target);
      draw(entry.target);
    }
  }, { rootMargin: "400px" });
  addEventListener("load", () => requestAnimationFrame(() => figures.forEach((figure) => near.observe(figure))));
  document.addEventListener("epa-bench-theme", () => drawn.forEach(draw));
  addEventListener("beforeprint", () => figures.filter((figure) => !drawn.has(figure)).forEach(draw));
})();
