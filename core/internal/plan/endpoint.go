package plan

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/filewatch/filewatch/sdk"
)

const schemeRsync = "rsync" // an rsync daemon: rsync://host/module/path

var (
	urlForm = regexp.MustCompile(`(?s)^([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(.*)$`)
	sshForm = regexp.MustCompile(`(?s)^([^/:\[\]]*@)?(\[[^/\[\]]*\]|[^/:@\[\]]*):(.*)$`)
	urlHost = regexp.MustCompile(`(?s)^([^/:\[\]]*@)?(\[[^/\[\]]*\]|[^/:@\[\]]*)(:[0-9]+)?$`)
)

// parse takes a destination apart as rsync does: it is on another machine when a ":" comes before the
// first "/". A local path is left as written. The error says what to write instead.
func parse(s string) (sdk.Endpoint, error) {
	switch {
	case s == "":
		return sdk.Endpoint{}, errors.New("it is empty; write HOST:/PATH or /PATH")
	case strings.ContainsRune(s, 0):
		return sdk.Endpoint{}, errors.New("it holds a NUL byte, which no path can")
	case !utf8.ValidString(s):
		return sdk.Endpoint{}, errors.New("it is not valid UTF-8")
	}
	if m := urlForm.FindStringSubmatch(s); m != nil {
		return parseURL(strings.ToLower(m[1]), m[2], strings.TrimLeft(m[3], "/"))
	}
	machine, path, _ := strings.Cut(s, "/")
	if !strings.Contains(machine, ":") {
		return sdk.Endpoint{Scheme: sdk.SchemeLocal, Path: s}, nil
	}
	address := strings.TrimSuffix(machine[strings.LastIndexByte(machine, '@')+1:], ":")
	if a, err := netip.ParseAddr(address); err == nil && a.Is6() {
		return sdk.Endpoint{}, fmt.Errorf("an IPv6 address stands in brackets; write [%s]:/%s", address, path)
	}
	m := sshForm.FindStringSubmatch(s)
	if m == nil {
		return sdk.Endpoint{}, errors.New("what stands before the path is no HOST or USER@HOST; a local path with a \":\" is written ./a:b")
	}
	if module, ok := strings.CutPrefix(m[3], ":"); ok {
		return sdk.Endpoint{}, fmt.Errorf("the module of an rsync daemon is written rsync://%s%s/%s", m[1], m[2], module)
	}
	ep := sdk.Endpoint{Scheme: sdk.SchemeSSH, Path: m[3]}
	if err := setMachine(&ep, m[1], m[2]); err != nil {
		return sdk.Endpoint{}, err
	}
	if ep.Host == "" {
		return sdk.Endpoint{}, errors.New("the host before \":\" is missing; a local path with a \":\" is written ./a:b")
	}
	return ep, nil
}

func parseURL(scheme, machine, path string) (sdk.Endpoint, error) {
	m := urlHost.FindStringSubmatch(machine)
	switch {
	case scheme == sdk.SchemeSSH:
		return sdk.Endpoint{}, errors.New("a destination over ssh is written USER@HOST:/PATH; a port belongs in the ssh block of the transport")
	case m == nil:
		return sdk.Endpoint{}, fmt.Errorf("what stands after \"%s://\" is no HOST, HOST:PORT or USER@HOST; an IPv6 address stands in brackets, and a password does not belong here", scheme)
	}
	ep := sdk.Endpoint{Scheme: scheme, Path: path}
	if err := setMachine(&ep, m[1], m[2]); err != nil {
		return sdk.Endpoint{}, err
	}
	if m[3] != "" {
		port, err := strconv.Atoi(m[3][1:])
		if err != nil || port < 1 || port > 65535 {
			return sdk.Endpoint{}, errors.New("the port must be between 1 and 65535")
		}
		ep.Port = port
	}
	if scheme == schemeRsync && (ep.Host == "" || path == "") {
		return sdk.Endpoint{}, errors.New("an rsync daemon is written rsync://HOST/MODULE or rsync://HOST/MODULE/PATH")
	}
	return ep, nil
}

// setMachine sets user ("" or with "@" at its end) and host.
func setMachine(ep *sdk.Endpoint, user, host string) error {
	if user != "" {
		ep.User = strings.TrimSuffix(user, "@")
		if err := checkUser(ep.User); err != nil {
			return err
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		host = strings.TrimSuffix(inner, "]")
		if a, err := netip.ParseAddr(host); err != nil || !a.Is6() {
			return errors.New("only an IPv6 address stands in brackets")
		}
	}
	if err := checkWord("host", host); err != nil {
		return err
	}
	ep.Host = host
	return nil
}

func checkUser(user string) error {
	if user == "" || strings.ContainsAny(user, ":/[]") {
		return fmt.Errorf("%q is no user name", user)
	}
	return checkWord("user", user)
}

// checkWord refuses what ssh would take for an option or for more than one word.
func checkWord(what, s string) error {
	if strings.HasPrefix(s, "-") || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }) {
		return fmt.Errorf("the %s %q must not begin with \"-\" or hold spaces or control characters", what, s)
	}
	return nil
}
