"use strict";
// Loads the page again every two seconds and exchanges what has changed; draws the live charts.
// No library and no build step: this file is served as it is.

const REFRESH = 2000;
const LIVE = 1000;
const COLORS = 8;
const SVG = "http://www.w3.org/2000/svg";

const $ = (selector, from = document) => [...from.querySelectorAll(selector)];

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function svg(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// What has changed since the last load; the first one is in the document.

const shown = new Map($("[data-live]").map((part) => [part.id, part.innerHTML]));

function exchange(part, html) {
  const open = $("details", part).map((details) => details.open);
  const scroll = part.scrollTop;
  part.innerHTML = html;
  $("details", part).forEach((details, at) => { if (at in open) details.open = open[at]; });
  part.scrollTop = scroll;
}

function isBusy(part) {
  const selection = document.getSelection();
  return part.contains(document.activeElement) && part !== document.activeElement
    || (selection && !selection.isCollapsed && part.contains(selection.anchorNode));
}

async function refresh() {
  const offline = document.getElementById("offline");
  try {
    const response = await fetch("/", { cache: "no-store" });
    if (!response.ok) throw new Error(await response.text());
    const next = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const fresh of $("[data-live]", next)) {
      const part = document.getElementById(fresh.id);
      if (!part || shown.get(part.id) === fresh.innerHTML || isBusy(part)) continue;
      shown.set(part.id, fresh.innerHTML);
      part.className = fresh.className;
      exchange(part, fresh.innerHTML);
    }
    document.title = next.title;
    offline.hidden = true;
    filterLog();
  } catch (error) {
    if (offline.hidden) {
      const time = new Date().toLocaleTimeString();
      offline.textContent = `No answer since ${time}: the daemon has stopped, or the network is down. The page shows what was last known.`;
      offline.hidden = false;
    }
  }
}

// The log and the commands.

function filterLog() {
  const words = document.getElementById("log-filter").value.toLowerCase();
  for (const line of $("#log-lines li")) {
    line.hidden = !line.textContent.toLowerCase().includes(words);
  }
}

function copy(button) {
  const code = button.parentElement.querySelector("code");
  document.getSelection().selectAllChildren(code);
  // Only secure contexts have a clipboard; elsewhere the text is selected.
  const copied = navigator.clipboard ? navigator.clipboard.writeText(code.textContent) : Promise.reject();
  copied.then(() => { button.textContent = "Copied"; }, () => { button.textContent = "Selected"; });
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
}

// Live: bands of the last labels, and the input of the model before and after normalization.

const chosen = new Map();

const color = (place) => (place < 0 ? "cx" : `c${place % COLORS}`);

function band(device, labels) {
  const length = 90;
  const bars = device.band.map(([time, label, score], at) => {
    const x = length - device.band.length + at;
    const high = score === null ? 10 : 4 + 6 * Math.max(0, Math.min(1, score));
    const bar = svg("rect", { x, y: 10 - high, width: 0.9, height: high, class: color(label) });
    bar.append(svg("title", {}, `${new Date(time).toLocaleTimeString()} ${labels[label] ?? "no label"} ${score ?? ""}`));
    return bar;
  });
  return svg("svg", { class: "band", viewBox: `0 0 ${length} 10`, preserveAspectRatio: "none", "aria-hidden": "true" }, ...bars);
}

function deviceRow(stream, device, labels) {
  const { label, score } = device.last;
  const name = label ?? "no label";
  const says = element("span", { class: "says" },
    element("i", { class: `key ${color(labels.indexOf(label))}` }), name,
    element("span", { class: "quiet" }, score === null ? "" : score.toFixed(2)));
  const row = element("button", {
    type: "button", class: "device", "aria-pressed": String(chosen.get(stream) === device.device),
  }, element("span", {}, device.device), band(device, labels), says);
  row.addEventListener("click", () => { chosen.set(stream, device.device); look(stream); });
  return row;
}

function lines(title, channels, names) {
  const values = channels.flat().filter(Number.isFinite);
  const [low, high] = values.reduce(([l, h], v) => [Math.min(l, v), Math.max(h, v)], [Infinity, -Infinity]);
  const span = high - low || 1;
  const steps = Math.max(...channels.map((channel) => channel.length)) - 1 || 1;
  const y = (value) => 98 - 96 * (value - low) / span;
  const drawn = channels.map((channel, at) => svg("polyline", {
    class: color(at), points: channel.map((value, step) => `${100 * step / steps},${y(value)}`).join(" "),
  }));
  const zero = low < 0 && high > 0 ? [svg("line", { class: "zero", x1: 0, x2: 100, y1: y(0), y2: y(0) })] : [];
  const chart = svg("svg", {
    class: "lines", viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img",
    "aria-label": `${title}: ${channels.length} channels of ${steps + 1} samples`,
  }, ...zero, ...drawn);
  const range = Number.isFinite(low) ? `${low.toPrecision(3)} to ${high.toPrecision(3)}` : "";
  const keys = names.map((name, at) => element("span", {}, element("i", { class: `key ${color(at)}` }), name));
  return [
    element("p", { class: "chart-title" }, element("b", {}, title), element("span", { class: "quiet" }, range)),
    chart,
    ...(names.length > 0 && names.length <= 12 ? [element("p", { class: "keys" }, ...keys)] : []),
  ];
}

function split(values, width, bySample) {
  const steps = Math.floor(values.length / width);
  const at = bySample ? (step, channel) => values[step * width + channel] : (step, channel) => values[channel * steps + step];
  return Array.from({ length: width }, (_, channel) => Array.from({ length: steps }, (_, step) => at(step, channel)));
}

function scores(prediction, labels) {
  const rows = prediction.scores.slice(0, 6).flatMap(([label, score]) => {
    const width = Math.max(0, Math.min(1, score)) * 100;
    return [element("span", {}, label),
      svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
        svg("rect", { width, height: 10, class: color(labels.indexOf(label)) })),
      element("span", { class: "quiet" }, score.toFixed(3))];
  });
  return element("div", { class: "scores" }, ...rows);
}

function windowView(view, device) {
  const { window: input, labels } = view;
  const parts = [];
  if (device) parts.push(scores(device.last, labels));
  if (!input) return [...parts, element("p", { class: "quiet" }, "The next window of this device is shown here.")];
  if (input.raw.length > 0 && input.width > 0) {
    parts.push(...lines("As received", split(input.raw, input.width, true), input.fields));
  }
  for (const one of input.inputs) {
    parts.push(...lines(`As the model saw it: ${one.name}`, split(one.values, one.channels, one.by_sample), []));
  }
  return parts;
}

async function look(stream) {
  const place = $("details.live").find((details) => details.dataset.stream === stream);
  const into = place.querySelector(".live-view");
  const query = new URLSearchParams({ stream, device: chosen.get(stream) ?? "" });
  try {
    const response = await fetch(`/api/live?${query}`, { cache: "no-store" });
    if (!response.ok) return;
    const view = await response.json();
    if (view.devices.length === 0) {
      into.replaceChildren(element("p", { class: "quiet" }, "Waiting for the next prediction."));
      return;
    }
    const newest = view.devices.reduce((a, b) => (a.last.time > b.last.time ? a : b));
    if (!chosen.has(stream)) chosen.set(stream, newest.device);
    const device = view.devices.find((one) => one.device === chosen.get(stream));
    const hadFocus = into.contains(document.activeElement) ? document.activeElement.textContent : null;
    const devices = element("div", { role: "group", "aria-label": `Devices of ${stream}` },
      ...view.devices.map((one) => deviceRow(stream, one, view.labels)));
    into.replaceChildren(devices, element("div", {}, ...windowView(view, device)));
    if (hadFocus) $("button.device", into).find((row) => row.getAttribute("aria-pressed") === "true")?.focus();
  } catch {
    // The next look says so at the top of the page.
  }
}

// Try a payload.

async function attempt(details) {
  const into = details.querySelector(".try-outcome");
  const body = JSON.stringify({
    stream: details.dataset.stream,
    topic: details.querySelector(".try-topic").value,
    payload: details.querySelector(".try-payload").value,
  });
  const say = (text, kind = "") => element("p", { class: kind }, text);
  try {
    const response = await fetch("/api/try", { method: "POST", body });
    if (!response.ok) {
      into.replaceChildren(say(await response.text(), "warn"));
      return;
    }
    const outcome = await response.json();
    const parts = [say(`${outcome.samples} samples decoded.`)];
    if (outcome.filled) parts.push(say(`A new device would have ${outcome.filled.join(" of ")} samples in its window.`));
    if (outcome.repeated) parts.push(say(`The payload was repeated ${outcome.repeated} times to fill a window.`));
    parts.push(...outcome.rejects.map((reject) => say(`Rejected: ${reject}`, "warn")));
    const labels = outcome.predictions.flatMap((one) => one.scores.map(([label]) => label));
    const last = outcome.predictions.at(-1);
    if (last) {
      parts.push(say(`Prediction: ${last.label ?? "no label"} ${last.score ?? ""}`));
      parts.push(...windowView({ window: outcome.window, labels }, { last }));
    }
    for (const [topic, payload] of outcome.messages) {
      parts.push(say(`Would be published on ${topic}:`), element("pre", {}, payload));
    }
    into.replaceChildren(...parts);
  } catch (error) {
    into.replaceChildren(say(`No answer: ${error.message}`, "warn"));
  }
}

// Nothing is asked for while nobody looks.

function every(period, act) {
  const run = async () => {
    if (document.visibilityState === "visible") await act();
    setTimeout(run, period);
  };
  run();
}

for (const details of $("details.try[data-stream]")) {
  details.querySelector(".try-run").addEventListener("click", () => attempt(details));
}
for (const button of $("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}
const filter = document.getElementById("log-filter");
filter.parentElement.hidden = false;
filter.addEventListener("input", filterLog);
$("details.live").slice(1).forEach((details) => { details.open = false; });
setTimeout(() => every(REFRESH, refresh), REFRESH);
every(LIVE, () => Promise.all($("details.live[open]").map((details) => look(details.dataset.stream))));
