package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"gitea.com/gitea/runner/act/model"
	"go.yaml.in/yaml/v4"

	"gitea.dev/modules/actions"
	"gitea.dev/modules/actions/jobparser"
	"gitea.dev/modules/git"
	api "gitea.dev/modules/structs"
	"gitea.dev/modules/util"
	wh "gitea.dev/modules/webhook"
)

// Gitea reads this much of a workflow file, and takes it for the whole (GetContentFromEntry).
const fileMaxBytes = 1024 * 1024

// A job's name is cut at so many columns (services/actions/run.go).
const nameMaxColumns = 255

const target = actions.GithubEventPullRequestTarget

// answer goes the way of services/actions/notifier_helper.go: all files are looked at before the first
// run is made.
func (c *Case) answer() *Answer {
	answer := &Answer{Files: []*FileAnswer{}}
	var runs []func()
	look := func(files []File, isBase bool) {
		for _, file := range files {
			file.Content = file.Content[:min(len(file.Content), fileMaxBytes)]
			f := &FileAnswer{Name: file.Name, Base: isBase, Runs: []*Run{}}
			answer.Files = append(answer.Files, f)
			f.Panic = caught(func() { c.detect(file, f) })
			for _, run := range f.Runs {
				runs = append(runs, func() {
					run.Panic = caught(func() { c.makeRun(file, run) })
				})
			}
		}
	}
	look(c.Files, false)
	look(c.Base, true)
	for _, run := range runs {
		run()
	}
	return answer
}

func caught(do func()) (words string) {
	defer func() {
		if r := recover(); r != nil {
			words = fmt.Sprint(r)
		}
	}()
	do()
	return ""
}

// detect finds the runs of a file (DetectWorkflows, notify).
func (c *Case) detect(file File, f *FileAnswer) {
	events, err := actions.GetEventsFromContent(file.Content)
	if err != nil {
		f.Invalid = err.Error()
		return
	}
	for _, event := range events {
		if event.IsSchedule() {
			continue
		}
		if c.matches(event) && f.Base == (event.Name == target) {
			f.Runs = append(f.Runs, &Run{On: event.Name, Jobs: []Job{}})
		}
	}
}

// makeRun makes the jobs of a run (PrepareRunAndInsert, InsertRun).
func (c *Case) makeRun(file File, run *Run) {
	maker := &runMaker{Case: c, context: c.context(file, run), files: c.Files}
	if run.On == target {
		maker.files = c.Base
	}
	jobs, err := maker.make(file.Content, run)
	if err != nil {
		run.Error = err.Error()
		return
	}
	run.Jobs = append(run.Jobs, jobs...)
}

// runMaker makes the jobs of one run.
type runMaker struct {
	*Case
	// As GenerateGiteaContext makes it.
	context map[string]any
	// The workflow files of the commit that the run is of.
	files []File
}

func (m *runMaker) make(content []byte, run *Run) ([]Job, error) {
	raw, err := jobparser.ReadWorkflowRawConcurrency(content)
	if err != nil {
		return nil, fmt.Errorf("ReadWorkflowRawConcurrency: %w", err)
	}
	if raw != nil {
		if _, err := yaml.Marshal(raw); err != nil {
			return nil, fmt.Errorf("marshal raw concurrency: %w", err)
		}
		none := map[string]*jobparser.JobResult{"": {}}
		run.Group, _, err = jobparser.EvaluateConcurrency(raw, "", nil, m.context, none, m.Vars, map[string]any{})
		if err != nil {
			return nil, fmt.Errorf("evaluate concurrency: %w", err)
		}
	}
	parsed, err := jobparser.Parse(content, jobparser.WithVars(m.Vars), jobparser.WithGitContext(m.github()))
	if err != nil {
		return nil, fmt.Errorf("parse workflow: %w", err)
	}
	var jobs []Job
	var ends ends
	for _, single := range parsed {
		id, job := single.Job()
		needs := job.Needs()
		if err := single.SetJob(id, job.EraseNeeds()); err != nil {
			return nil, err
		}
		payload, _ := single.Marshal()
		made := jobOf(id, needs, job)
		if job.RawConcurrency != nil {
			if made.Group, err = m.jobGroup(made, job.RawConcurrency, payload); err != nil {
				return nil, fmt.Errorf("evaluate job concurrency: %w", err)
			}
		}
		if job.Uses != "" && expandsCalls {
			called, err := m.called(made, payload)
			if err != nil {
				return nil, err
			}
			jobs = append(jobs, called...)
			ends.calls(id)
			continue
		}
		jobs = append(jobs, made)
		ends.add(id, continues(job))
		if len(needs) > 0 && job.RawConcurrency == nil {
			ends.later = append(ends.later, later{len(jobs) - 1, payload})
		}
	}
	for _, it := range ends.later {
		jobs[it.at].After = m.after(jobs[it.at], it.payload, ends.failures)
	}
	return jobs, nil
}

func jobOf(id string, needs []string, job *jobparser.Job) Job {
	return Job{
		ID:     id,
		Name:   util.EllipsisDisplayString(job.Name, nameMaxColumns),
		Needs:  append([]string{}, needs...),
		RunsOn: append([]string{}, job.RunsOn()...),
		If:     job.If.Value,
	}
}

// jobGroup evaluates the concurrency of a job that needs no other (EvaluateJobConcurrencyFillModel): it
// goes through the database as text, and the job too.
func (m *runMaker) jobGroup(made Job, raw *model.RawConcurrency, payload []byte) (string, error) {
	text, err := yaml.Marshal(raw)
	if err != nil {
		return "", fmt.Errorf("marshal raw concurrency: %w", err)
	}
	if len(made.Needs) > 0 {
		return "", nil
	}
	var read model.RawConcurrency
	if err := yaml.Unmarshal(text, &read); err != nil {
		return "", fmt.Errorf("unmarshal raw concurrency: %w", err)
	}
	job, err := stored(payload)
	if err != nil {
		return "", err
	}
	group, _, err := jobparser.EvaluateConcurrency(&read, made.ID, job, m.ofJob(made.ID), own(made), m.Vars, map[string]any{})
	return group, err
}

// stored reads a job as it stands in the database (ParseJob).
func stored(payload []byte) (*jobparser.Job, error) {
	parsed, err := jobparser.Parse(payload)
	if err != nil {
		return nil, fmt.Errorf("unable to parse: %w", err)
	}
	if len(parsed) != 1 {
		return nil, fmt.Errorf("not single workflow")
	}
	_, job := parsed[0].Job()
	if job == nil {
		return nil, fmt.Errorf("payload doesn't contain a job")
	}
	return job, nil
}

// own is what the expressions of a job know of jobs: itself.
func own(job Job) map[string]*jobparser.JobResult {
	return map[string]*jobparser.JobResult{job.ID: {Needs: job.Needs}}
}

// context is GenerateGiteaContext.
func (c *Case) context(file File, run *Run) map[string]any {
	event := map[string]any{}
	_ = json.Unmarshal(c.event, &event)
	ref, sha, baseRef, headRef := c.Ref, c.Sha, "", ""
	if p, ok := c.payload.(*api.PullRequestPayload); ok {
		baseRef, headRef = p.PullRequest.Base.Ref, p.PullRequest.Head.Ref
		if run.On == target {
			ref, sha = git.BranchPrefix+nameOfBase(p.PullRequest.Base), p.PullRequest.Base.Sha
		}
	}
	name := git.RefName(ref)
	id, number := runNumbers()
	return map[string]any{
		"actor":            c.Actor,
		"api_url":          c.ServerURL + "api/v1",
		"base_ref":         baseRef,
		"event":            event,
		"event_name":       run.On,
		"head_ref":         headRef,
		"ref":              ref,
		"ref_name":         name.ShortName(),
		"ref_type":         string(name.RefType()),
		"repository":       c.Owner + "/" + c.Repository,
		"repository_owner": c.Owner,
		"run_id":           id,
		"run_number":       number,
		"server_url":       c.ServerURL,
		"sha":              sha,
		"workflow":         file.Name,
	}
}

// ofJob is the context of one job's expressions.
func (m *runMaker) ofJob(id string) map[string]any {
	context := map[string]any{}
	for key, value := range m.context {
		context[key] = value
	}
	context["job"] = id
	return context
}

// github is ToGitHubContext.
func (m *runMaker) github() *model.GithubContext {
	text := func(key string) string {
		value, _ := m.context[key].(string)
		return value
	}
	event, _ := m.context["event"].(map[string]any)
	return &model.GithubContext{
		Event:           event,
		Workflow:        text("workflow"),
		RunID:           text("run_id"),
		RunNumber:       text("run_number"),
		Actor:           text("actor"),
		Repository:      text("repository"),
		EventName:       text("event_name"),
		Sha:             text("sha"),
		Ref:             text("ref"),
		RefName:         text("ref_name"),
		RefType:         text("ref_type"),
		HeadRef:         text("head_ref"),
		BaseRef:         text("base_ref"),
		RepositoryOwner: text("repository_owner"),
		ServerURL:       text("server_url"),
		APIURL:          text("api_url"),
	}
}

func (c *Case) matches(event *jobparser.Event) bool {
	return matches(c.commits.repo, c.commits.after, wh.HookEventType(c.Event), c.payload, event)
}

// below is a called job as one of the calling workflow.
func below(caller, job Job) Job {
	inside := func(id string) string { return strings.Join([]string{caller.ID, id}, "/") }
	needs := caller.Needs
	if len(job.Needs) > 0 {
		needs = nil
		for _, need := range job.Needs {
			needs = append(needs, inside(need))
		}
	}
	job.ID, job.Needs = inside(job.ID), append([]string{}, needs...)
	return job
}
