// npm fhirclient (SMART on FHIR): its client on a server, with a token that it is handed as after a launch.
// Known of 2.6.3: its patch asks for "return=presentation", which no server knows, and takes what it gets.

import smart from "fhirclient";

import { accessToken, resourcesOf, run } from "./journey.mjs";

await run(async (plan) => {
  const request = { url: "/", headers: {}, socket: {} };
  const client = smart(request, {}, {}).client({
    serverUrl: plan.baseUrl,
    tokenResponse: { token_type: "Bearer", access_token: await accessToken(plan) },
  });
  const query = (parameters) => new URLSearchParams(parameters).toString();
  return {
    metadata: () => client.request("metadata"),
    create: (resource) => client.create(resource),
    read: (resourceType, id) => client.request(`${resourceType}/${id}`),
    vread: (resourceType, id, version) => client.request(`${resourceType}/${id}/_history/${version}`),
    update: (resource, version) => client.update(resource, { headers: { "If-Match": version } }),
    createIfNoneExist: (resource, criteria) => client.create(resource, { headers: { "If-None-Exist": criteria } }),
    patch: (resourceType, id, operations) => client.patch(`${resourceType}/${id}`, operations),
    search: (resourceType, parameters) => client.request(`${resourceType}?${query(parameters)}`),
    async pages(resourceType, parameters) {
      const pages = [];
      for await (const page of client.pages(`${resourceType}?${query(parameters)}`)) pages.push(resourcesOf(page));
      return pages;
    },
    history: (resourceType, id) => client.request(`${resourceType}/${id}/_history`),
    transaction: (bundle) =>
      client.request({
        url: plan.baseUrl,
        method: "POST",
        body: JSON.stringify(bundle),
        headers: { "content-type": "application/fhir+json" },
      }),
    remove: (resourceType, id) => client.delete(`${resourceType}/${id}`),
    refusal: (error) => ({ status: error.status, outcome: outcomeIn(error.message) }),
  };
});

/** It appends the body of an error to its message. */
function outcomeIn(message) {
  const start = message.indexOf("{");
  return start < 0 ? undefined : JSON.parse(message.slice(start));
}
