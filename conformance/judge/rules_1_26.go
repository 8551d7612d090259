package main

import (
	_ "unsafe" // for go:linkname

	"gitea.dev/modules/actions/jobparser"
	"gitea.dev/modules/git"
	api "gitea.dev/modules/structs"
	wh "gitea.dev/modules/webhook"
)

//go:linkname detectMatched code.gitea.io/gitea/modules/actions.detectMatched
func detectMatched(repo *git.Repository, commit *git.Commit, event wh.HookEventType, payload api.Payloader, on *jobparser.Event) bool

func matches(repo *git.Repository, commit *git.Commit, event wh.HookEventType, payload api.Payloader, on *jobparser.Event) bool {
	return detectMatched(repo, commit, event, payload, on)
}

func nameOfBase(base *api.PRBranchInfo) string { return base.Name }

// runNumbers are the id and number of a run when its jobs are made. It is in the database then, but in
// 1.26.0.
func runNumbers() (id, number string) {
	if version == "1.26.0" {
		return "", "0"
	}
	return "70", "7"
}

// Called workflows are the runner's business.
const expandsCalls = false

func (*runMaker) called(Job, []byte) ([]Job, error) { return nil, nil }

// The runner evaluates an `if`.
func (*runMaker) starts(_ Job, payload []byte, succeeded bool, _ map[string]*jobparser.JobResult) (bool, error) {
	job, err := stored(payload)
	return succeeded || err == nil && job.If.Value != "", nil
}

func continues(*jobparser.Job) bool { return false }
