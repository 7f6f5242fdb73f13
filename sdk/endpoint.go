package sdk

import (
	"strconv"
	"strings"
)

// Schemes of destinations that need no "://" to be recognized.
const (
	SchemeLocal = ""    // a path on this machine
	SchemeSSH   = "ssh" // host:path
)

// Endpoint is a destination as the operator wrote it, taken apart.
type Endpoint struct {
	Scheme string // SchemeLocal, SchemeSSH, or what stood before "://", such as "rsync"
	User   string
	Host   string // without brackets
	Port   int    // 0 = not given
	Path   string // absolute for SchemeLocal, otherwise as written
}

// String returns the endpoint in the form operators write, such as "root@web1:/srv" or
// "rsync://web1/module/srv".
func (e Endpoint) String() string {
	if e.Scheme == SchemeLocal {
		return e.Path
	}
	host := e.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if e.User != "" {
		host = e.User + "@" + host
	}
	if e.Scheme == SchemeSSH {
		return host + ":" + e.Path
	}
	if e.Port != 0 {
		host += ":" + strconv.Itoa(e.Port)
	}
	return e.Scheme + "://" + host + "/" + strings.TrimPrefix(e.Path, "/")
}
