package rsync

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// startFailure says why there is no rsync process.
func startFailure(err error) error {
	if run.IsNotFound(err) {
		return sdk.Misconfigured(errors.New("rsync is not installed on this machine: install it (apt-get install rsync, dnf install rsync, apk add rsync, pacman -S rsync or zypper install rsync)"))
	}
	return err
}

// failure turns the end of a run that confirmed nothing into an error that says what to do.
func (s *session) failure(out *outcome) error {
	stderr := out.exit.Stderr
	d := s.req.Destination
	if out.stuck {
		return fmt.Errorf("rsync hung and was ended (%s)", out.exit)
	}
	if out.exit.Signal != 0 {
		return fmt.Errorf("rsync was killed (%s): if it happens again, look for who does that, or for too little memory (dmesg)", out.exit)
	}
	if _, ok := s.caps.downgrade(out.exit.Code, stderr); ok {
		// Another rsync than the one that was probed; the next try probes again.
		return fmt.Errorf("the rsync at the destination %s is not the one it was: %s", d, firstLine(stderr))
	}
	if g := unknownOption.FindStringSubmatch(stderr); g != nil {
		return sdk.Misconfigured(fmt.Errorf("rsync here or at the destination %s: %s: unknown option: %s", d, g[1], optionAdvice(g[1])))
	}
	if d.Scheme == sdk.SchemeSSH {
		if err := sshFailure(s.remote(), stderr); err != nil {
			return err
		}
		if err := s.remoteCommandFailure(out.exit.Code, stderr); err != nil {
			return err
		}
	}
	if strings.Contains(stderr, "No space left on device") {
		return fmt.Errorf("no space left at the destination %s: %s", d, firstLine(stderr))
	}
	if strings.Contains(stderr, "Disk quota exceeded") {
		return fmt.Errorf("the disk quota is used up at the destination %s: %s", d, firstLine(stderr))
	}
	if err := s.destinationFailure(stderr); err != nil {
		return err
	}
	e := exits[out.exit.Code]
	if e.class == nil {
		e.class = func(err error) error { return err }
	}
	text := orElse(strings.TrimPrefix(firstLine(stderr), "rsync: "), "no message")
	if e.advice != "" {
		return e.class(fmt.Errorf("rsync: %s (%s): %s", text, out.exit, e.advice))
	}
	return e.class(fmt.Errorf("rsync: %s (%s)", text, out.exit))
}

const (
	adviceMemory  = "look for too little memory, or too many processes, on both sides"
	adviceNetwork = "look at the network and the machine at the destination, or raise timeout"
)

// exits tells how to try again after an exit status (rsync(1), EXIT VALUES; errcode.h), and what a person
// can do. Others are plain errors.
var exits = map[int]struct {
	class  func(error) error
	advice string
}{
	1:   {sdk.Misconfigured, "check args, and the versions of rsync on both sides"},
	2:   {sdk.Misconfigured, "the two rsync do not understand each other: update the older one, and see that the login shell at the destination prints nothing"},
	3:   {sdk.Misconfigured, "check the paths of the source and the destination"},
	4:   {sdk.Misconfigured, "check args, and what an rsync daemon at the destination refuses"},
	5:   {sdk.Misconfigured, "check the rsync daemon's module and its settings"},
	6:   {sdk.Misconfigured, "check --log-file in args"},
	10:  {sdk.Unavailable, adviceNetwork},
	11:  {nil, "look for a full disk or a failing file system on both sides"},
	12:  {sdk.Unavailable, "the rsync at the destination, or the connection to it, broke off: look for messages there"},
	13:  {nil, "an error in rsync itself: look for messages on both sides"},
	14:  {sdk.Unavailable, adviceMemory},
	16:  {sdk.Unavailable, "a process of rsync ended early: look for messages on both sides"},
	19:  {sdk.Unavailable, ""}, // SIGUSR1
	20:  {sdk.Unavailable, ""}, // SIGINT, SIGTERM, SIGHUP
	21:  {sdk.Unavailable, adviceMemory},
	22:  {sdk.Unavailable, adviceMemory},
	25:  {sdk.Misconfigured, "something sets --max-delete: use the sync block's max_delete"},
	30:  {sdk.Unavailable, adviceNetwork},
	35:  {sdk.Unavailable, adviceNetwork},
	124: {sdk.Unavailable, "the command at the destination failed: look for messages there"},
	125: {sdk.Unavailable, "the command at the destination was killed: " + adviceMemory},
	126: {sdk.Misconfigured, "a program cannot be executed: check rsync, and ssh's command"},
	127: {sdk.Misconfigured, "a program is not there: check rsync, and ssh's command"},
	255: {sdk.Unavailable, adviceNetwork},
}

// optionAdvice says what to do about an option that an rsync does not know.
func optionAdvice(option string) string {
	if strings.HasPrefix(option, "--fsync") {
		return "fsync = true takes rsync 3.2.4 or later on both sides; update the older one, or leave it out"
	}
	return "update the older rsync, or leave the option out of the configuration"
}

// unattributed is the error after a partial failure that cannot be told apart.
func (s *session) unattributed(out *outcome) error {
	return fmt.Errorf("rsync could not transfer everything, and did not say which paths: %s (%s)", orElse(firstLine(out.exit.Stderr), "no message"), out.exit)
}

// remote is the far end as ssh knows it: user@host.
func (s *session) remote() string {
	d := s.req.Destination
	if d.User != "" {
		return d.User + "@" + d.Host
	}
	return d.Host
}

var (
	noRoute = regexp.MustCompile(`(?m)^(ssh: .*|.*(Connection (refused|timed out|reset|closed)|No route to host|Network is unreachable|Connection to .* timed out|Timeout, server).*)$`)
	refusal = regexp.MustCompile(`(?m)^.*(Permission denied \(|Too many authentication failures|No supported authentication methods).*$`)
	badConf = regexp.MustCompile(`(?m)^.*(Bad configuration option|Bad owner or permissions|Can't open user config file|terminating, \d+ bad configuration|keyword .* extra arguments|[Uu]nsupported option|Bad number|bad port|Bad port).*$`)
	noKey   = regexp.MustCompile(`(?m)^.*(Identity file .* not accessible|Load key .*|UNPROTECTED PRIVATE KEY FILE|WARNING: UNPROTECTED).*$`)
	noShell = regexp.MustCompile(`(?m)^.*Failed to exec .*$`)
)

// sshFailure recognizes what ssh says, and returns nil when it said nothing known.
func sshFailure(remote, stderr string) error {
	stderr = strings.ReplaceAll(stderr, "\r", "") // ssh ends its lines for a terminal
	has := func(text string) bool { return strings.Contains(stderr, text) }
	switch {
	case has("REMOTE HOST IDENTIFICATION HAS CHANGED") || has("host key for") && has("has changed"):
		return sdk.Misconfigured(fmt.Errorf("the host key of %s is not the one that ssh knows: if the machine was set up anew, remove the old key (ssh-keygen -R HOST) and connect once with ssh %s, with the port and options of the ssh block, as the user that filewatch runs as", remote, remote))
	case has("Host key verification failed") || has("host key is known for"):
		return sdk.Misconfigured(fmt.Errorf("the host key of %s is unknown: connect once with ssh %s, with the port and options of the ssh block, as the user that filewatch runs as, and accept it (or add the output of ssh-keyscan to known_hosts)", remote, remote))
	case badConf.MatchString(stderr):
		return sdk.Misconfigured(fmt.Errorf("ssh: %s", badConf.FindString(stderr)))
	case refusal.MatchString(stderr):
		text := fmt.Sprintf("%s does not let us in (%s): install the key with ssh-copy-id %s, as the user that filewatch runs as, or set identity_file", remote, refusal.FindString(stderr), remote)
		if key := noKey.FindString(stderr); key != "" {
			text += "; ssh also says: " + key
		}
		return sdk.Misconfigured(errors.New(text))
	case noShell.MatchString(stderr):
		return sdk.Misconfigured(fmt.Errorf("ssh is not installed on this machine, or the ssh command cannot be run: %s", noShell.FindString(stderr)))
	case noRoute.MatchString(stderr):
		return sdk.Unavailable(fmt.Errorf("connect to %s: %s", remote, strings.TrimPrefix(noRoute.FindString(stderr), "ssh: ")))
	}
	return nil
}

const noisy = "is your shell clean?"

// remoteCommandFailure recognizes that there is no usable rsync at the far end. rsync may notice that
// nobody is there before it learns the shell's exit status, so that the shell's words count as well.
func (s *session) remoteCommandFailure(code int, stderr string) error {
	program := orElse(strings.TrimSpace(s.config.RsyncPath), "rsync")
	words := strings.Fields(program)
	name := regexp.QuoteMeta(words[len(words)-1]) // it may be "sudo rsync"
	// bash, dash and sudo; zsh and fish.
	missing := regexp.MustCompile(`(?m)(: |^)` + name + `: (command not found|not found|No such file or directory)|(command not found|Unknown command): ` + name)
	denied := regexp.MustCompile(`(?m)(: |^)` + name + `: (Permission denied|cannot execute.*|Is a directory)`)
	switch {
	case code == 127 || code == 12 && missing.MatchString(stderr):
		return sdk.Misconfigured(fmt.Errorf("%s is not installed on %s: install it there, or set rsync_path", program, s.remote()))
	case code == 126 || code == 12 && denied.MatchString(stderr):
		return sdk.Misconfigured(fmt.Errorf("%s on %s cannot be executed: %s", program, s.remote(), firstLine(stderr)))
	case strings.Contains(stderr, noisy):
		return sdk.Misconfigured(fmt.Errorf("the login shell of %s prints text where only rsync may speak: ssh %s true must print nothing; mend its start files (such as .bashrc)", s.remote(), s.remote()))
	}
	return nil
}

var (
	noParent  = regexp.MustCompile(`\[Receiver\] mkdir "(.*)"(?: \(in .*\))? failed: No such file or directory`)
	noMkdir   = regexp.MustCompile(`\[Receiver\] (?:mkdir|change_dir#\d) "(.*)"(?: \(in .*\))? failed: (.*) \(\d+\)`)
	notDir    = regexp.MustCompile(`destination must be a directory|cannot overwrite non-directory|cannot stat destination ".*": Not a directory`)
	daemonErr = regexp.MustCompile(`(?m)^@ERROR: (.*)$`)
	readOnly  = regexp.MustCompile(`(?m)^ERROR: (module is read only|The server is configured to refuse .*)$`)
)

// destinationFailure recognizes that the destination directory cannot be used.
func (s *session) destinationFailure(stderr string) error {
	d := s.req.Destination
	mkdir := "mkdir -p " + shellWord(d.Path)
	if d.Scheme == sdk.SchemeSSH {
		mkdir = "ssh " + s.remote() + " " + mkdir
	}
	if d.Scheme == schemeDaemon {
		mkdir = "mkdir -p, in the daemon's module"
	}
	if g := noParent.FindStringSubmatch(stderr); g != nil {
		return sdk.Misconfigured(fmt.Errorf("the destination directory %s does not exist, nor does the one above it: check the path, or create it with: %s", d, mkdir))
	}
	if g := noMkdir.FindStringSubmatch(stderr); g != nil {
		return fmt.Errorf("the destination directory %s cannot be created or entered: %s", d, lowerFirst(g[2]))
	}
	if notDir.MatchString(stderr) {
		return sdk.Misconfigured(fmt.Errorf("the destination %s exists and is not a directory: remove it, or choose another destination", d))
	}
	for _, r := range []*regexp.Regexp{daemonErr, readOnly} {
		if g := r.FindStringSubmatch(stderr); g != nil {
			return sdk.Misconfigured(fmt.Errorf("the rsync daemon on %s says: %s", d.Host, g[1]))
		}
	}
	return nil
}

// shellWord quotes a path for a command line that an operator may copy.
func shellWord(p string) string {
	if p != "" && plainPath(p) {
		return p
	}
	return "'" + strings.ReplaceAll(p, "'", `'\''`) + "'"
}

// firstLine returns the first line of a text that says something, shortened to what fits in a log.
func firstLine(text string) string {
	for line := range strings.SplitSeq(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "Warning: Permanently added") {
			continue
		}
		if len(line) > 500 {
			line = line[:500] + "…"
		}
		return line
	}
	return ""
}

func orElse(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
