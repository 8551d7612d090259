// Gitea's own detection of workflows and its own job parser as a program. Each line of its input is a case
// (cases.go), each line of its output the answer to it.
//
// It is written for the newest Gitea whose module is known. What older ones call otherwise is replaced
// before it is compiled, and what they do otherwise stands in rules_*.go; ../src/judge/build.rs has the table.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// A line holds files of a MiB and more, in base64.
const lineMaxBytes = 64 << 20

// version is that of the Gitea that this is built from.
var version string

func main() {
	if len(os.Args) != 2 {
		fail(fmt.Errorf("usage: %s FOLDER; the folder is for its repository, and empty", os.Args[0]))
	}
	changes, err := newChanges(os.Args[1])
	if err != nil {
		fail(err)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, lineMaxBytes)
	answers := json.NewEncoder(os.Stdout)
	answers.SetEscapeHTML(false)
	for lines.Scan() {
		var c Case
		err := json.Unmarshal(lines.Bytes(), &c)
		if err == nil {
			err = c.prepare(changes)
		}
		if err != nil {
			fail(err)
		}
		if err := answers.Encode(c.answer()); err != nil {
			fail(err)
		}
	}
	if err := lines.Err(); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
