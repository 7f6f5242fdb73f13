package rsync

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// config is the body of `transport "rsync"`.
type config struct {
	Timeout   time.Duration `hcl:"timeout,optional" doc:"Give up a transfer in which nothing moved for this long."`
	Compress  bool          `hcl:"compress,optional" doc:"Compress file contents on the way."`
	Partial   bool          `hcl:"partial,optional" doc:"Keep what arrived of an interrupted file in .filewatch-partial beside it, and go on from there."`
	HardLinks bool          `hcl:"hard_links,optional" doc:"Preserve hard links between files that are sent together."`
	ACLs      bool          `hcl:"acls,optional" doc:"Preserve POSIX access control lists."`
	XAttrs    bool          `hcl:"xattrs,optional" doc:"Preserve extended attributes."`
	Sparse    bool          `hcl:"sparse,optional" doc:"Turn long runs of zeros into holes."`
	Checksum  bool          `hcl:"checksum,optional" doc:"Compare contents instead of size and time."`
	Fsync     bool          `hcl:"fsync,optional" doc:"Have each file on the destination's disk before it counts as transferred; takes rsync 3.2.4 or later on both sides."`
	BWLimit   string        `hcl:"bwlimit,optional" doc:"Limit the rate, as rsync's --bwlimit: 10M is 10 MiB per second."`
	Args      []string      `hcl:"args,optional" doc:"Further rsync options, each as one element, such as --chmod=F644."`
	RsyncPath string        `hcl:"rsync_path,optional" doc:"The rsync program at the far end."`
	Standby   time.Duration `hcl:"standby,optional" doc:"For so long after a change, keep an rsync connected that waits for the next one: it is sent in milliseconds. \"0\" is never."`
	Parallel  int           `hcl:"parallel,optional" doc:"Compare a large tree with so many rsync at the same time."`
	SSH       *sshConfig    `hcl:"ssh,block" doc:"How ssh connects."`
}

// sshConfig is the ssh block.
type sshConfig struct {
	Port         int               `hcl:"port,optional" doc:"Port of the ssh server."`
	IdentityFile string            `hcl:"identity_file,optional" doc:"Private key; ~ is the home directory of the user that filewatch runs as."`
	ConfigFile   string            `hcl:"config_file,optional" doc:"Read instead of ~/.ssh/config."`
	Options      map[string]string `hcl:"options,optional" doc:"Options of ssh_config(5)."`
	Command      []string          `hcl:"command,optional" doc:"Program and first arguments to run instead of ssh."`
}

// defaultConfig returns the configuration of an empty block. 100 s is what operators have used with
// rsync: longer than a server's pauses, shorter than their patience. Somebody who has paused for 10 minutes
// will not miss 20 milliseconds.
func defaultConfig() *config {
	return &config{Timeout: 100 * time.Second, Standby: 10 * time.Minute, Parallel: 1}
}

// ssh returns the ssh block, an empty one if there is none.
func (c *config) ssh() sshConfig {
	if c.SSH == nil {
		return sshConfig{}
	}
	return *c.SSH
}

// hasArg reports whether the further options hold one, by its name or by a letter that may be among others.
func (c *config) hasArg(name, letter string) bool {
	return slices.ContainsFunc(c.Args, func(arg string) bool {
		if strings.HasPrefix(arg, "--") {
			return arg == name || strings.HasPrefix(arg, name+"=")
		}
		return letter != "" && strings.HasPrefix(arg, "-") && strings.Contains(arg, letter)
	})
}

// expandHome replaces a leading "~" or "~/" by the home directory.
func expandHome(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}
