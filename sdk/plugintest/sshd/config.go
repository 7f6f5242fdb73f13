package sshd

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// configure writes sshd_config, known_hosts and ssh_config for s.Port.
func (s *Server) configure() error {
	if err := os.WriteFile(s.path("sshd_config"), []byte(s.serverConfig()), 0o600); err != nil {
		return err
	}
	if s.args == nil {
		if err := s.check(); err != nil {
			return err
		}
	}
	if err := s.knownHosts("known_hosts", "host_key"); err != nil {
		return err
	}
	return s.clientConfig(s.ConfigFile, s.IdentityFile, s.KnownHosts)
}

func (s *Server) serverConfig() string {
	env := map[string]string{"HOME": s.path("home")}
	maps.Copy(env, s.env)
	vars := []string{quote(s.marker)}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		vars = append(vars, quote(name+"="+env[name]))
	}
	pam := "no"
	if s.pam {
		pam = "yes"
	}
	return lines(append(slices.Clone(s.lines),
		"Port "+fmt.Sprint(s.Port),
		"ListenAddress "+s.Host,
		"HostKey "+quote(s.path("host_key")),
		"PidFile none",
		"AuthorizedKeysFile "+quote(s.path("id.pub")),
		"StrictModes no",
		"UsePAM "+pam,
		"UseDNS no",
		"PermitRootLogin yes",
		"PubkeyAuthentication yes",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"PermitUserRC no",
		"PrintMotd no",
		"PrintLastLog no",
		// Many runs at once, and many over one connection, are what is tested.
		"MaxStartups 200",
		"MaxSessions 200",
		"Subsystem sftp internal-sftp",
		// Only the first SetEnv counts.
		"SetEnv "+strings.Join(vars, " "),
	))
}

// locked reports whether user has a password that, without PAM, makes sshd refuse keys as well: one
// that starts with "!", as that of root does on some systems.
func locked(shadow []byte, user string) bool {
	return bytes.Contains(append([]byte{'\n'}, shadow...), []byte("\n"+user+":!"))
}

// ClientConfig writes a further configuration for ssh -F, which offers only the key identity and trusts
// only the hosts in the file knownHosts, and returns its path.
func (s *Server) ClientConfig(identity, knownHosts string) string {
	s.t.Helper()
	f, err := os.CreateTemp(s.dir, "ssh_config-")
	if err != nil {
		s.t.Fatalf("sshd: %v", err)
	}
	f.Close()
	if err := s.clientConfig(f.Name(), identity, knownHosts); err != nil {
		s.t.Fatalf("sshd: %v", err)
	}
	return f.Name()
}

func (s *Server) clientConfig(file, identity, knownHosts string) error {
	return os.WriteFile(file, []byte(lines([]string{
		"Host *",
		"HostName " + s.Host,
		"Port " + fmt.Sprint(s.Port),
		"User " + s.User,
		"IdentityFile " + quote(identity),
		"IdentitiesOnly yes",
		"IdentityAgent none",
		"UserKnownHostsFile " + quote(knownHosts),
		"GlobalKnownHostsFile /dev/null",
		"StrictHostKeyChecking yes",
		"UpdateHostKeys no",
		"PreferredAuthentications publickey",
		"BatchMode yes",
	})), 0o600)
}

// RefusedIdentity returns a private key that the server does not let in.
func (s *Server) RefusedIdentity() string {
	s.t.Helper()
	return s.once("id_refused", func() error { return s.keygen("id_refused") })
}

// EmptyKnownHosts returns a known_hosts file in which the server is unknown.
func (s *Server) EmptyKnownHosts() string {
	s.t.Helper()
	return s.once("known_hosts_empty", func() error {
		return os.WriteFile(s.path("known_hosts_empty"), nil, 0o600)
	})
}

// ChangedKnownHosts returns a known_hosts file in which the server has another key.
func (s *Server) ChangedKnownHosts() string {
	s.t.Helper()
	s.RefusedIdentity()
	return s.once("known_hosts_changed", func() error { return s.knownHosts("known_hosts_changed", "id_refused") })
}

// once makes the file name unless it is there.
func (s *Server) once(name string, create func() error) string {
	s.t.Helper()
	if _, err := os.Stat(s.path(name)); err != nil {
		if err := create(); err != nil {
			s.t.Fatalf("sshd: %v", err)
		}
	}
	return s.path(name)
}

// knownHosts writes the file name, in which the server's key is key.
func (s *Server) knownHosts(name, key string) error {
	pub, err := os.ReadFile(s.path(key + ".pub"))
	if err != nil {
		return err
	}
	return os.WriteFile(s.path(name), fmt.Appendf(nil, "[%s]:%d %s", s.Host, s.Port, pub), 0o600)
}

func (s *Server) keygen(name string) error {
	out, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", s.path(name)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ssh-keygen: %w\n%s", err, out)
	}
	return nil
}

// quote protects spaces in a value of an ssh configuration.
func quote(value string) string { return `"` + value + `"` }

func lines(l []string) string { return strings.Join(l, "\n") + "\n" }
