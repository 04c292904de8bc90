// What every npm client does at each of the four services, in the same order as journey.py has it for Python's.
// A session offers the calls that its client has; a call that it has not is reported as absent.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const FIRST = 'W/"1"';

const STEPS = {
  async metadata({ plan, session }) {
    const statement = await session.metadata();
    assert.equal(statement.resourceType, "CapabilityStatement");
    assert.equal(statement.fhirVersion, "4.0.1");
    assert.ok(statement.rest[0].resource.some((each) => each.type === plan.type));
  },
  async create({ plan, session, kept }) {
    kept.created = await session.create(plan.resources[0]);
    assert.ok(kept.created.id);
    assert.equal(kept.created.meta.versionId, "1");
  },
  async read({ plan, session, kept }) {
    const found = await session.read(plan.type, kept.created.id);
    assert.deepEqual(found, kept.created);
  },
  async vread({ plan, session, kept }) {
    const found = await session.vread(plan.type, kept.created.id, "1");
    assert.deepEqual(found, kept.created);
  },
  async update({ plan, session, kept }) {
    kept.updated = await session.update({ ...kept.created, ...plan.change }, FIRST);
    assert.equal(kept.updated.meta.versionId, "2");
    for (const [element, value] of Object.entries(plan.change)) assert.deepEqual(kept.updated[element], value);
  },
  async "stale update"({ plan, session, kept }) {
    await refused(session, 412, () => session.update({ ...kept.created, ...plan.change }, FIRST));
  },
  async "conditional create"({ plan, session, kept }) {
    const first = await session.createIfNoneExist(plan.conditional.resource, plan.conditional.criteria);
    const second = await session.createIfNoneExist(plan.conditional.resource, plan.conditional.criteria);
    assert.equal(second.id, first.id);
    assert.equal(second.meta.versionId, "1");
    assert.notEqual(first.id, kept.created.id);
  },
  async patch({ plan, session, kept }) {
    const patched = await session.patch(plan.type, kept.created.id, plan.patch.operations);
    assert.equal(Number(patched.meta.versionId), 1 + Number((kept.updated ?? kept.created).meta.versionId));
    for (const [element, value] of Object.entries(plan.patch.result)) assert.deepEqual(patched[element], value);
  },
  async search({ plan, session, kept }) {
    for (const resource of plan.resources.slice(1)) await session.create(resource);
    const bundle = await session.search(plan.type, { ...plan.search, _total: "accurate" });
    assert.equal(bundle.type, "searchset");
    kept.ids = bundle.entry.map((entry) => entry.resource.id).sort();
    assert.equal(bundle.total, kept.ids.length);
    assert.ok(kept.ids.length >= plan.resources.length);
    assert.ok(kept.ids.includes(kept.created.id));
  },
  async pages({ plan, session, kept }) {
    const pages = await session.pages(plan.type, { ...plan.search, _count: "2" });
    assert.equal(pages.length, Math.ceil(kept.ids.length / 2));
    assert.ok(pages.every((page) => page.length <= 2));
    assert.deepEqual(pages.flat().map((resource) => resource.id).sort(), kept.ids);
  },
  async include({ plan, session }) {
    const bundle = await session.search(plan.include.type, plan.include.search);
    const modes = (mode) => bundle.entry.filter((entry) => entry.search.mode === mode);
    assert.ok(modes("match").every((entry) => entry.resource.resourceType === plan.include.type));
    assert.ok(modes("include").some((entry) => entry.resource.resourceType === plan.include.included));
  },
  async history({ plan, session, kept }) {
    const bundle = await session.history(plan.type, kept.created.id);
    assert.equal(bundle.type, "history");
    const versions = bundle.entry.map((entry) => Number(entry.resource.meta.versionId));
    assert.equal(versions.at(-1), 1);
    assert.deepEqual(versions, [...versions].sort((a, b) => b - a));
  },
  async transaction({ plan, session }) {
    const bundle = await session.transaction(plan.transaction);
    assert.equal(bundle.type, "transaction-response");
    assert.deepEqual(bundle.entry.map((entry) => entry.response.status.slice(0, 3)), plan.transactionStatuses);
  },
  async delete({ plan, session }) {
    await session.remove("Subscription", plan.deletable);
    await refused(session, 410, () => session.read("Subscription", plan.deletable));
  },
  async refusal({ plan, session }) {
    const outcome = await refused(session, 400, () => session.create(plan.refused.resource));
    if (outcome.issue[0].expression) assert.deepEqual(outcome.issue[0].expression, [plan.refused.expression]);
  },
};

/** The OperationOutcome with which the call is refused; a client that hides the status says undefined. */
async function refused(session, status, call) {
  let error;
  try {
    await call();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error, `expected ${status}`);
  const surfaced = await session.refusal(error);
  if (surfaced.status !== undefined) assert.equal(surfaced.status, status);
  assert.equal(surfaced.outcome?.resourceType, "OperationOutcome", `no OperationOutcome in: ${error.message}`);
  assert.ok(surfaced.outcome.issue.length > 0);
  return surfaced.outcome;
}

const CALLS = {
  "stale update": "update",
  "conditional create": "createIfNoneExist",
  include: "search",
  delete: "remove",
  refusal: "create",
};

/**
 * Runs the steps of the plan whose file is named on the command line, one JSON line for each.
 * `open(plan)` asks for a token and gives a session; `defects` says by step what is known to be the client's own fault.
 */
export async function run(open, defects = {}) {
  const plans = JSON.parse(await readFile(process.argv[2], "utf8"));
  for (const plan of plans) {
    const kept = {};
    let session;
    await step(plan, "token", defects, async () => {
      session = await open(plan);
    });
    if (!session) continue;
    for (const [name, check] of Object.entries(STEPS)) {
      if (session[CALLS[name] ?? name] === undefined) report(plan, name, "absent");
      else await step(plan, name, defects, () => check({ plan, session, kept }));
    }
  }
}

async function step(plan, name, defects, check) {
  const defect = defects[name];
  try {
    await check();
    report(plan, name, defect ? "failed" : "passed", defect && `no defect any more: ${defect}`);
  } catch (error) {
    report(plan, name, defect ? "defect" : "failed", defect ?? String(error.stack ?? error).slice(0, 700));
  }
}

function report(plan, name, verdict, detail) {
  process.stdout.write(`${JSON.stringify({ service: plan.service, step: name, verdict, detail })}\n`);
}

/** An access token by client_credentials, for clients that only take one. */
export async function accessToken(plan, tokenUrl = plan.tokenUrl) {
  const answer = await fetch(tokenUrl, {
    method: "POST",
    body: new URLSearchParams({
      grant_type: "client_credentials",
      client_assertion_type: "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
      client_assertion: plan.assertion,
    }),
  });
  assert.equal(answer.status, 200);
  return (await answer.json()).access_token;
}

/** The resources of a searchset. */
export function resourcesOf(bundle) {
  return (bundle.entry ?? []).map((entry) => entry.resource);
}
