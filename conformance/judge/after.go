package main

import (
	"slices"

	"gitea.dev/modules/actions/jobparser"
)

// ends is how the jobs of a run may end.
type ends struct {
	// Whether a failure of the job of that id counts; nil: it is one that calls others.
	failures map[string]*bool
	// Jobs that wait for others.
	later []later
}

type later struct {
	at      int
	payload []byte
}

func (e *ends) add(id string, continues bool) {
	if e.failures == nil {
		e.failures = map[string]*bool{}
	}
	before, isThere := e.failures[id]
	counts := !continues || isThere && before != nil && *before
	e.failures[id] = &counts
}

func (e *ends) calls(id string) {
	e.add(id, false)
	e.failures[id] = nil
}

// after is what becomes of a job when those that it needs have ended, all in the same way
// (services/actions/job_emitter.go, FindTaskNeeds). Of one that needs itself, or that can't be read from the
// database again, nothing ever becomes.
func (m *runMaker) after(job Job, payload []byte, failures map[string]*bool) map[string]string {
	if _, err := stored(payload); err != nil || slices.Contains(job.Needs, job.ID) {
		return nil
	}
	becomes := map[string]string{}
	for _, status := range []string{"success", "failure", "cancelled", "skipped"} {
		results, succeeded := own(job), true
		for _, need := range job.Needs {
			counts, isThere := failures[need]
			if !isThere {
				continue
			}
			if counts == nil {
				return nil
			}
			result := status
			if status == "failure" && !*counts {
				result = "success"
			}
			succeeded = succeeded && result == "success"
			results[need] = &jobparser.JobResult{Result: result}
		}
		var starts bool
		var err error
		words := caught(func() { starts, err = m.starts(job, payload, succeeded, results) })
		switch {
		case err != nil || words != "":
			becomes[status] = "stuck"
		case starts:
			becomes[status] = "waiting"
		default:
			becomes[status] = "skipped"
		}
	}
	return becomes
}
