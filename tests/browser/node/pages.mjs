// What the walks through our pages share: the plan, a browser whose requests stay on the site, one look at a page, the keyboard.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

export const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const axe = readFileSync(plan.axe, "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
export const NARROW = { width: 320, height: 640 }, WIDE = { width: 1280, height: 900 };
const STOPS_MAX = 120;

export const print = (line) => console.log(JSON.stringify(line));
export const finding = (text) => print({ finding: text });
export const check = (good, text) => { if (!good) finding(text); };

export const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

// Somebody with a browser of their own; a script that fails and a request that leaves the site are findings.
export async function visitor(origin, more = {}) {
  const context = await browser.newContext({ locale: "en", viewport: WIDE, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("pageerror", (error) => finding(`a script failed: ${error.message}`));
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) finding(`refused by the policy: ${message.text()}`);
  });
  page.on("request", (request) => check(request.url().startsWith(origin), `a request leaves the site: ${request.url()}`));
  return page;
}

// One state of a page: axe at two widths, no scrolling sideways, one first heading, and a picture if wanted.
export async function look(page, state) {
  print({ looked: state });
  const before = page.viewportSize();
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    await page.evaluate(axe).catch(() => undefined);
    const { violations } = await page.evaluate((tags) => window.axe.run({ runOnly: tags }), TAGS);
    for (const each of violations) {
      finding(`${state} at ${size.width}: axe ${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= size.width, `${state}: ${wide} pixels wide at ${size.width}`);
    if (plan.pictures) await page.screenshot({ path: `${plan.pictures}/${plan.walk}-${state}-${size.width}.png`, fullPage: true });
  }
  await page.setViewportSize(before);
  check(await page.locator("h1").count() === 1, `${state}: not one first heading`);
}

// What has the focus, and whether that can be seen.
export const focused = (page) => page.evaluate(() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return { tag: at.tagName, text: (at.innerText || at.value || "").trim().slice(0, 60), name: at.name ?? "", href: at.href ?? "",
    outline: style.outlineStyle !== "none" || at.tagName === "BODY" };
});

// Tab until something has the focus; everything on the way shows that it has it.
export async function tabTo(page, wanted, what) {
  for (let stop = 0; stop < STOPS_MAX; stop += 1) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    check(now.outline, `the focus cannot be seen at ${now.tag} ${now.text}`);
    if (wanted(now)) return true;
  }
  finding(`the keyboard does not reach ${what}`);
  return false;
}

// From the top of a page past its navigation, as the first stop offers.
export async function skipToContent(page) {
  await page.keyboard.press("Tab");
  check((await focused(page)).text === "Skip to the content", "the first stop is not the skip link");
  await page.keyboard.press("Enter");
}

export const enter = (page) => Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
