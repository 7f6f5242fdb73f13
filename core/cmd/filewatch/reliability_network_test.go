package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/filewatch/filewatch/core/internal/status"
	"github.com/filewatch/filewatch/sdk/plugintest/proc"
	"github.com/filewatch/filewatch/sdk/plugintest/proxy"
	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

// overProxy is a sync block to a private sshd behind a proxy. More goes into the transport's block, and
// options into that of ssh.
func overProxy(t *testing.T, source, destination, more, options string) (string, *proxy.Proxy) {
	t.Helper()
	s := sshd.Start(t, sshd.Config{})
	p := proxy.Start(t, fmt.Sprintf("%s:%d", s.Host, s.Port))
	return fmt.Sprintf(`
sync "s" {
  source      = %q
  destination = %q
  transport "rsync" {
    %s
    ssh {
      config_file = %q
      port        = %d
      options     = { HostKeyAlias = "[%s]:%d", %s }
    }
  }
}
`, source+"/", "127.0.0.1:"+destination, more, s.ConfigFile, p.Port, s.Host, s.Port, options), p
}

// The connection breaks off in the middle of a transfer, again and again.
func TestConnectionCut(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, config)
	from := d.saidInSync(t)
	for i := range 3 {
		p.CutAfter(300_000)
		shell(t, source, fmt.Sprintf("head -c 1000000 /dev/urandom > big; echo %d > small; rm -f gone; touch new-%d", i, i))
		from = d.tells(from, "nothing could be sent", "")
		d.notInSync(t, from)
		if len(matching(t, destination+"/big")) > 0 && i == 0 {
			t.Error("half a file has its final name")
		}
		d.do("resync", "s") // rather than wait for the next try
		d.flushed(t)
		same(t, source, destination)
	}
}

// A slow line is no failure.
func TestSlowConnection(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	config, p := overProxy(t, source, destination, "", "")
	d := startDaemon(t, config)
	from := d.saidInSync(t)
	p.Delay(50 * time.Millisecond)
	p.Throttle(400_000)
	shell(t, source, "head -c 400000 /dev/urandom > big; mkdir dir; echo x > dir/x; rm first")
	d.do("flush", "-timeout", "1m")
	same(t, source, destination)
	for _, l := range d.log()[from:] {
		if l.Level == "warn" || l.Level == "error" {
			t.Errorf("it complains: %s", l.Text)
		}
	}
}

// The line goes dead in the midst of a file. The far end, which does not know, still has the first half under
// its temporary name when the second try begins.
func TestBlackHoleInMidFile(t *testing.T) {
	t.Parallel()
	for _, partial := range []bool{false, true} {
		t.Run(fmt.Sprint("partial ", partial), func(t *testing.T) {
			source, destination := dirs(t)
			config, p := overProxy(t, source, destination, fmt.Sprintf("timeout = \"20s\"\nstandby = \"0\"\npartial = %v", partial), `ServerAliveInterval = "1", ServerAliveCountMax = "2", ConnectTimeout = "1"`)
			d := startDaemon(t, config)
			d.flushed(t)
			p.Throttle(500_000)
			shell(t, source, "head -c 3000000 /dev/urandom > big")
			d.transferring(t, destination)
			p.BlackHole()
			d.waitStatus(t, "s", status.Away)
			shell(t, source, "head -c 2000000 /dev/urandom > new; mv new big")
			p.Throttle(0)
			p.Heal()
			d.flushed(t)
			same(t, source, destination)
			// Nor does anything come of the first try later.
			eventually(t, "the first try has ended", func() bool { return len(proc.WithArg(destination+"/")) == 0 })
			same(t, source, destination)
		})
	}
}

// The line goes dead and nobody is told: a firewall that forgot, a cable that was pulled. ssh notices by
// messages that are not answered, rsync by silence.
func TestBlackHole(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, more, options string }{
		{"ssh", "", `ServerAliveInterval = "1", ServerAliveCountMax = "2", ConnectTimeout = "1"`},
		{"rsync", `timeout = "2s"`, `ServerAliveInterval = "0", ConnectTimeout = "1"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			source, destination := dirs(t)
			config, p := overProxy(t, source, destination, test.more, test.options)
			d := startDaemon(t, config)
			from := d.saidInSync(t)
			p.BlackHole()
			shell(t, source, "echo more > more; rm first")
			s := d.waitStatus(t, "s", status.Away)
			if s.Away.Text == "" || s.Away.Since.IsZero() || s.Pending == 0 {
				t.Errorf("%+v, %d pending", s.Away, s.Pending)
			}
			t.Log(s.Away.Text)
			if why := d.cannotFlush(t); !strings.Contains(why, destination) {
				t.Errorf("flush says %q", why)
			}
			d.notInSync(t, from)
			if text := d.do("status"); !strings.Contains(text, "away for ") {
				t.Errorf("status says\n%s", text)
			}
			p.Heal()
			tree.WaitEqual(t, source, destination, patience, tree.Options{})
			d.flushed(t)
			d.waitMessage(from, "s", "in sync")
		})
	}
}
