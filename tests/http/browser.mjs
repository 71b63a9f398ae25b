// Drives Chromium by its DevTools protocol over a pipe: no package is needed.
//
// node browser.mjs CHROMIUM URL FOLDER [AXE]
//
// Opens the page at phone and desktop width, light and dark, writes a screenshot of each into FOLDER,
// and prints one JSON object: what the page shows, errors of the console, violations found by axe-core.

import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const [chromium, url, folder, axe] = process.argv.slice(2);
const VIEWS = [
  { name: "desktop-light", width: 1200, height: 1240, dark: false },
  { name: "desktop-dark", width: 1200, height: 1240, dark: true },
  { name: "phone-light", width: 390, height: 1240, dark: false },
  { name: "phone-dark", width: 390, height: 1240, dark: true },
];

const profile = mkdtempSync(join(tmpdir(), "inferd-chromium-"));
const browser = spawn(chromium, [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
  "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
  `--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank",
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

let number = 0;
let received = "";
const waiting = new Map();
const listeners = new Set();
browser.stdio[4].setEncoding("utf8").on("data", (text) => {
  const parts = (received + text).split("\0");
  received = parts.pop();
  for (const message of parts.map((part) => JSON.parse(part))) {
    const answer = waiting.get(message.id);
    waiting.delete(message.id);
    if (answer) message.error ? answer.reject(new Error(JSON.stringify(message.error))) : answer.resolve(message.result);
    for (const listener of listeners) listener(message);
  }
});

function send(method, params = {}, sessionId) {
  number += 1;
  browser.stdio[3].write(`${JSON.stringify({ id: number, method, params, sessionId })}\0`);
  return new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
}

function event(method) {
  return new Promise((resolve) => {
    const listener = (message) => {
      if (message.method !== method) return;
      listeners.delete(listener);
      resolve(message.params);
    };
    listeners.add(listener);
  });
}

async function evaluate(session, expression) {
  const params = { expression, awaitPromise: true, returnByValue: true };
  const { result, exceptionDetails } = await send("Runtime.evaluate", params, session);
  if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
  return result.value;
}

// Waits for an expression of the page to be true.
function until(session, expression) {
  return evaluate(session, `new Promise((resolve, reject) => {
    const end = Date.now() + 30000;
    const check = () => {
      if (${expression}) resolve(true);
      else if (Date.now() > end) reject(new Error("waited in vain for " + ${JSON.stringify(expression)}));
      else setTimeout(check, 50);
    };
    check();
  })`);
}

const errors = [];
listeners.add(({ method, params }) => {
  if (method === "Runtime.exceptionThrown") errors.push(params.exceptionDetails.exception?.description ?? "exception");
  if (method === "Log.entryAdded" && params.entry.level === "error") errors.push(`${params.entry.text} ${params.entry.url ?? ""}`);
});

async function view({ name, width, height, dark }) {
  const { targetId } = await send("Target.createTarget", { url: "about:blank" });
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const page = (method, params) => send(method, params, sessionId);
  await page("Page.enable");
  await page("Runtime.enable");
  await page("Log.enable");
  await page("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  await page("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: dark ? "dark" : "light" }] });
  const loaded = event("Page.loadEventFired");
  await page("Page.navigate", { url });
  await loaded;
  await until(sessionId, "document.querySelector('.lines polyline')");
  const text = await evaluate(sessionId, "document.body.innerText");
  const overflow = await evaluate(sessionId, "document.documentElement.scrollWidth - innerWidth");
  const paint = await evaluate(sessionId, "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null");
  const { data } = await page("Page.captureScreenshot", { format: "png", captureBeyondViewport: false });
  writeFileSync(join(folder, `page-${name}.png`), Buffer.from(data, "base64"));
  let violations = null;
  if (axe) {
    await evaluate(sessionId, `${readFileSync(axe, "utf8")}; true`);
    violations = await evaluate(sessionId, `axe.run().then(({ violations }) => violations.map(
      ({ id, nodes }) => id + ": " + nodes.map((node) => node.html.slice(0, 120) + " " + node.failureSummary).join(" | ")))`);
  }
  await send("Target.closeTarget", { targetId });
  return { name, text, overflow, paint, violations };
}

try {
  const views = [];
  for (const one of VIEWS) views.push(await view(one));
  console.log(JSON.stringify({ views, errors }));
} catch (error) {
  console.log(JSON.stringify({ views: [], errors: [...errors, String(error)] }));
} finally {
  browser.kill("SIGKILL");
  await new Promise((resolve) => browser.on("exit", resolve));
  rmSync(profile, { recursive: true, force: true });
}
