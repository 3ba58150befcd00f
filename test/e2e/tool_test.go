package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
)

// toolEnd is how another command of kferry ended.
type toolEnd struct {
	code           int
	stdout, stderr string
}

func (e toolEnd) json(into any) error { return json.Unmarshal([]byte(e.stdout), into) }

// runTool runs another command of kferry; only a process that could not be run is an error.
func runTool(args ...string) (toolEnd, error) {
	cmd := exec.Command(binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	return toolEnd{cmd.ProcessState.ExitCode(), out.String(), errs.String()}, err
}
