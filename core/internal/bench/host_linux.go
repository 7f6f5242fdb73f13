package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/filewatch/filewatch/sdk/plugintest/proxy"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/run"
)

// host is where the destinations are: a private sshd, near, or behind a line that can be slow.
type host struct {
	server *sshd.Server
	line   *proxy.Proxy
}

func startHost(s *scope) *host {
	server := sshd.Start(s, sshd.Config{})
	return &host{server, proxy.Start(s, fmt.Sprint(server.Host, ":", server.Port))}
}

// roundTrip is that of the slow line.
const roundTrip = 20 * time.Millisecond

// place is one source and its destination, on the host.
type place struct {
	*host
	source, destination string
	overLine            bool // through the proxy
}

// config writes an ssh configuration for the place and returns its path. With a control path, ssh uses the
// connection that is shared there.
func (p place) config(s *scope, control string) string {
	text := ""
	if control != "" {
		// A session that is not let in there would make a connection of its own, which is not what is measured.
		text += fmt.Sprintf("ControlPath %q\nProxyCommand false\n", control)
	}
	if p.overLine {
		text += fmt.Sprintf("Port %d\nHostKeyAlias [%s]:%d\n", p.line.Port, p.server.Host, p.server.Port)
	}
	text += fmt.Sprintf("Include %q\n", p.server.ConfigFile)
	file := filepath.Join(s.TempDir(), "ssh_config")
	s.check(os.WriteFile(file, []byte(text), 0o600))
	return file
}

// share opens a shared connection to the place. It returns the ssh configuration that uses it, and the id of
// the process that holds it.
func (p place) share(s *scope) (config string, pid int) {
	control := filepath.Join(s.TempDir(), "ssh")
	config = p.config(s, control)
	master := s.start(run.Command{Path: "ssh", Args: []string{"-F", config, "-oProxyCommand=none", "-MNT", p.server.Host}})
	s.poll("shared ssh connection", time.Minute, 5*time.Millisecond, func() bool {
		_, err := os.Stat(control)
		return err == nil
	})
	return config, master.PID()
}

// target is the destination as rsync writes it.
func (p place) target() string { return p.server.Host + ":" + p.destination + "/" }

// passing returns how many bytes pass on the line until f has returned.
func (h *host) passing(f func()) float64 {
	before := h.line.Passed()
	f()
	return float64(h.line.Passed() - before)
}
