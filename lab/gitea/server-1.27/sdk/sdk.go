// Package sdk takes the place of gitea.dev/sdk, which is not published as a module, so that the server
// compiles. The server uses it for one thing: to import repositories from another Gitea. Here that
// fails at once.
//
// The types are those of the client before it was renamed. Its calls are those that the server makes.
package sdk

import (
	"context"
	"errors"
	"net/http"

	old "code.gitea.io/sdk/gitea"
)

var errAbsent = errors.New("this server was built without the client that imports from another Gitea")

// What the server names and does not make itself.
type (
	Label                     = old.Label
	ListIssueCommentOptions   = old.ListIssueCommentOptions
	ListIssueOption           = old.ListIssueOption
	ListIssueReactionsOptions = old.ListIssueReactionsOptions
	ListLabelsOptions         = old.ListLabelsOptions
	ListMilestoneOption       = old.ListMilestoneOption
	ListOptions               = old.ListOptions
	ListPullRequestsOptions   = old.ListPullRequestsOptions
	ListPullReviewsOptions    = old.ListPullReviewsOptions
	ListReleasesOptions       = old.ListReleasesOptions
	ListRepoTopicsOptions     = old.ListRepoTopicsOptions
	Release                   = old.Release
	Response                  = old.Response
)

// Which issues are listed.
const (
	IssueTypeIssue = old.IssueTypeIssue
	StateAll       = old.StateAll
)

// Client is never there: NewClient fails.
type Client struct {
	Issues       issues
	PullRequests pullRequests
	Releases     releases
	Repositories repositories
	Settings     settings
}

// ClientOption is what NewClient is told.
type ClientOption func(*Client) error

func SetBasicAuth(_, _ string) ClientOption   { return nil }
func SetHTTPClient(*http.Client) ClientOption { return nil }
func SetToken(string) ClientOption            { return nil }

func NewClient(string, ...ClientOption) (*Client, error) { return nil, errAbsent }

func (*Client) CheckServerVersionConstraint(context.Context, string) error { return errAbsent }

type settings struct{}

func (settings) GetGlobalAPISettings(context.Context) (*old.GlobalAPISettings, *Response, error) {
	return nil, nil, errAbsent
}

type repositories struct{}

func (repositories) GetRepo(_ context.Context, _, _ string) (*old.Repository, *Response, error) {
	return nil, nil, errAbsent
}

func (repositories) ListRepoTopics(_ context.Context, _, _ string, _ ListRepoTopicsOptions) ([]string, *Response, error) {
	return nil, nil, errAbsent
}

func (repositories) ListMilestones(_ context.Context, _, _ string, _ ListMilestoneOption) ([]*old.Milestone, *Response, error) {
	return nil, nil, errAbsent
}

func (repositories) ListRepoLabels(_ context.Context, _, _ string, _ ListLabelsOptions) ([]*Label, *Response, error) {
	return nil, nil, errAbsent
}

type releases struct{}

func (releases) ListReleases(_ context.Context, _, _ string, _ ListReleasesOptions) ([]*Release, *Response, error) {
	return nil, nil, errAbsent
}

func (releases) GetReleaseAttachment(_ context.Context, _, _ string, _, _ int64) (*old.Attachment, *Response, error) {
	return nil, nil, errAbsent
}

type issues struct{}

func (issues) ListRepoIssues(_ context.Context, _, _ string, _ ListIssueOption) ([]*old.Issue, *Response, error) {
	return nil, nil, errAbsent
}

func (issues) ListIssueReactions(_ context.Context, _, _ string, _ int64, _ ListIssueReactionsOptions) ([]*old.Reaction, *Response, error) {
	return nil, nil, errAbsent
}

func (issues) ListIssueComments(_ context.Context, _, _ string, _ int64, _ ListIssueCommentOptions) ([]*old.Comment, *Response, error) {
	return nil, nil, errAbsent
}

func (issues) GetIssueCommentReactions(_ context.Context, _, _ string, _ int64) ([]*old.Reaction, *Response, error) {
	return nil, nil, errAbsent
}

type pullRequests struct{}

func (pullRequests) ListRepoPullRequests(_ context.Context, _, _ string, _ ListPullRequestsOptions) ([]*old.PullRequest, *Response, error) {
	return nil, nil, errAbsent
}

func (pullRequests) ListPullReviews(_ context.Context, _, _ string, _ int64, _ ListPullReviewsOptions) ([]*old.PullReview, *Response, error) {
	return nil, nil, errAbsent
}

func (pullRequests) ListPullReviewComments(_ context.Context, _, _ string, _, _ int64) ([]*old.PullReviewComment, *Response, error) {
	return nil, nil, errAbsent
}
