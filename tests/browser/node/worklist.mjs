// The worklist as a coordinator meets it; prints a JSON line for each page that was looked at and each finding.
import { browser, check, enter, finding, focused, look as lookAt, plan, skipToContent, tabTo, visitor } from "./pages.mjs";

const LISTS = ["messages", "decisions", "overdue", "promises", "unbooked", "missed", "barriers", "unanswered", "queues", "load"];
const base = new URL(plan.links[0]);
const address = (path = "") => `${base.origin}/referral/worklist${path}`;

async function coordinator(link, more = {}) {
  const page = await visitor(base.origin, more);
  await page.goto(link);
  check(page.url() === address(), "the link stays in the address bar");
  return page;
}

async function look(page, state) {
  await lookAt(page, state);
  check(!page.url().includes(plan.name.split(" ")[0]), `${state}: somebody is named in the address`);
}

async function pages(page) {
  await look(page, "today");
  for (const name of LISTS) {
    await page.goto(address(`/${name}`));
    await look(page, name);
  }
  await page.goto(address("/queues"));
  await page.locator("tbody a").first().click();
  await look(page, "queue");
  for (const name of ["messages", "decisions", "missed"]) {
    await page.goto(address(`/${name}`));
    const first = page.locator("tbody a").first();
    check(await first.count() === 1, `nothing stands on ${name}`);
    if (await first.count() === 1) {
      await first.click();
      await look(page, `line-${name}`);
    }
  }
  await page.goto(address(`/lines/${plan.declined}`));
  await page.locator("summary", { hasText: "Decline" }).click();
  await page.selectOption("#decline-reason", "no-capacity");
  await look(page, "declining");
}

// From the top of the page to an accepted referral and a booked appointment, without a mouse.
async function byKeyboard(page) {
  await page.goto(address("/queues"));
  await skipToContent(page);
  await tabTo(page, (now) => now.href.includes("/queues/default-tier-3") || now.href.includes("/queues/"), "a queue");
  await enter(page);
  await page.goto(address(`/lines/${plan.requested}`));
  await skipToContent(page);
  await tabTo(page, (now) => now.tag === "SUMMARY" && now.text === "Accept", "to accept");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.type("Welcome");
  await page.keyboard.press("Tab");
  check((await focused(page)).text === "Accept", "the button does not follow its field");
  await enter(page);
  check((await page.locator("[role=status]").innerText()).includes("Accept"), "nothing says that it is accepted");
  await look(page, "accepted");
  await tabTo(page, (now) => now.name === "slot", "a free time");
  await page.keyboard.press("Space");
  await tabTo(page, (now) => now.name === "overtaking", "why this person goes first");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  await tabTo(page, (now) => now.tag === "BUTTON" && now.text === "Book an appointment", "to book");
  await enter(page);
  check(await page.locator("dd", { hasText: "with an appointment" }).count() === 1, "it is not booked");
  await look(page, "booked");
}

// A rule refuses: it says so where the focus is, and what was filled in is still there.
async function refused(page) {
  await page.goto(address(`/lines/${plan.declined}`));
  await page.locator("summary", { hasText: "Take back" }).click().catch(() => undefined);
  const form = page.locator("form", { has: page.locator("input[value=decline]") });
  await page.locator("summary", { hasText: "Decline" }).click();
  await page.fill("#decline-words", "Full until spring");
  await page.$eval("#decline-reason", (select) => select.removeAttribute("required"));
  await Promise.all([page.waitForNavigation(), form.locator("button").click()]);
  check(await page.locator("[role=alert]").count() === 1, "nothing says why it was refused");
  check(await page.inputValue("#decline-words") === "Full until spring", "what was filled in is gone");
  await look(page, "refused");
}

try {
  const page = await coordinator(plan.links[0]);
  await pages(page);
  await byKeyboard(page);
  await refused(page);
  const plain = await coordinator(plan.links[1], { javaScriptEnabled: false });
  await plain.goto(address("/messages"));
  await plain.locator("tbody a").first().click();
  await plain.fill("#message-words", "It begins on Monday. Until then you can call us from 8 to 18.");
  await Promise.all([plain.waitForNavigation(), plain.locator("button", { hasText: "Answer" }).click()]);
  check(await plain.locator("[role=status]").count() === 1, "nothing is sent without scripts");
  const dark = await coordinator(plan.links[2], { colorScheme: "dark", locale: "de" });
  await look(dark, "dark");
  await dark.goto(address(`/lines/${plan.declined}`));
  await look(dark, "dark-line");
  const more = await coordinator(plan.links[3], { contrast: "more", forcedColors: "none" });
  await look(more, "contrast");
  await more.emulateMedia({ media: "print" });
  if (plan.pictures) await more.screenshot({ path: `${plan.pictures}/worklist-print.png`, fullPage: true });
  check(await more.locator("nav").isHidden(), "what cannot be used on paper is printed");
  await more.emulateMedia({ media: "screen" });
  await Promise.all([more.waitForNavigation(), more.locator("button", { hasText: "Sign out" }).click()]);
  await look(more, "signed-out");
  await more.goto(address());
  check(await more.locator("table").count() === 0, "who has signed out still sees the worklist");
} finally {
  await browser.close();
}
