// The report in a real, headless Chromium: it loads without a request and without a word on the console, its script
// copies and filters, it can be read without the script, on paper, in the dark and by a screen reader, and what a
// hostile bundle puts into it does nothing.
//
//   node run.mjs KUBETRIAGE [PICTURES]
//
// KUBETRIAGE is the program; PICTURES a folder for screenshots.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync, mkdirSync, existsSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const here = dirname(fileURLToPath(import.meta.url));
const top = resolve(here, "../..");
const program = resolve(process.argv[2] ?? join(top, "target/release/kubetriage"));
const pictures = process.argv[3] && resolve(process.argv[3]);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const folder = mkdtempSync(join(tmpdir(), "kubetriage-browser-"));
const executablePath = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);

let passed = 0;
let failed = 0;
const check = (what, right, more = "") => {
  if (right) { passed += 1; } else { failed += 1; console.log(`WRONG ${what} ${more}`); }
};
const equal = (what, seen, wanted) => check(what, seen === wanted, `: ${JSON.stringify(seen)} instead of ${JSON.stringify(wanted)}`);

const report = (name, inputs, ...more) => {
  const file = join(folder, `${name}.html`);
  execFileSync(program, ["report", ...inputs, "-q", "-o", file, ...more]);
  return file;
};

// What a page does besides showing itself.
const watch = (page) => {
  const seen = [];
  page.on("console", (message) => seen.push(`console ${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => seen.push(`error: ${error.message}`));
  page.on("dialog", (dialog) => { seen.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("popup", () => seen.push("popup"));
  page.on("request", (request) => {
    if (!request.url().startsWith("file:") && !request.url().startsWith("data:")) seen.push(`request: ${request.url()}`);
  });
  return seen;
};

const open = async (browser, file, options = {}) => {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const seen = watch(page);
  const own = [];
  page.on("request", (request) => own.push(request.url()));
  await page.goto(pathToFileURL(file).href);
  check("the page is one file", own.filter((url) => url.startsWith("file:")).length === 1, own.join(" "));
  return { context, page, seen };
};

const accessible = async (page, what) => {
  // Evaluated in the page by the tool, which the page's own policy does not hold back.
  await page.evaluate(axe);
  const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const told = result.violations.map((one) => `${one.id}: ${one.nodes.slice(0, 3).map((node) => node.target.join(" ")).join("; ")}`);
  check(`axe on ${what}`, told.length === 0, told.join(" | "));
};

// A bundle whose every text tries something.
const attacks = [
  "<script>alert(1)</script>", "<img src=x onerror=alert(2)>", "\"><svg/onload=alert(3)>", "javascript:alert(4)",
  "</style><script>alert(5)</script>", "{{7*7}}{% raw %}", "</script><script>alert(6)</script>", "<iframe src=http://evil.example>",
  "' onmouseover='alert(7)", "<base href=http://evil.example/>", "<meta http-equiv=refresh content='0;url=http://evil.example'>",
  "\u202egnp.exe", "<link rel=stylesheet href=http://evil.example/a.css>", "&lt;script&gt;alert(8)&lt;/script&gt;", "]]><script>alert(9)</script>",
];
const hostile = () => {
  const bundle = join(folder, "hostile");
  mkdirSync(bundle);
  const items = attacks.flatMap((attack, at) => [
    { apiVersion: "v1", kind: "Pod", metadata: { name: `p${at}${attack}`, namespace: `n${attack}`, labels: { app: attack } }, spec: { nodeName: attack, containers: [{ name: attack, image: attack }] }, status: { phase: "Running", conditions: [{ type: "Ready", status: "False" }], containerStatuses: [{ name: attack, ready: false, restartCount: 9, state: { waiting: { reason: "CrashLoopBackOff", message: attack } }, lastState: { terminated: { exitCode: 1, reason: attack, message: attack } } }] } },
    { apiVersion: "v1", kind: "Node", metadata: { name: attack }, status: { conditions: [{ type: "Ready", status: "Unknown", reason: attack, message: attack }] } },
    { apiVersion: "v1", kind: "Service", metadata: { name: `s${at}${attack}`, namespace: `n${attack}` }, spec: { selector: { app: `no ${attack}` }, clusterIP: "10.0.0.9", ports: [{ name: attack, port: 80, targetPort: attack }] } },
    { apiVersion: "v1", kind: "Event", metadata: { name: `e${at}`, namespace: attack }, type: "Warning", reason: "Failed", message: `Failed to pull image "x.azurecr.io/a:1": 401 Unauthorized ${attack}`, involvedObject: { kind: "Pod", name: attack, namespace: attack }, count: 3, firstTimestamp: "2026-11-23T09:00:00Z", lastTimestamp: "2026-11-23T10:00:00Z" },
  ]);
  writeFileSync(join(bundle, "objects.json"), JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  const denied = attacks.map((attack) => `E1123 09:00:00.000000       1 x.go:1] pods is forbidden: User "${attack.replaceAll('"', "")}" cannot list resource "pods" in API group "" in the namespace "${attack.replaceAll('"', "")}"`);
  writeFileSync(join(bundle, "x<img src=x onerror=alert(10)>.log"), denied.join("\n") + "\n");
  writeFileSync(join(bundle, "client.txt"), attacks.map((attack) => `Unable to connect to the server: dial tcp 20.1.2.3:443: i/o timeout ${attack}`).join("\n"));
  return bundle;
};

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
try {
  const sample = report("sample", [join(top, "samples/bundles/contoso-shop")]);
  const evil = report("hostile", [hostile()]);
  const empty = join(folder, "empty");
  mkdirSync(empty);
  writeFileSync(join(empty, "pods.json"), '{"apiVersion":"v1","kind":"PodList","items":[]}');
  const healthy = report("healthy", [empty]);

  for (const [name, file] of [["sample", sample], ["healthy", healthy], ["hostile", evil]]) {
    for (const colorScheme of ["light", "dark"]) {
      const { context, page, seen } = await open(browser, file, { colorScheme, viewport: { width: 1200, height: 900 } });
      await accessible(page, `${name}, ${colorScheme}`);
      for (const box of await page.locator("details.finding summary").all()) await box.focus();
      await page.waitForTimeout(150);
      equal(`${name}, ${colorScheme}: no request, no message, no dialog`, seen.join("; "), "");
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      check(`${name}: nothing sticks out at 1200`, wide <= 0, `by ${wide} pixels`);
      if (pictures) await page.screenshot({ path: join(pictures, `${name}-${colorScheme}.png`) });
      await context.close();
    }
  }

  // Dark is dark.
  {
    const { context, page } = await open(browser, sample, { colorScheme: "dark" });
    const background = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = background.match(/\d+/g).slice(0, 3).reduce((sum, part) => sum + Number(part), 0);
    check("dark mode has a dark background", light < 200, background);
    await context.close();
  }

  // The filter.
  {
    const { context, page } = await open(browser, sample);
    const shown = () => page.locator("details.finding:visible").count();
    const all = await shown();
    check("there are findings", all > 3, String(all));
    await page.fill("input[name=words]", "configmaps cart");
    const few = await shown();
    check("a search shows fewer", few > 0 && few < all, `${few} of ${all}`);
    check("the number is said", (await page.locator("#shown").textContent()).startsWith(`${few} of ${all}`));
    await page.click("#filter button[type=reset]");
    await page.waitForTimeout(50);
    equal("a reset shows all", await shown(), all);
    await page.selectOption("select[name=confidence]", "possible");
    check("confidence filters", (await shown()) < all);
    await page.selectOption("select[name=confidence]", "");
    const boxes = await page.locator("input[name=severity]").all();
    for (const box of boxes) await box.uncheck();
    equal("no severity, no finding", await shown(), 0);
    // A link to what is hidden shows it.
    const link = page.locator("ol.causes a").first();
    const id = (await link.getAttribute("href")).slice(1);
    await link.click();
    check("a deep link reveals its finding", await page.locator(`[id="${id}"]`).isVisible());
    for (const box of boxes) await box.check();
    await page.click("#filter button[data-open=true]");
    equal("all open", await page.locator("details.finding:not([open])").count(), 0);
    await page.click("#filter button[data-open=false]");
    equal("all closed", await page.locator("details.finding[open]").count(), 0);
    await page.fill("#object-search input", "cart");
    const rows = await page.locator("#objects-table tbody tr:visible").allTextContents();
    check("objects are searched", rows.length > 0 && rows.every((row) => row.toLowerCase().includes("cart")), rows.join("|"));
    await context.close();
  }

  // The copy buttons.
  {
    const { context, page } = await open(browser, sample, { permissions: ["clipboard-read", "clipboard-write"] });
    const block = page.locator("details.finding[open] pre.paste").first();
    await block.locator("xpath=preceding-sibling::button[1]").click();
    await page.waitForTimeout(100);
    const copied = await page.evaluate(() => navigator.clipboard.readText());
    equal("what is copied is what is shown", copied, await block.textContent());
    await context.close();
  }

  // Without script: everything can be read, nothing of the filter is there.
  {
    const { context, page, seen } = await open(browser, sample, { javaScriptEnabled: false });
    check("without script the filter is not shown", !(await page.locator("#filter").isVisible()));
    equal("without script there are no buttons", await page.locator("button:visible").count(), 0);
    const last = page.locator("details.finding").last();
    await last.locator("summary").first().click();
    check("without script a finding opens", await last.locator(".body").isVisible());
    const id = await page.locator("ol.causes a").last().getAttribute("href");
    await page.goto(pathToFileURL(sample).href + id);
    check("without script a link opens its finding", await page.locator(`[id="${id.slice(1)}"]`).isVisible());
    equal("without script: no message", seen.join("; "), "");
    await context.close();
  }

  // Narrow, on paper, by keyboard.
  {
    const { context, page } = await open(browser, sample, { viewport: { width: 390, height: 800 } });
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    check("nothing sticks out on a narrow screen", wide <= 0, `by ${wide} pixels`);
    if (pictures) await page.screenshot({ path: join(pictures, "sample-narrow.png") });
    await page.keyboard.press("Tab");
    equal("the first key leads past the head", await page.evaluate(() => document.activeElement.className), "skip");
    await page.emulateMedia({ media: "print" });
    await page.evaluate(() => window.dispatchEvent(new Event("beforeprint")));
    equal("on paper everything is open but the board", await page.locator("details:not([open]):not(.board)").count(), 0);
    check("on paper there is no filter", !(await page.locator("#filter").isVisible()));
    const pdf = await page.pdf({ format: "A4" });
    check("it prints", pdf.length > 20_000, String(pdf.length));
    if (pictures) writeFileSync(join(pictures, "sample.pdf"), pdf);
    await context.close();
  }

  // What the attacks tried is shown as text.
  {
    const { context, page } = await open(browser, evil);
    const text = await page.evaluate(() => document.body.textContent);
    check("the attacks are shown, not obeyed", text.includes("<img src=x onerror=alert(2)>") && text.includes("<script>alert(1)</script>"));
    equal("there is one script", await page.locator("script").count(), 1);
    for (const tag of ["iframe", "img", "base", "object", "embed", "link[rel=stylesheet]", "meta[http-equiv=refresh]"]) {
      equal(`there is no ${tag}`, await page.locator(tag).count(), 0);
    }
    check("reversed text is made visible", text.includes("\\u{202e}"));
    check("templates of a bundle are not run", !text.includes("p549"));
    await context.close();
  }
} finally {
  await browser.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
