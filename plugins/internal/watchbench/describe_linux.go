package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// describe prints what is measured, on what, and how.
func (b *benchmark) describe() error {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return err
	}
	memory, err := field("/proc/meminfo", "MemTotal:")
	if err != nil {
		return err
	}
	fs, inode, err := fileSystem(b.dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "Watchers, measured %s by `make bench-watch`\n\n", time.Now().UTC().Format(time.DateOnly))
	fmt.Fprintf(b.out, "machine      %d × %s, %.0f GB\n", runtime.NumCPU(), processor(), float64(memory)/1e9)
	fmt.Fprintf(b.out, "kernel       %s %s %s\n", unix.ByteSliceToString(uts.Sysname[:]), unix.ByteSliceToString(uts.Release[:]), unix.ByteSliceToString(uts.Machine[:]))
	fmt.Fprintf(b.out, "file system  %s, %s\n", fs, b.dir)
	fmt.Fprintf(b.out, "programs     %s; %s; %s; %s\n\n", firstLine(b.filewatch, "version"), runtime.Version(), firstLine("inotifywait", "--help"), firstLine("find", "--version"))
	fmt.Fprint(b.out, notes)
	if inode > 0 {
		fmt.Fprintf(b.out, "Besides, each directory with an inotify watch keeps its inode in memory: on %s %d bytes (/proc/slabinfo).\n", fs, inode)
	}
	fmt.Fprintln(b.out)
	return nil
}

const notes = `All is in the kernel's caches. Each watcher of filewatch is a plugin process of its own, asked over gRPC.
Process start: until it has answered. Until ready: from the request until everything is watched; of
inotifywait, from its start until it says so. User memory: PSS when ready, less that with an empty tree. Kernel
memory: growth of SUnreclaim in /proc/meminfo until then, other processes' included. An event: what the
kernel tells of a write to one of many files, two for each. Missed: nothing told of the path after the
change, nor that its directory came with all that is in it. Idle: in each of 20 short spans; fanotify is
woken, then and while events are counted, by all that other programs do in the same file system, so compare it
on one that nobody else uses (-dir).
`

// processor returns the name of the processor.
func processor() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// firstLine returns the first line that a command prints.
func firstLine(name string, args ...string) string {
	out, _ := exec.Command(name, args...).Output() // inotifywait --help fails
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
