package main

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"

	"gitea.dev/modules/git"
	"gitea.dev/modules/log"
	"gitea.dev/modules/setting"
)

// changes is a repository with a commit for each list of changed files: the rules ask git for them.
type changes struct {
	folder string
	repo   *git.Repository
	empty  string
	known  map[string]*commits
}

// commits are two between which those files differ.
type commits struct {
	repo   *git.Repository
	before string
	after  *git.Commit
}

func newChanges(folder string) (*changes, error) {
	// Gitea's log goes where the answers go.
	log.GetManager().GetLogger(log.DEFAULT).ReplaceAllWriters()
	setting.Git.HomePath = filepath.Join(folder, "home")
	setting.AppURL = "http://forge.test/"
	if err := git.InitSimple(); err != nil {
		return nil, err
	}
	c := &changes{folder: filepath.Join(folder, "changes.git"), known: map[string]*commits{}}
	if _, err := c.git("", "init", "--quiet", "--bare", c.folder); err != nil {
		return nil, err
	}
	var err error
	if c.repo, err = git.OpenRepository(context.Background(), c.folder); err != nil {
		return nil, err
	}
	c.empty, err = c.imported(nil)
	return c, err
}

func (c *changes) commits(changed []string) (*commits, error) {
	key := strings.Join(changed, "\x00")
	if known := c.known[key]; known != nil {
		return known, nil
	}
	id, err := c.imported(changed)
	if err != nil {
		return nil, err
	}
	after, err := c.repo.GetCommit(id)
	if err != nil {
		return nil, err
	}
	c.known[key] = &commits{c.repo, c.empty, after}
	return c.known[key], nil
}

// imported makes a commit of these files, which are empty.
func (c *changes) imported(paths []string) (string, error) {
	var stream strings.Builder
	stream.WriteString("commit refs/heads/last\ncommitter a <a> 0 +0000\ndata 0\ndeleteall\n")
	for _, path := range paths {
		fmt.Fprintf(&stream, "M 100644 inline %s\ndata 0\n", quoted(path))
	}
	if _, err := c.git(stream.String(), "fast-import", "--quiet", "--force"); err != nil {
		return "", err
	}
	return c.git("", "rev-parse", "refs/heads/last")
}

// quoted writes a path as fast-import reads it: all that is no letter in octal.
func quoted(path string) string {
	var out strings.Builder
	for _, b := range []byte(path) {
		fmt.Fprintf(&out, "\\%03o", b)
	}
	return `"` + out.String() + `"`
}

func (c *changes) git(input string, args ...string) (string, error) {
	command := exec.Command("git", append([]string{"--git-dir", c.folder}, args...)...)
	command.Stdin = strings.NewReader(input)
	var words bytes.Buffer
	command.Stderr = &words
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, words.String())
	}
	return strings.TrimSpace(string(output)), nil
}
