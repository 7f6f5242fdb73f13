package rsync

import (
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// Exit codes of rsync with a meaning of their own here.
const (
	codePartial  = 23 // some files or attributes were not transferred
	codeVanished = 24 // some files vanished from the source meanwhile
)

// outcome is how an rsync run ended.
type outcome struct {
	exit     run.Exit
	stuck    bool // it hung, and was ended
	stdout   output
	messages messages
}

// partial reports whether all was transferred but certain paths.
func (o *outcome) partial() bool {
	return o.exit.Signal == 0 && (o.exit.Code == codePartial || o.exit.Code == codeVanished)
}

// job is a transfer.
type job struct {
	flags []string
	list  []string // nil = the whole root
	// compares is set when directories are compared with their contents, so that what is only at the
	// destination is deleted.
	compares bool
	// shallow is set when directories go without their contents.
	shallow bool
	// unfiltered is set when the sync block's exclude patterns have no say.
	unfiltered bool
}

// commonArgs are the arguments that all runs of a session share.
func (s *session) commonArgs(c caps) []string {
	cfg := s.config
	// -a without -r. All else of it, rather than -a, says that no run recurses unless asked to.
	args := []string{"-lptgoD", "--timeout=" + strconv.Itoa(int((cfg.Timeout+time.Second-1)/time.Second)), "--out-format=" + outFormat}
	if c.nanoseconds {
		// Otherwise a file rewritten at the same size within the same second counts as unchanged.
		args = append(args, "--modify-window=-1")
	}
	for _, o := range []struct {
		on   bool
		flag string
	}{
		{cfg.Compress, "--compress"},
		{cfg.Partial, "--partial-dir=" + partialDir},
		{cfg.HardLinks, "--hard-links"},
		{cfg.ACLs, "--acls"},
		{cfg.XAttrs, "--xattrs"},
		{cfg.Sparse, "--sparse"},
		{cfg.Checksum, "--checksum"},
		{cfg.BWLimit != "", "--bwlimit=" + cfg.BWLimit},
		{cfg.RsyncPath != "", "--rsync-path=" + cfg.RsyncPath},
	} {
		if o.on {
			args = append(args, o.flag)
		}
	}
	if s.shell != nil {
		args = append(args, "--rsh="+joinShell(s.shell))
		if !plainPath(s.req.Destination.Path) {
			// rsync before 3.2.4 leaves the path to the remote shell to split.
			args = append(args, "--protect-args")
		}
	}
	return append(args, cfg.Args...)
}

// pathsJob transfers entries of a list.
func (s *session) pathsJob(entries []entry) job {
	j := job{
		list:     lines(entries, s.caps.missingArgs),
		shallow:  true,
		compares: s.req.Delete && comparesDirs(entries, s.caps.missingArgs),
	}
	if !s.caps.nanoseconds {
		j.flags = append(j.flags, "--ignore-times")
	}
	if !s.req.Delete {
		return j
	}
	j.flags = append(j.flags, "--force")
	if s.caps.missingArgs {
		j.flags = append(j.flags, "--delete-missing-args")
	}
	// With --delete the receiver gets the filter rules and protects what they exclude. No directory is
	// compared for it unless it is listed with a slash at its end.
	if j.compares || !s.filter.Empty() {
		j.flags = append(j.flags, "--delete")
	}
	return j
}

// treesJob compares subtrees in full: those in the list, or the whole root.
func (s *session) treesJob(list []string) job {
	j := job{flags: []string{"--recursive"}, list: list, compares: s.req.Delete}
	if !s.caps.nanoseconds {
		// Not --ignore-times, which would write every file anew.
		j.flags = append(j.flags, "--checksum")
	}
	if s.req.Delete {
		j.flags = append(j.flags, "--delete", "--force")
	}
	return j
}

// rootJob transfers the root's own attributes and nothing else.
func (s *session) rootJob() job {
	return job{flags: []string{"--dirs", "--exclude=/*"}, unfiltered: true}
}

// run runs a job. An error means that rsync could not be run at all.
func (s *session) run(ctx context.Context, j job, dry bool) (*outcome, error) {
	args := append(s.commonArgs(s.caps), j.flags...)
	if dry {
		args = append(args, "--dry-run")
	}
	if !j.unfiltered {
		args = append(args, s.excludeArgs()...)
	}
	if j.list != nil {
		args = append(args, "--from0", "--files-from=-")
	}
	report := s.count.report
	if dry {
		report = nil
	}
	out, err := s.rsync(ctx, args, j.list, report)
	if err == nil && !dry {
		s.count.add(&out.stdout)
	}
	return out, err
}

// rsync runs rsync from the root to the destination. An error means that it could not be run at all,
// or that ctx has ended. What report is called with comes from standard output; nil means a dry run.
func (s *session) rsync(ctx context.Context, args, list []string, report func(files, bytes uint64)) (*outcome, error) {
	out := &outcome{}
	out.stdout.progress = report
	out.stdout.keep = report == nil
	args = append(args, "--", withSlash(s.req.Source), target(s.req.Destination))
	var stdin io.Reader
	if len(list) > 0 {
		stdin = strings.NewReader(strings.Join(list, "\x00") + "\x00")
	}
	sdk.Logger(ctx).Trace("run rsync", "args", args, "list", len(list))
	p, err := run.Start(ctx, run.Command{
		Path: "rsync",
		Args: args,
		// The messages of rsync and ssh are read.
		Env:    []string{"LC_ALL=C"},
		Stdin:  stdin,
		Stdout: &out.stdout,
		Stderr: &out.messages,
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, startFailure(err)
	}
	if stuck(p.PID(), s.config.Timeout, p.Done()) {
		out.stuck = true
		p.Stop()
	}
	out.exit = p.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return out, nil
}
