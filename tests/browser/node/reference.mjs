// The reference of each service as an integrator meets it; prints a JSON line for each page and each finding.
import { browser, check, plan, print, visitor } from "./pages.mjs";

try {
  for (const [service, url] of Object.entries(plan.pages)) {
    const page = await visitor(new URL(url).origin);
    await page.goto(`${url}?url=https://elsewhere.example/openapi.json`);
    await page.locator(".opblock").first().waitFor().catch(() => check(false, `${service}: no operation is shown`));
    print({ looked: service });
    check((await page.locator("h2.title, h1.title").first().innerText()).toLowerCase().includes(service), `${service}: another title`);
    check(await page.locator(".opblock").count() > 20, `${service}: few operations are shown`);
    const post = page.locator(".opblock-post").first();
    await post.locator("button.opblock-summary-control").click();
    await post.locator(".opblock-body .example, .opblock-body .highlight-code").first().waitFor()
      .catch(() => check(false, `${service}: an operation shows no example`));
    if (plan.pictures) await page.screenshot({ path: `${plan.pictures}/reference-${service}.png` });
    await page.context().close();
  }
} finally {
  await browser.close();
}
