// The dashboards as leaders, a practice and everybody meet them; prints a JSON line for each page and each finding.
import { browser, check, enter, look as lookAt, plan, print, skipToContent, tabTo, visitor as anybody } from "./pages.mjs";

const address = (path = "") => `${plan.base}${path}`;
const visitor = (more = {}) => anybody(new URL(plan.base).origin, more);

// One page, in whose plots no word is cut off.
async function look(page, state) {
  await lookAt(page, state);
  const cut = await page.evaluate(() => [...document.querySelectorAll("svg")].flatMap((svg) => {
    const room = svg.viewBox.baseVal;
    return [...svg.querySelectorAll("text")].filter((text) => {
      const box = text.getBBox();
      return box.x < -1 || box.x + box.width > room.width + 1;
    }).map((text) => text.textContent);
  }));
  check(cut.length === 0, `${state}: cut off: ${cut.slice(0, 5).join(", ")}`);
}

// From the top of the page to the definition of a figure, and to the numbers of a plot, without a mouse.
async function byKeyboard(page) {
  await page.goto(address());
  await skipToContent(page);
  if (await tabTo(page, (now) => now.tag === "SUMMARY", "the numbers of a plot")) {
    await page.keyboard.press("Enter");
    check(await page.evaluate(() => document.activeElement.parentElement.open), "the numbers of a plot do not open");
  }
  await page.locator("section.tile a").first().focus();
  await enter(page);
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
    ["waits", "/measures/waits"], ["cost", "/measures/cost-per-reliable-improvement"],
    ["report", "/report"], ["report-practice", "/report?practice=riverside"], ["thresholds", "/thresholds"],
    ["suggestions", "/suggestions"], ["minutes", "/minutes"], ["organisations", "/organisations"]]) {
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
  check(await page.locator("nav:visible").count() === 0, "what cannot be used on paper is printed");
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
