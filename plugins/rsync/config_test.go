package rsync

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/schema"
)

func TestSchema(t *testing.T) {
	s := schema.Of(newTransport().Config())
	var names []string
	for _, a := range s.Attributes {
		names = append(names, a.Name)
		if a.Required || a.Description == "" {
			t.Errorf("%s: required %v, description %q", a.Name, a.Required, a.Description)
		}
	}
	want := "timeout compress partial hard_links acls xattrs sparse checksum fsync bwlimit args rsync_path standby parallel"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("attributes %s, want %s", got, want)
	}
	if len(s.Blocks) != 1 || s.Blocks[0].Name != "ssh" || len(s.Blocks[0].Schema.Attributes) != 5 {
		t.Errorf("%+v", s.Blocks)
	}
	if d := defaultConfig(); d.Timeout != 100*time.Second {
		t.Errorf("timeout %v", d.Timeout)
	}
}

func TestValidate(t *testing.T) {
	ssh := sdk.Endpoint{Scheme: "ssh", Host: "h", Path: "/x"}
	warning := "warning: "
	for _, tt := range []struct {
		name   string
		config config
		e      sdk.Endpoint
		want   []string // severity, path
	}{
		{"defaults", *defaultConfig(), ssh, nil},
		{"all well", config{Timeout: time.Second, BWLimit: "1.5M", Args: []string{"--chmod=F644", "-x=", "--no-whole-file"}[:1], SSH: &sshConfig{Port: 22, Options: map[string]string{"StrictHostKeyChecking": "accept-new"}, Command: []string{"ssh"}}}, ssh, nil},
		{"timeout", config{}, ssh, []string{"timeout"}},
		{"rate", config{Timeout: time.Second, BWLimit: "fast"}, ssh, []string{"bwlimit"}},
		{"parallel", config{Timeout: time.Second, Parallel: maxParallel + 1}, ssh, []string{"parallel"}},
		{"args", config{Timeout: time.Second, Args: []string{"--chmod=F644", "--delete-after", "x"}}, ssh, []string{"args/1", "args/2"}},
		{"inplace", config{Timeout: time.Second, Args: []string{"--inplace"}}, ssh, []string{warning + "args/0"}},
		{"inplace and partial", config{Timeout: time.Second, Partial: true, Args: []string{"--inplace"}}, ssh, []string{"args/0"}},
		{"port", config{Timeout: time.Second, SSH: &sshConfig{Port: 70000}}, ssh, []string{"ssh/port"}},
		{"files", config{Timeout: time.Second, SSH: &sshConfig{IdentityFile: "/no/such", ConfigFile: "/no/such", Options: map[string]string{}}}, ssh, []string{warning + "ssh/identity_file", warning + "ssh/config_file"}},
		{"tokens", config{Timeout: time.Second, SSH: &sshConfig{IdentityFile: "/no/%h"}}, ssh, nil},
		{"options", config{Timeout: time.Second, SSH: &sshConfig{Options: map[string]string{"Control Path": "x", "ControlPath": "x", "User": "a\nb", "Port": "1"}}}, ssh, []string{"ssh/options/Control Path", "ssh/options/ControlPath", "ssh/options/User"}},
		{"command", config{Timeout: time.Second, SSH: &sshConfig{Command: []string{""}}}, ssh, []string{"ssh/command"}},
		{"ssh without ssh", config{Timeout: time.Second, SSH: &sshConfig{}}, sdk.Endpoint{Path: "/x"}, []string{warning + "ssh"}},
		{"daemon", config{Timeout: time.Second}, sdk.Endpoint{Scheme: "rsync", Host: "h", Path: "m"}, nil},
		{"scheme", config{Timeout: time.Second}, sdk.Endpoint{Scheme: "s3", Host: "h", Path: "m"}, []string{"destination"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, d := range newTransport().Validate(t.Context(), sdk.ValidateRequest{Destination: tt.e, Config: &tt.config}) {
				var steps []string
				for _, s := range d.Path {
					steps = append(steps, fmt.Sprint(s))
				}
				where := strings.Join(steps, "/")
				if d.Subject == sdk.SubjectDestination {
					where = "destination"
				}
				if d.Severity == sdk.SeverityWarning {
					where = warning + where
				}
				if d.Summary == "" || !strings.HasSuffix(d.Detail, ".") {
					t.Errorf("%s: %q is not a sentence", d.Summary, d.Detail)
				}
				got = append(got, where)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestAllowArg(t *testing.T) {
	for arg, allowed := range map[string]bool{
		"--chmod=D755,F644": true, "--numeric-ids": true, "-W": true, "-HAX": true, "--inplace": true, "-M--fake-super": true,
		"--temp-dir=/tmp": true, "-T/tmp": true, "--no-owner": true, "--no-g": true, "--fsync": true, "--omit-dir-times": true,
		"--no-inc-recursive": true, "--max-delete=5": false, "--no-motd": true, "--mkpath": true, "--no-perms": true,
		"--password-file=/etc/x": true, "--no-x": true,

		"": false, "-": false, "--": false, "value": false, "/path": false, "host:path": false, "--a\nb": false,
		"--delete": false, "--delete-excluded": false, "--del": false, "--no-delete": false,
		"--files-from=x": false, "--no-from0": false, "-0": false, "--dry-run": false, "-n": false, "-Wn": false, "-nW": false,
		"--out-format=x": false, "-e": false, "-essh": false, "--rsh=ssh": false, "-Wessh": false, "--recursive": false,
		"-a": false, "-r": false, "-av": false, "--no-r": false, "--no-recursive": false, "--fuzzy": false, "-y": false,
		"--remove-source-files": false, "--exclude=x": false, "-f- x": false, "--no-times": false, "--no-t": false,
		"--ignore-errors": false, "--existing": false, "--size-only": false, "--copy-links": false, "-L": false,
		"-h": false, "-T": false, "-?": false, "--max-size=1": false, "--force": false, "--no-force": false,
		"--partial": false, "--timeout=5": false, "--modify-window=2": false, "-@2": false, "--no-implied-dirs": false,
		"--relative": false, "-R": false, "--no-R": false, "--daemon": false, "--server": false, "--ignore-missing-args": false,
	} {
		if text := allowArg(arg); (text == "") != allowed {
			t.Errorf("%q: %q, want allowed %v", arg, text, allowed)
		}
	}
}

func TestExpandHome(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	for in, want := range map[string]string{"~": "/home/u", "~/.ssh/id": "/home/u/.ssh/id", "~other/x": "~other/x", "/a/~": "/a/~", "": "", "rel": "rel"} {
		if got := expandHome(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestSSHCommand(t *testing.T) {
	t.Setenv("HOME", "/home/u")
	got := sshCommand(sshConfig{
		Port: 2222, IdentityFile: "~/my keys/it's", ConfigFile: "~/c", Command: []string{"sshpass", "-e", "ssh"},
		Options: map[string]string{"ConnectTimeout": "3", "AddressFamily": "inet"},
	}, sdk.Endpoint{Port: 1})
	want := "sshpass|-e|ssh|-oBatchMode=yes|-oControlMaster=no|-oControlPersist=no|-oAddressFamily=inet|-oConnectTimeout=3|" +
		"-oConnectTimeout=10|-oServerAliveInterval=15|-oServerAliveCountMax=1|-oCompression=no|-oLogLevel=ERROR|-oClearAllForwardings=yes|-T|-x|" +
		"-p|2222|-i|/home/u/my keys/it's|-F|/home/u/c"
	if strings.Join(got, "|") != want {
		t.Errorf("got  %s\nwant %s", strings.Join(got, "|"), want)
	}
	if quoted := joinShell(got); !strings.Contains(quoted, `'/home/u/my keys/it''s'`) {
		t.Errorf("%s", quoted)
	}
}

// Every short option that this rsync knows is judged.
func TestShortOptionsAreComplete(t *testing.T) {
	t.Parallel()
	f := local(t)
	for c := byte('0'); c <= 'z'; c++ {
		if _, ok := shortOptions[c]; ok || c > '9' && c < '@' || c > 'Z' && c < 'a' {
			continue
		}
		wrong := filepath.Join(f.src, "x")
		f.must(os.WriteFile(wrong, nil, 0o644))
		f.config().Args = []string{"-" + string(c)}
		if _, err := f.try(paths("x")...); err == nil {
			t.Errorf("rsync takes -%c, which is not in the table", c)
		}
	}
}
