package main

import (
	"encoding/json"
	"fmt"

	"gitea.dev/modules/git"
	api "gitea.dev/modules/structs"
	wh "gitea.dev/modules/webhook"
)

// Case is one event and the workflow files of the commits that it is about.
type Case struct {
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload"`
	// The context `github` of its runs.
	Ref        string `json:"ref"`
	Sha        string `json:"sha"`
	Actor      string `json:"actor"`
	Owner      string `json:"owner"`
	Repository string `json:"repository"`
	ServerURL  string `json:"server_url"`
	// Names are paths below Folder.
	Folder  string            `json:"folder"`
	Files   []File            `json:"files"`
	Base    []File            `json:"base"`
	Changed []string          `json:"changed"`
	Vars    map[string]string `json:"vars"`

	payload api.Payloader
	event   []byte
	commits *commits
}

// File is a workflow file.
type File struct {
	Name    string `json:"name"`
	Content []byte `json:"content"`
}

// Answer is what becomes of a case: of each file, first those of the commit, then those of the base.
type Answer struct {
	Files []*FileAnswer `json:"files"`
}

// FileAnswer is what becomes of one file.
type FileAnswer struct {
	Name string `json:"name"`
	Base bool   `json:"base"`
	// Why the file is skipped.
	Invalid string `json:"invalid,omitempty"`
	// The server's code panics at it, before any run is made.
	Panic string `json:"panic,omitempty"`
	Runs  []*Run `json:"runs"`
}

// Run is what one event of a file starts.
type Run struct {
	On string `json:"on"`
	// Why there is none after all.
	Error string `json:"error,omitempty"`
	Panic string `json:"panic,omitempty"`
	Group string `json:"group,omitempty"`
	Jobs  []Job  `json:"jobs"`
}

// Job is one that a runner is needed for.
type Job struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	Needs  []string `json:"needs"`
	RunsOn []string `json:"runs_on"`
	If     string   `json:"if,omitempty"`
	Group  string   `json:"group,omitempty"`
	// It calls a workflow of another repository, and stands for all jobs of that.
	Elsewhere bool `json:"elsewhere,omitempty"`
	// What becomes of it when all jobs that it needs have ended so: it waits for a runner, is skipped, or
	// is stuck.
	After map[string]string `json:"after,omitempty"`
}

func (c *Case) prepare(changes *changes) error {
	var err error
	if c.payload, err = payloadOf(c.Event, c.Payload); err != nil {
		return fmt.Errorf("payload of %s: %w", c.Event, err)
	}
	if c.event, err = json.Marshal(c.payload); err != nil {
		return err
	}
	if c.commits, err = changes.commits(c.Changed); err != nil {
		return err
	}
	switch p := c.payload.(type) {
	case *api.PushPayload:
		p.Before = c.commits.before
	case *api.PullRequestPayload:
		p.PullRequest.MergeBase = c.commits.before
		p.PullRequest.Head.Sha = c.commits.after.ID.String()
	}
	return nil
}

// payloadOf reads what the webhook was told as what Actions are told, which differs in a few fields.
func payloadOf(event string, raw []byte) (api.Payloader, error) {
	var p api.Payloader
	switch wh.HookEventType(event) {
	case wh.HookEventPush:
		p = &api.PushPayload{}
	case wh.HookEventCreate:
		p = &api.CreatePayload{}
	case wh.HookEventDelete:
		p = &api.DeletePayload{}
	case wh.HookEventFork:
		p = &api.ForkPayload{}
	case wh.HookEventWiki:
		p = &api.WikiPayload{}
	case wh.HookEventRelease:
		p = &api.ReleasePayload{}
	case wh.HookEventPackage:
		p = &api.PackagePayload{}
	case wh.HookEventWorkflowRun:
		p = &api.WorkflowRunPayload{}
	case wh.HookEventIssueComment, wh.HookEventPullRequestComment:
		p = &api.IssueCommentPayload{}
	case wh.HookEventIssues, wh.HookEventIssueAssign, wh.HookEventIssueLabel, wh.HookEventIssueMilestone:
		p = &api.IssuePayload{}
	default:
		p = &api.PullRequestPayload{}
	}
	if err := json.Unmarshal(raw, p); err != nil {
		return nil, err
	}
	switch p := p.(type) {
	case *api.CreatePayload:
		p.Ref = fullName(p.RefType, p.Ref)
	case *api.DeletePayload:
		p.Ref = fullName(p.RefType, p.Ref)
	case *api.IssueCommentPayload:
		p.PullRequest = nil
	case *api.WorkflowRunPayload:
		if p.WorkflowRun == nil || p.Workflow == nil {
			return nil, fmt.Errorf("it has no workflow or run")
		}
	case *api.PullRequestPayload:
		if p.PullRequest == nil || p.PullRequest.Base == nil || p.PullRequest.Head == nil {
			return nil, fmt.Errorf("it has no pull request with two sides")
		}
	}
	return p, nil
}

func fullName(kind, short string) string {
	if kind == "tag" {
		return git.TagPrefix + short
	}
	return git.BranchPrefix + short
}
