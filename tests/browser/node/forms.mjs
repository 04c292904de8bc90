// The form pages as a person meets them, in every state; prints a JSON line for each state and each finding.
import { browser, check, finding, look, NARROW, plan, print, visitor as anybody } from "./pages.mjs";

const BYTES_MAX = 50_000;
const visitor = (language, more = {}) => anybody(new URL(plan.unknown).origin, { locale: language, viewport: NARROW, ...more });

const saved = (page) => page.waitForFunction(() => {
  const form = document.getElementById("form");
  return document.getElementById("status").textContent === form.dataset.saved;
});
const press = (page, value) => Promise.all([page.waitForLoadState(), page.click(`button[value="${value}"]`)]);

// Every question of the page, answered by clicking the words of its options.
async function fill(page, weights) {
  for (const [index, weight] of weights.entries()) {
    await page.locator(`#q${index + 1} .choices label`).nth(weight).click();
  }
}

async function whole(language, [link, later]) {
  const page = await visitor(language);
  let bytes = 0;
  page.on("response", async (response) => { bytes += (await response.body().catch(() => "")).length; });
  await page.goto(link);
  check(!page.url().includes("open"), "the link stays in the address bar");
  check(await page.getAttribute("html", "lang") === language, `${language}: the page says another language`);
  check(await page.locator("[lang]:not(html, button, footer *, #help *, .contacts *)").count() === 0,
    `${language}: the questions are in another language`);
  await look(page, `start-${language}`);
  check(bytes < BYTES_MAX, `${language}: ${bytes} bytes to begin`);
  print({ bytes: { [language]: bytes } });

  await page.locator("#q1 .choices label").nth(1).click();
  await saved(page);
  check(await page.locator("#help").isHidden(), `${language}: help is shown without a reason`);
  await press(page, "send");
  check(await page.evaluate(() => document.activeElement.id) === "notice", "the notice has not the focus");
  await look(page, `blank-${language}`);

  await fill(page, plan.weights);
  await page.locator("#help").waitFor({ state: "visible" });
  check(await page.locator("#help a[href^='tel:']").count() > 0, `${language}: help without a number`);
  await look(page, `concern-${language}`);
  await press(page, "print:large");
  await look(page, `large-${language}`);
  await press(page, "send");
  await look(page, `summary-${language}`);
  check(await page.locator("#help").isVisible(), `${language}: the summary does not show help`);
  await page.goto(link);
  await look(page, `spent-${language}`);
  await back(page, language, later);
}

// Leaves a form, comes back, is not known at first, and then goes on.
async function back(page, language, link) {
  await page.goto(link);
  await page.locator("#q2 .choices label").nth(2).click();
  await saved(page);
  await press(page, "stop");
  await look(page, `stopped-${language}`);
  await page.goto(link);
  check(await page.locator("input[type=radio]").count() === 0, "answers are shown before anything is proved");
  await look(page, `verify-${language}`);
  await page.fill("#year", "1979");
  await press(page, "verify");
  await look(page, `verify-wrong-${language}`);
  for (const [name, value] of Object.entries(plan.born)) await page.fill(`#${name}`, value);
  await press(page, "verify");
  check(await page.locator("#q2 input").nth(2).isChecked(), "what was answered is not shown to its person");
  await page.context().close();
}

// The same without a mouse: Tab and arrows reach and choose, the focus is seen, Enter sends.
async function byKeyboard(link) {
  const page = await visitor("en");
  await page.goto(link);
  const focused = () => page.evaluate(() => {
    const { id, name, value } = document.activeElement;
    const style = getComputedStyle(document.activeElement.closest("label") ?? document.activeElement);
    return { id, name, value, outline: style.outlineStyle };
  });
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.className) === "skip", "the first stop is not the skip link");
  await page.keyboard.press("Enter");
  const seen = new Set();
  for (let step = 0; step < 60 && (await focused()).value !== "send"; step += 1) {
    await page.keyboard.press("Tab");
    const now = await focused();
    check(now.outline !== "none", `the focus cannot be seen at ${now.id || now.value}`);
    if (now.name?.startsWith("q.") && !seen.has(now.name)) {
      seen.add(now.name);
      await page.keyboard.press("Space");
      await page.keyboard.press("ArrowDown");
    }
  }
  check(seen.size === plan.weights.length, `the keyboard reaches ${seen.size} questions`);
  await saved(page);
  await Promise.all([page.waitForNavigation(), page.keyboard.press("Enter")]);
  check(await page.locator("#form").count() === 0, "the keyboard does not send");
  await page.context().close();
}

// Without scripts everything works by sending the page.
async function withoutScripts(link) {
  const page = await visitor("en", { javaScriptEnabled: false });
  await page.goto(link);
  await fill(page, plan.weights);
  await press(page, "send");
  check(await page.locator("#help").isVisible(), "no help without scripts");
  check(await page.locator("#form").count() === 0, "nothing is sent without scripts");
  await page.context().close();
}

// Every other form: all kinds of questions, follow-ups that come and go, and what is said of fields that make no sense.
async function others(links) {
  const page = await visitor("de");
  for (const [index, link] of links.entries()) {
    await page.goto(link);
    const name = new URL(page.url()).pathname.split("/").pop();
    await look(page, `form-${name}`);
    for (const field of await page.locator("input[inputmode], textarea").all()) {
      if (await field.isVisible()) await field.fill("x y");
    }
    for (const group of await page.locator(".choices").all()) {
      if (await group.isVisible()) await group.locator("label").last().click();
    }
    await saved(page).catch(() => finding(`${name}: is not saved`));
    await look(page, `filled-${name}`);
    await press(page, "send");
    await look(page, `sent-${name}`);
    print({ other: index, name });
  }
  await page.context().close();
}

try {
  for (const [language, links] of Object.entries(plan.links)) await whole(language, links);
  await byKeyboard(plan.keyboard);
  await withoutScripts(plan.without_scripts);
  await others(plan.other);
  const page = await visitor("en");
  for (const [state, link] of [["expired", plan.expired], ["unknown", plan.unknown]]) {
    await page.goto(link);
    await look(page, state);
  }
} finally {
  await browser.close();
}
