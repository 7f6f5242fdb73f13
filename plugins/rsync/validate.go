package rsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
)

// bwlimit is what rsync's --bwlimit takes: a number and a unit, KiB by default.
var bwlimit = regexp.MustCompile(`^[0-9]+(\.[0-9]+)?([bB]|[kKmMgGtTpP]([bB]|i[bB])?)?$`)

// sshOption is a keyword of ssh_config(5).
var sshOption = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]*$`)

// ownedSSHOptions are set by this package, which a value given by the operator would break.
var ownedSSHOptions = []string{
	"batchmode", "controlmaster", "controlpath", "controlpersist", "requesttty", "sessiontype", "remotecommand",
	"forkafterauthentication", "stdinnull",
}

// findings collects diagnostics.
type findings struct{ list sdk.Diagnostics }

func (f *findings) attribute(summary, detail string, path ...any) {
	f.list.AddAttributeError(path, summary, detail)
}

func (f *findings) warn(summary, detail string, path ...any) {
	f.list = append(f.list, sdk.Diagnostic{Severity: sdk.SeverityWarning, Summary: summary, Detail: detail, Path: path})
}

// Validate implements sdk.Validator.
func (t *transport) Validate(_ context.Context, req sdk.ValidateRequest) sdk.Diagnostics {
	c, ok := req.Config.(*config)
	if !ok {
		c = defaultConfig()
	}
	var f findings
	if text := checkEndpoint(req.Destination); text != "" {
		f.list = append(f.list, sdk.Diagnostic{Summary: "Unusable destination", Detail: text, Subject: sdk.SubjectDestination})
	}
	c.check(&f)
	c.checkSSH(&f, req.Destination)
	return f.list
}

func (c *config) check(f *findings) {
	if c.Timeout < time.Second {
		f.attribute("Timeout too short", "rsync counts whole seconds: give at least \"1s\". It is also what ends a transfer over a dead connection, so that it cannot be off.", "timeout")
	}
	if c.Standby < 0 {
		f.attribute("Bad duration", "standby is a time such as \"10m\", or \"0\".", "standby")
	}
	if c.Parallel < 0 || c.Parallel > maxParallel {
		f.attribute("Bad number", fmt.Sprintf("parallel is at most %d: an ssh server lets one connection have ten sessions (MaxSessions), and standby and small changes need some too.", maxParallel), "parallel")
	}
	if c.BWLimit != "" && !bwlimit.MatchString(c.BWLimit) {
		f.attribute("Bad rate", fmt.Sprintf("%q is not a rate as rsync's --bwlimit takes it: a number and a unit, such as \"500K\" or \"1.5M\" (per second).", c.BWLimit), "bwlimit")
	}
	if strings.ContainsAny(c.RsyncPath, "\x00\n") || c.RsyncPath != "" && strings.TrimSpace(c.RsyncPath) == "" {
		f.attribute("Bad program", "rsync_path is blank, or holds a line break or a NUL byte.", "rsync_path")
	}
	for i, arg := range c.Args {
		if text := allowArg(arg); text != "" {
			f.attribute("Unusable rsync option", text, "args", i)
		}
		if arg != "--inplace" && arg != "--write-devices" {
			continue
		}
		if c.Partial {
			f.attribute("Unusable rsync option", "--inplace and partial = true exclude each other.", "args", i)
			continue
		}
		f.warn("Files are written in place", "With --inplace a reader at the destination sees half-written files, an interrupted transfer leaves one, and hard links that differ from the source's are written through.", "args", i)
	}
}

func (c *config) checkSSH(f *findings, destination sdk.Endpoint) {
	if c.SSH == nil {
		return
	}
	if destination.Scheme != sdk.SchemeSSH {
		f.warn("No ssh here", fmt.Sprintf("The destination %s is not reached through ssh, so that the ssh block has no effect.", destination), "ssh")
	}
	s := c.SSH
	if s.Port < 0 || s.Port > 65535 {
		f.attribute("Bad port", fmt.Sprintf("%d is not a port number.", s.Port), "ssh", "port")
	}
	for _, file := range []struct{ name, path string }{{"identity_file", s.IdentityFile}, {"config_file", s.ConfigFile}} {
		if file.path == "" {
			continue
		}
		// ssh expands tokens such as %h and ${NAME} by itself.
		if strings.ContainsAny(file.path, "%$") {
			continue
		}
		if _, err := os.Stat(expandHome(file.path)); errors.Is(err, os.ErrNotExist) {
			f.warn("No such file", fmt.Sprintf("There is no file %s on this machine for the user that runs filewatch.", expandHome(file.path)), "ssh", file.name)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(s.Options)) {
		value := s.Options[key]
		switch {
		case !sshOption.MatchString(key) || strings.ContainsAny(value, "\x00\n"):
			f.attribute("Bad ssh option", fmt.Sprintf("%q is not the name of an option of ssh_config(5), or its value holds a line break.", key), "ssh", "options", key)
		case slices.Contains(ownedSSHOptions, strings.ToLower(key)):
			f.attribute("Unusable ssh option", fmt.Sprintf("filewatch sets %s itself: it never prompts, and shares one connection among all transfers to a destination.", key), "ssh", "options", key)
		}
	}
	if s.Command != nil && (len(s.Command) == 0 || s.Command[0] == "") {
		f.attribute("No ssh program", "command is the program to run instead of ssh and its first arguments, such as [\"ssh\", \"-4\"].", "ssh", "command")
	}
	for i, arg := range s.Command {
		if strings.ContainsAny(arg, "\x00\n") {
			f.attribute("No ssh program", "An argument holds a line break or a NUL byte.", "ssh", "command", i)
		}
	}
}
