// npm fhir-kit-client: finds the token endpoint by SMART discovery, and takes the token as a bearer.

import { Client } from "fhir-kit-client";

import { accessToken, resourcesOf, run } from "./journey.mjs";

const headers = (given) => ({ options: { headers: given } });

await run(async (plan) => {
  const client = new Client({ baseUrl: plan.baseUrl });
  const { tokenUrl } = await client.smartAuthMetadata();
  client.bearerToken = await accessToken(plan, tokenUrl);
  return {
    metadata: () => client.capabilityStatement(),
    create: (body) => client.create({ resourceType: body.resourceType, body }),
    read: (resourceType, id) => client.read({ resourceType, id }),
    vread: (resourceType, id, version) => client.vread({ resourceType, id, version }),
    update: (body, version) =>
      client.update({ resourceType: body.resourceType, id: body.id, body, ...headers({ "If-Match": version }) }),
    createIfNoneExist: (body, criteria) =>
      client.create({ resourceType: body.resourceType, body, ...headers({ "If-None-Exist": criteria }) }),
    patch: (resourceType, id, jsonPatch) => client.patch({ resourceType, id, jsonPatch }),
    search: (resourceType, searchParams) => client.search({ resourceType, searchParams }),
    async pages(resourceType, searchParams) {
      const pages = [];
      let bundle = await client.search({ resourceType, searchParams });
      while (bundle) {
        pages.push(resourcesOf(bundle));
        bundle = await client.nextPage({ bundle });
      }
      return pages;
    },
    history: (resourceType, id) => client.history({ resourceType, id }),
    transaction: (body) => client.transaction({ body }),
    remove: (resourceType, id) => client.delete({ resourceType, id }),
    refusal: (error) => ({ status: error.response?.status, outcome: error.response?.data }),
  };
});
