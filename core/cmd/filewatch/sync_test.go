package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/filewatch/filewatch/sdk/plugintest/sshd"
	"github.com/filewatch/filewatch/sdk/plugintest/tree"
)

func TestOperatorsWalk(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	shell(t, source, "echo before > first; mkdir -p nested/deep/deeper; echo x > nested/deep/deeper/file")
	d := startDaemon(t, sshSync("walk", source, destination, sshd.Start(t, sshd.Config{}), ""))
	at := d.waitMessage(0, "walk", "in sync")
	tree.WaitEqual(t, source, destination, patience, tree.Options{})

	for _, step := range []string{
		"mkdir test",
		"echo a > a",
		"ln -s a a.link",
		"chmod a+w a",
		"printf b > a",
		"touch -d '2001-02-03 04:05:06.789' a",
		"mv a b; mv b a",
		"rm a",
		"rm a.link",
		"rm -rf nested",
		"chown 12:34 test",
	} {
		shell(t, source, step)
		at = d.waitMessage(at, "walk", "in sync")
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
	}
	d.wait(0, "CREATE test/", func(l line) bool { return strings.Contains(l.Op, "CREATE") && l.Path == "test/" })
	d.wait(0, "sent test/", func(l line) bool { return l.Message == "sent" && l.Path == "test/" })
}

func TestHardLinks(t *testing.T) {
	t.Parallel()
	source, destination := dirs(t)
	shell(t, source, "mkdir -p a/b c; echo 1 > a/b/first; ln a/b/first c/second; ln c/second third; echo 1 > a/b/pair; ln a/b/pair pair")
	config := localSync("plain", source, destination, "")
	d := startDaemon(t, config)
	at := d.waitMessage(0, "plain", "in sync")
	for _, step := range []string{
		"echo 2 > third",
		"chmod 600 a/b/first",
		"echo 3 > c/second; rm a/b/first",
		"ln third a/b/fourth; echo 4 >> third",
		"echo 5 > pair; rm pair; echo 6 >> a/b/pair",
	} {
		shell(t, source, step)
		at = d.waitMessage(at, "plain", "in sync")
		tree.WaitEqual(t, source, destination, patience, tree.Options{})
	}
}

func TestOnlyTheBlockThatChangedTransfers(t *testing.T) {
	t.Parallel()
	config := ""
	var sources, destinations []string
	names := []string{"one", "two", "three"}
	for _, name := range names {
		source, destination := dirs(t)
		sources, destinations = append(sources, source), append(destinations, destination)
		config += localSync(name, source, destination, "")
	}
	d := startDaemon(t, config)
	for _, name := range names {
		d.waitMessage(0, name, "in sync")
	}
	from := len(d.log())
	at := from
	for range 5 {
		shell(t, sources[1], "echo x >> file")
		at = d.waitMessage(at, "two", "in sync")
	}
	tree.WaitEqual(t, sources[1], destinations[1], patience, tree.Options{})
	for _, l := range d.log()[from:] {
		if l.Sync != "" && l.Sync != "two" {
			t.Errorf("a change in two made sync %s say %s", l.Sync, l.Text)
		}
	}
}

func TestUnreachableDestinationHoldsUpNobody(t *testing.T) {
	t.Parallel()
	source, near := dirs(t)
	far := filepath.Join(filepath.Dir(near), "far")
	if err := os.Mkdir(far, 0o755); err != nil {
		t.Fatal(err)
	}
	server := sshd.Start(t, sshd.Config{})
	server.Stop()
	config := strings.Replace(sshSync("two", source, far, server, ""), `destination = "127.0.0.1:`+far+`"`,
		`destination = ["127.0.0.1:`+far+`", "`+near+`"]`, 1)
	d := startDaemon(t, config)
	shell(t, source, "mkdir a; echo x > a/b")
	tree.WaitEqual(t, source, near, patience, tree.Options{})
	d.wait(0, "that the far destination cannot be reached", func(l line) bool {
		return strings.HasPrefix(l.Message, "nothing could be sent") && strings.HasSuffix(l.Destination, far)
	})
	shell(t, source, "echo y > a/c; rm a/b")
	tree.WaitEqual(t, source, near, patience, tree.Options{})
	server.Restart()
	tree.WaitEqual(t, source, far, 2*patience, tree.Options{})
}
