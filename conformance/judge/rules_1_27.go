package main

import (
	"errors"
	"fmt"
	"slices"
	_ "unsafe" // for go:linkname

	"gitea.dev/modules/actions"
	"gitea.dev/modules/actions/jobparser"
	"gitea.dev/modules/git"
	api "gitea.dev/modules/structs"
	wh "gitea.dev/modules/webhook"
)

//go:linkname detectWorkflowMatch gitea.dev/modules/actions.detectWorkflowMatch
func detectWorkflowMatch(repo *git.Repository, commit *git.Commit, event wh.HookEventType, payload api.Payloader, on *jobparser.Event) int

func matches(repo *git.Repository, commit *git.Commit, event wh.HookEventType, payload api.Payloader, on *jobparser.Event) bool {
	return detectWorkflowMatch(repo, commit, event, payload, on) == 0
}

func nameOfBase(base *api.PRBranchInfo) string { return base.Ref }

// runNumbers are the id and number of a run when its jobs are made.
func runNumbers() (id, number string) { return "70", "7" }

const expandsCalls = true

// What other repositories hold is no part of a case.
var errElsewhere = errors.New("it is in another repository")

// How deep calls may go, and how many jobs a run may have with what it calls.
const (
	callsMax = 9
	jobsMax  = 256
)

// called are the jobs of the workflow that a job calls (insertRunJob, processInlineReusableCaller). Where
// the call fails there is no run at all, unless the caller waits for others: then it fails alone, later.
func (m *runMaker) called(caller Job, payload []byte) ([]Job, error) {
	call := call{maker: m, context: m.context, inputs: map[string]any{}, left: jobsMax}
	jobs, err := call.jobs(caller, payload)
	if errors.Is(err, errElsewhere) {
		caller.Elsewhere = true
		return []Job{caller}, nil
	}
	if len(caller.Needs) > 0 {
		return jobs, nil
	}
	return jobs, err
}

// call is the place of a calling job: what its expressions see.
type call struct {
	maker   *runMaker
	context map[string]any
	inputs  map[string]any
	chain   []string
	left    int
}

func (c *call) jobs(caller Job, payload []byte) ([]Job, error) {
	job, err := stored(payload)
	if err != nil {
		return nil, err
	}
	ofJob := map[string]any{}
	for key, value := range c.context {
		ofJob[key] = value
	}
	ofJob["job"] = caller.ID
	// The `if` of one that waits for others is evaluated when those have ended.
	if job.If.Value != "" && len(caller.Needs) == 0 {
		starts, err := jobparser.EvaluateJobIfExpression(caller.ID, job, ofJob, own(caller), c.maker.Vars, c.inputs)
		if err != nil || !starts {
			return nil, err
		}
	}
	return c.expand(caller, job, ofJob)
}

// expand is expandReusableWorkflowCaller, for workflows of the same repository.
func (c *call) expand(caller Job, job *jobparser.Job, context map[string]any) ([]Job, error) {
	if len(c.chain) > callsMax || slices.Contains(c.chain, job.Uses) {
		return nil, fmt.Errorf("calls %q too deep, or in a circle", job.Uses)
	}
	uses, err := jobparser.ParseUses(job.Uses)
	if err != nil {
		return nil, err
	}
	if !actions.IsWorkflowOrScopedWorkflow(uses.Path) {
		return nil, fmt.Errorf("%q is in no folder of workflows", uses.Path)
	}
	content, err := c.maker.calledFile(uses)
	if err != nil {
		return nil, err
	}
	spec, err := jobparser.ParseWorkflowCallSpec(content)
	if err != nil {
		return nil, err
	}
	inherit, secrets, err := jobparser.ParseCallerSecrets(job.RawSecrets)
	if err != nil {
		return nil, err
	}
	if !inherit {
		if err := jobparser.ValidateCallerSecrets(spec, secrets); err != nil {
			return nil, err
		}
	}
	inputs := map[string]any{}
	if len(spec.Inputs) > 0 {
		given, err := jobparser.EvaluateCallerWith(caller.ID, job, context, own(caller), c.maker.Vars, c.inputs)
		if err != nil {
			return nil, err
		}
		if inputs, err = jobparser.MatchCallerInputsAgainstSpec(spec, given); err != nil {
			return nil, err
		}
	}
	return c.children(caller, job.Uses, content, inputs)
}

// children is insertCallerChildren; those that call others are expanded in their turn.
func (c *call) children(caller Job, uses string, content []byte, inputs map[string]any) ([]Job, error) {
	inner := &call{maker: c.maker, context: map[string]any{}, inputs: inputs, chain: append(slices.Clone(c.chain), uses)}
	for key, value := range c.maker.context {
		inner.context[key] = value
	}
	event := map[string]any{}
	if outer, ok := c.maker.context["event"].(map[string]any); ok {
		for key, value := range outer {
			event[key] = value
		}
	}
	event["inputs"] = inputs
	inner.context["event"], inner.context["event_name"] = event, "workflow_call"
	maker := &runMaker{Case: c.maker.Case, context: inner.context, files: c.maker.files}
	parsed, err := jobparser.Parse(content, jobparser.WithVars(maker.Vars), jobparser.WithGitContext(maker.github()), jobparser.WithInputs(inputs))
	if err != nil {
		return nil, err
	}
	if len(parsed) == 0 || len(parsed) > c.left {
		return nil, fmt.Errorf("%q has no jobs, or too many", uses)
	}
	inner.left = c.left - len(parsed)
	var jobs []Job
	for _, single := range parsed {
		id, job := single.Job()
		needs := job.Needs()
		if err := single.SetJob(id, job.EraseNeeds()); err != nil {
			return nil, err
		}
		payload, err := single.Marshal()
		if err != nil {
			return nil, err
		}
		child := below(caller, jobOf(id, needs, job))
		if job.Uses == "" {
			jobs = append(jobs, child)
			continue
		}
		// A call that fails in here fails alone.
		called, err := inner.jobs(child, payload)
		if errors.Is(err, errElsewhere) {
			child.Elsewhere = true
			called = []Job{child}
		}
		jobs = append(jobs, called...)
	}
	return jobs, nil
}

// calledFile is a file of the same commit.
func (m *runMaker) calledFile(uses *jobparser.UsesRef) ([]byte, error) {
	if uses.Kind == jobparser.UsesKindLocalSameRepo {
		for _, file := range m.files {
			if m.Folder+"/"+file.Name == uses.Path {
				return file.Content[:min(len(file.Content), fileMaxBytes)], nil
			}
		}
	}
	if uses.Kind != jobparser.UsesKindLocalSameRepo {
		return nil, errElsewhere
	}
	return nil, fmt.Errorf("there is no %q", uses.Path)
}

// starts is evaluateJobIf.
func (m *runMaker) starts(made Job, payload []byte, succeeded bool, results map[string]*jobparser.JobResult) (bool, error) {
	job, err := stored(payload)
	if err != nil {
		return false, err
	}
	if job.If.Value == "" {
		return succeeded, nil
	}
	return jobparser.EvaluateJobIfExpression(made.ID, job, m.ofJob(made.ID), results, m.Vars, map[string]any{})
}

func continues(job *jobparser.Job) bool { return job.GetContinueOnError() }
