// What the page does by itself: draws charts in place, counts ages, copies hashes, notices when the panel is gone.
(() => {
  "use strict";
  if (window.orion) return;

  const colour = (name) =>
    getComputedStyle(document.body).getPropertyValue("--ao-" + name.replace(/[A-Z]/g, (c) => "-" + c.toLowerCase())).trim();

  const paint = (value) => {
    if (typeof value === "string" && /^@[a-zA-Z]+$/.test(value)) return colour(value.slice(1));
    if (Array.isArray(value)) return value.map(paint);
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, paint(item)]));
    return value;
  };

  const layoutOf = (layout) => {
    const axis = { gridcolor: colour("line"), zerolinecolor: colour("line"), linecolor: colour("line"), automargin: true };
    return {
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 12, color: colour("soft") },
      showlegend: false,
      hoverlabel: { bgcolor: colour("card"), bordercolor: colour("line"), font: { color: colour("ink") } },
      legend: { orientation: "h", x: 1, xanchor: "right", y: 1.02, yanchor: "bottom" },
      uirevision: "kept",
      autosize: true,
      ...layout,
      margin: { l: 58, r: 14, t: 14, b: 40, ...(layout.margin || {}) },
      xaxis: { ...axis, tickangle: 0, nticks: window.innerWidth < 640 ? 4 : 9, ...(layout.xaxis || {}) },
      yaxis: { ...axis, ...(layout.yaxis || {}) },
    };
  };

  const drawn = new Map();

  const draw = (node, fig) => {
    if (!node || !fig) return;
    drawn.set(node, fig);
    let note = node.querySelector(":scope > .ao-nothing");
    const bare = !fig.data.length;
    if (bare && !note) {
      note = document.createElement("div");
      note.className = "ao-nothing";
      node.append(note);
    }
    if (note) {
      note.hidden = !bare;
      note.textContent = fig.empty || "";
    }
    if (bare && !node.classList.contains("js-plotly-plot")) return;
    const layout = layoutOf(paint(fig.layout));
    if (bare) layout.xaxis.visible = layout.yaxis.visible = false;
    window.Plotly.react(node, paint(fig.data), layout, { displayModeBar: false, responsive: true });
  };

  const redraw = () => {
    for (const [node, fig] of drawn) node.isConnected ? draw(node, fig) : drawn.delete(node);
  };

  // Ages are counted here, on the server's clock, so that a quiet page still shows how old it is.
  let skew = 0;
  let newest = 0;
  const words = (seconds) => {
    if (seconds < 1) return "now";
    if (seconds < 120) return `${Math.floor(seconds)} s ago`;
    if (seconds < 7200) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 172800) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  };
  const count = () => {
    const bar = document.querySelector(".ao-bar");
    if (bar && Number(bar.dataset.now) !== newest) {
      newest = Number(bar.dataset.now);
      skew = Date.now() - newest;
    }
    for (const node of document.querySelectorAll("[data-age]")) {
      const seconds = (Date.now() - skew - Number(node.dataset.age)) / 1000;
      const text = words(seconds);
      if (node.textContent !== text) node.textContent = text;
      node.classList.toggle("ao-stale", seconds > Number(node.dataset.stale));
    }
    for (const node of document.querySelectorAll("time[datetime]:not([title])"))
      node.title = new Date(node.dateTime).toLocaleString() + " local time";
  };

  // The page notices when the panel stops answering, says since when, and loads itself again once it is back.
  let instance = null;
  let lost = null;
  const health = async () => {
    try {
      const answer = await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(4000) });
      const told = await answer.json();
      if (instance && told.instance !== instance) return window.location.reload();
      instance = told.instance;
      lost = null;
    } catch {
      lost = lost || Date.now();
    }
    let note = document.getElementById("ao-lost");
    if (lost && !note) {
      note = document.createElement("div");
      note.id = "ao-lost";
      note.setAttribute("role", "alert");
      note.textContent = `The panel does not answer since ${new Date(lost).toLocaleTimeString()}. What is shown is old; trying again.`;
      document.body.append(note);
    }
    if (!lost && note) note.remove();
    document.body.classList.toggle("ao-offline", Boolean(lost));
  };

  document.addEventListener("click", async (event) => {
    const copy = event.target.closest(".ao-copy");
    if (copy) {
      await navigator.clipboard.writeText(copy.dataset.copy);
      const before = copy.textContent;
      copy.textContent = "copied";
      setTimeout(() => (copy.textContent = before), 900);
    }
    if (event.target.closest(".ao-theme")) {
      document.body.classList.toggle("dark");
      localStorage.setItem("ao-theme", document.body.classList.contains("dark") ? "dark" : "light");
    }
  });

  const reveal = (id) => {
    if (window.innerWidth <= 1100) document.getElementById(id)?.scrollIntoView({ behavior: "smooth", block: "start" });
  };

  window.orion = { draw, reveal };
  const asked = new URLSearchParams(window.location.search).get("__theme");
  const kept = asked || localStorage.getItem("ao-theme");
  if (kept) document.body.classList.toggle("dark", kept === "dark");
  new MutationObserver(redraw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  setInterval(count, 500);
  setInterval(health, 2000);
  count();
  health();
})();
