// npm @medplum/core: MedplumClient at a foreign base URL, logging in with the assertion itself.

import { MedplumClient } from "@medplum/core";

import { run } from "./journey.mjs";

await run(async (plan) => {
  const url = new URL(plan.baseUrl);
  const client = new MedplumClient({ baseUrl: url.origin, fhirUrlPath: url.pathname.slice(1), tokenUrl: plan.tokenUrl });
  await client.startJwtAssertionLogin(plan.assertion);
  const fresh = { cache: "reload" };
  return {
    metadata: () => client.get(client.fhirUrl("metadata"), fresh),
    create: (resource) => client.createResource(resource),
    read: (resourceType, id) => client.readResource(resourceType, id, fresh),
    vread: (resourceType, id, version) => client.readVersion(resourceType, id, version, fresh),
    update: (resource, version) => client.updateResource(resource, { headers: { "If-Match": version } }),
    createIfNoneExist: (resource, criteria) => client.createResourceIfNoneExist(resource, criteria),
    patch: (resourceType, id, operations) => client.patchResource(resourceType, id, operations),
    search: (resourceType, parameters) => client.search(resourceType, parameters, fresh),
    async pages(resourceType, parameters) {
      const pages = [];
      for await (const page of client.searchResourcePages(resourceType, parameters, fresh)) pages.push([...page]);
      return pages;
    },
    history: (resourceType, id) => client.readHistory(resourceType, id, {}, fresh),
    transaction: (bundle) => client.executeBatch(bundle),
    remove: (resourceType, id) => client.deleteResource(resourceType, id),
    // It throws the OperationOutcome and keeps the status to itself.
    refusal: (error) => ({ status: undefined, outcome: error.outcome }),
  };
});
