// The overview's charts: draws what data-chart holds, in the colours of the tokens,
// and reads the history anew each minute. The figures are in tables without it.
"use strict";

(() => {
  const THIN = "\u202f";
  const MINUTE = 60_000;
  const plots = new Map(); // from an element to its chart

  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colour = (line) => {
    const strength = Math.round(line.strength * 255).toString(16).padStart(2, "0");
    return token(line.colour) + strength;
  };
  const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, THIN);
  const short = (n) => {
    if (n >= 1e6) return `${+(n / 1e6).toFixed(1)}${THIN}M`;
    return n >= 1e4 ? `${+(n / 1e3).toFixed(1)}${THIN}k` : grouped(n);
  };
  const span = (s) => {
    if (s < 0.9995) return `${Math.max(1, Math.round(s * 1000))}${THIN}ms`;
    if (s < 60) return `${+s.toFixed(1)}${THIN}s`;
    if (s < 3600) return `${+(s / 60).toFixed(1)}${THIN}min`;
    return `${+(s / 3600).toFixed(1)}${THIN}h`;
  };
  const moment = (seconds, step) => {
    const at = new Date(seconds * 1000);
    const time = at.toISOString().slice(11, 16);
    if (step === 60) return time;
    const month = at.toLocaleString("en", { month: "short", timeZone: "UTC" });
    return `${at.getUTCDate()} ${month}, ${time}`;
  };

  // Each line upon those before it. The highest is drawn first, and what is below
  // it is painted over it.
  const stacked = (lines) => {
    const sums = [];
    let below = [];
    for (const line of lines) {
      below = line.values.map((value, i) => (value ?? 0) + (below[i] ?? 0));
      sums.push(below);
    }
    return sums.reverse();
  };

  const axis = (more) => ({
    stroke: () => token("--faint"),
    font: `11px ${token("--sans")}`,
    grid: { stroke: () => token("--line"), width: 1 },
    ticks: { show: false },
    ...more,
  });

  const options = (chart, place, read) => {
    const isLog = chart.kind === "log";
    const step = chart.x.length > 1 ? chart.x[1] - chart.x[0] : 60;
    const format = isLog ? span : short;
    const paths = uPlot.paths.linear();
    const drawn = isLog ? chart.lines : [...chart.lines].reverse();
    return {
      width: place.clientWidth,
      height: place.clientHeight,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false, points: { show: isLog } },
      padding: [8, 18, 0, 0],
      scales: {
        x: { time: true },
        y: isLog
          ? { distr: 3, range: (_, min, max) => logRange(min, max) }
          : { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        axis({ grid: { show: false }, size: 28, space: 70, values: (_, at) => at.map((one) => label(one, step)) }),
        axis({ size: 52, space: isLog ? 8 : 34, ...(isLog && decades), values: (_, at) => at.map((n) => (n === null || (!isLog && n % 1) ? "" : format(n))) }),
      ],
      series: [
        {},
        ...drawn.map((line) => ({
          stroke: () => colour(line),
          width: isLog ? 1.6 : 0,
          fill: isLog ? undefined : () => colour({ ...line, strength: 1 }),
          fillTo: 0,
          paths,
          points: { show: isLog, size: 4 },
          spanGaps: false,
          alpha: isLog ? 1 : line.strength,
        })),
      ],
      hooks: { setCursor: [(plot) => { read.textContent = said(chart, plot.cursor.idx, step); }] },
    };
  };

  // Lines and labels at powers of ten alone.
  const tens = (_, splits) => splits.map((n) => (Math.abs(Math.log10(n) % 1) < 1e-9 ? n : null));
  const decades = { filter: tens, grid: { stroke: () => token("--line"), width: 1, filter: tens } };

  const logRange = (min, max) => {
    const low = 10 ** Math.floor(Math.log10(Math.max(min ?? 0.001, 0.001)));
    const high = 10 ** Math.ceil(Math.log10(Math.max(max ?? 1, 0.001)));
    return [low, high > low ? high : low * 10];
  };

  const label = (seconds, step) => {
    const text = moment(seconds, step);
    if (step === 60) return text;
    return text.endsWith("00:00") || step > 3600 ? text.slice(0, -7) : text.slice(-5);
  };

  // What the chart holds at a moment, for whoever points at it.
  const said = (chart, place, step) => {
    if (place === null || place === undefined) return "";
    const format = chart.kind === "log" ? span : grouped;
    const figures = chart.lines
      .filter((line) => line.values[place] || chart.kind === "log")
      .map((line) => {
        const value = line.values[place];
        return `${line.label} ${value === null || value === undefined ? "\u2013" : format(value)}`;
      });
    return [moment(chart.x[place], step), ...figures].join("  \u00b7  ");
  };

  const draw = (place) => {
    const chart = JSON.parse(place.dataset.chart);
    const read = place.parentElement.querySelector(".read");
    const isLog = chart.kind === "log";
    const values = isLog
      ? chart.lines.map((line) => line.values.map((s) => (s === null ? null : Math.max(s, 0.001))))
      : stacked(chart.lines);
    place.replaceChildren();
    plots.set(place, new uPlot(options(chart, place, read), [chart.x, ...values], place));
  };

  const drawAll = () => {
    for (const [place, plot] of plots) {
      if (!place.isConnected) {
        plot.destroy();
        plots.delete(place);
        sizes.unobserve(place);
      }
    }
    for (const place of document.querySelectorAll("[data-chart]")) {
      if (!plots.has(place)) {
        draw(place);
        sizes.observe(place);
      }
    }
  };

  const sizes = new ResizeObserver((changes) => {
    for (const { target } of changes) {
      const plot = plots.get(target);
      if (plot && (plot.width !== target.clientWidth || plot.height !== target.clientHeight)) {
        plot.setSize({ width: target.clientWidth, height: target.clientHeight });
      }
    }
  });

  // Tables that somebody opened stay open, and the focus stays where it is.
  const refresh = async () => {
    const section = document.getElementById("history");
    if (document.hidden || !section || section.contains(document.activeElement)) return;
    try {
      const answer = await fetch(section.dataset.history, { headers: { "HX-Request": "true" } });
      if (!answer.ok) return;
      const open = [...section.querySelectorAll(".chart:has(details[open])")].map((chart) => chart.id);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      section.replaceChildren(...fresh.body.childNodes);
      for (const id of open) {
        document.getElementById(id)?.querySelector("details")?.setAttribute("open", "");
      }
      drawAll();
    } catch {
      // The server is away: the next minute asks again.
    }
  };

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    for (const plot of plots.values()) plot.redraw();
  });
  setInterval(refresh, MINUTE);
  drawAll();

  // A page whose server went away must not look as if all were well.
  const stale = document.getElementById("stale");
  document.addEventListener("htmx:sseError", () => { stale.hidden = false; });
  document.addEventListener("htmx:sseOpen", () => { stale.hidden = true; });
})();
