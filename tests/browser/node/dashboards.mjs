// The dashboards as leaders, a practice and everybody meet them; prints a JSON line for each page and each finding.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const axe = readFileSync(plan.axe, "utf8");
const TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const NARROW = { width: 320, height: 640 }, WIDE = { width: 1280, height: 900 };
const STOPS_MAX = 60;

const print = (line) => console.log(JSON.stringify(line));
const finding = (text) => print({ finding: text });
const check = (good, text) => { if (!good) finding(text); };
const origin = new URL(plan.base).origin;
const address = (path = "") => `${plan.base}${path}`;

const browser = await chromium.launch({
  executablePath: plan.chromium,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

async function visitor(more = {}) {
  const context = await browser.newContext({ locale: "en", viewport: WIDE, ...more });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  page.on("console", (message) => {
    if (/Content.Security.Policy/i.test(message.text())) finding(`refused by the policy: ${message.text()}`);
  });
  page.on("request", (request) => check(request.url().startsWith(origin), `a request leaves the site: ${request.url()}`));
  return page;
}

// One page: axe at two widths, no scrolling sideways, one first heading, and a picture if wanted.
async function look(page, state) {
  print({ looked: state });
  for (const size of [WIDE, NARROW]) {
    await page.setViewportSize(size);
    await page.evaluate(axe).catch(() => undefined);
    const { violations } = await page.evaluate((tags) => window.axe.run({ runOnly: tags }), TAGS);
    for (const each of violations) {
      finding(`${state} at ${size.width}: axe ${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    }
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    check(wide <= size.width, `${state}: ${wide} pixels wide at ${size.width}`);
    if (plan.pictures) await page.screenshot({ path: `${plan.pictures}/dashboard-${state}-${size.width}.png`, fullPage: true });
  }
  await page.setViewportSize(WIDE);
  check(await page.locator("h1").count() === 1, `${state}: not one first heading`);
  const cut = await page.evaluate(() => [...document.querySelectorAll("svg")].flatMap((svg) => {
    const room = svg.viewBox.baseVal;
    return [...svg.querySelectorAll("text")].filter((text) => {
      const box = text.getBBox();
      return box.x < -1 || box.x + box.width > room.width + 1;
    }).map((text) => text.textContent);
  }));
  check(cut.length === 0, `${state}: cut off: ${cut.slice(0, 5).join(", ")}`);
}

const focused = (page) => page.evaluate(() => {
  const at = document.activeElement, style = getComputedStyle(at);
  return { tag: at.tagName, text: (at.innerText || "").trim(), href: at.href ?? "", outline: style.outlineStyle !== "none" };
});

// From the top of the page to the definition of a figure, and to the numbers of a plot, without a mouse.
async function byKeyboard(page) {
  await page.goto(address());
  await page.keyboard.press("Tab");
  check((await focused(page)).text === "Skip to the content", "the first stop is not the skip link");
  await page.keyboard.press("Enter");
  let reached = false;
  for (let stop = 0; stop < STOPS_MAX && !reached; stop += 1) {
    await page.keyboard.press("Tab");
    const now = await focused(page);
    check(now.outline, `the focus cannot be seen at ${now.tag} ${now.text}`);
    if (now.tag === "SUMMARY") {
      await page.keyboard.press("Enter");
      check(await page.evaluate(() => document.activeElement.parentElement.open), "the numbers of a plot do not open");
      reached = true;
    }
  }
  check(reached, "the keyboard does not reach the numbers of a plot");
  await page.locator("section.tile a").first().focus();
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  check(await page.locator("dt", { hasText: "Source" }).count() > 0, "the definition of a figure is not one step away");
}

async function since(page) {
  await page.goto(address());
  await page.selectOption("#since", "2026-05");
  await Promise.all([page.waitForNavigation(), page.click("form.since button")]);
  check((await page.locator("h3", { hasText: "changed in May 26" }).count()) > 0, "a change is not shown");
  await look(page, "since");
}

try {
  const page = await visitor({ javaScriptEnabled: true });
  await page.goto(plan.link);
  check(page.url() === address(), "the link stays in the address bar");
  for (const [state, path] of [["region", ""], ["practice", "/practices/riverside"], ["measure", "/measures/reliable-recovery"],
    ["waits", "/measures/waits"], ["cost", "/measures/cost-per-reliable-improvement"]]) {
    const began = performance.now();
    const answer = await page.goto(address(path));
    await answer.body();
    print({ page: state, milliseconds: Math.round(performance.now() - began) });
    check(answer.status() === 200, `${state}: ${answer.status()}`);
    await look(page, state);
  }
  await byKeyboard(page);
  await since(page);
  for (const language of ["de", "es", "fr"]) {
    await page.goto(address(`?language=${language}`));
    await look(page, `region-${language}`);
  }
  await page.goto(address());
  await page.emulateMedia({ media: "print" });
  check(await page.locator("nav").isHidden(), "what cannot be used on paper is printed");
  if (plan.pictures) await page.pdf({ path: `${plan.pictures}/dashboard.pdf`, format: "A4" });
  const open = await visitor({ javaScriptEnabled: false });
  const answer = await open.goto(address(`/public/${plan.tenant}`));
  check(answer.status() === 200, `the page for everybody: ${answer.status()}`);
  const closed = await open.goto(address());
  check(closed.status() === 401, "leaders' figures are open to everybody");
  const everybody = await visitor();
  await everybody.goto(address(`/public/${plan.tenant}`));
  await look(everybody, "public");
  await everybody.goto(address());
  await look(everybody, "refused");
} finally {
  await browser.close();
}
