package rsync

import (
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/run"
)

// Exit codes of rsync with a meaning of their own here.
const (
	codePartial  = 23 // some files or attributes were not transferred
	codeVanished = 24 // some files vanished from the source meanwhile
	codeLimit    = 25 // --max-delete stopped deletions, and nothing else went wrong
)

// outcome is how an rsync run ended.
type outcome struct {
	exit     run.Exit
	mode     mode
	stuck    bool // it hung, and was ended
	counted  bool // what it does is part of the result
	stdout   output
	messages messages
}

// partial reports whether all was transferred but certain paths.
func (o *outcome) partial() bool {
	if o.exit.Signal != 0 {
		return false
	}
	return o.exit.Code == codePartial || o.exit.Code == codeVanished || o.exit.Code == codeLimit && o.mode.limit >= 0
}

// ran reports whether the run came to its end: all was looked at, whatever went wrong with single paths.
func (o *outcome) ran() bool { return !o.stuck && (o.exit.OK() || o.partial()) }

// stopped reports whether the limit kept deletions from being done. rsync tells that by codeLimit alone
// only when nothing else went wrong.
func (o *outcome) stopped() bool {
	return o.mode.limit >= 0 && (o.exit.Code == codeLimit || o.skipped() > 0)
}

// skipped is how many deletions the limit stopped. rsync before 3.1 says it on standard output.
func (o *outcome) skipped() uint64 { return o.stdout.skipped + o.messages.skipped }

// obstructed reports whether a run has left something that takes removing more than it might.
func (o *outcome) obstructed() bool {
	if o.mode.thorough {
		return o.stopped()
	}
	return o.stdout.keptCount > 0 || o.messages.way
}

// job is a transfer.
type job struct {
	flags []string
	list  []string // nil = none: the root
	full  bool     // all of the root is compared
	// thorough are further flags for a run that removes what it takes: directories with what is in them,
	// and in directories that are compared what is only at the destination.
	thorough []string
	// compares is set when directories are compared with their contents.
	compares bool
	// shallow is set when directories go without their contents.
	shallow bool
	// unfiltered is set when the sync block's exclude patterns have no say.
	unfiltered bool
	// sweeps is set when only what earlier tries have left is looked at.
	sweeps bool
	// rules are filter rules after those of the sync block.
	rules []string
	// gone are the entries of the list that are to be removed.
	gone []string
	// told is how many entries are gone by what the changes say, those of directories included.
	told int
	// sent is set when all that the source has of it has been sent before: it is to remove the rest.
	sent bool
	// alike is set when it compares by content what looks alike by size and time.
	alike bool
	// unfolded are the directories of the list that may be new, because they are of a subtree.
	unfolded map[string]bool
}

// mode is how a job is run.
type mode struct {
	// thorough removes what it takes. Otherwise a run removes the listed entries at most, directories
	// only when they are empty.
	thorough bool
	limit    int  // of removed entries; negative = none
	expect   int  // entries to be removed, with a limit; 0 = not known
	dry      bool // change nothing
}

const noLimit = -1

// itemizeSame prints what needs nothing, too.
const itemizeSame = "-ii"

// deleteMissing removes what the list names and the source does not have.
const deleteMissing = "--delete-missing-args"

// suitsStandby reports whether a run of a job touches nothing but what its list names.
func (j job) suitsStandby(m mode) bool {
	return j.shallow && !j.compares && !j.alike && m == (mode{limit: noLimit})
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
		{cfg.Fsync, "--fsync"},
		{cfg.BWLimit != "", "--bwlimit=" + cfg.BWLimit},
		{cfg.RsyncPath != "", "--rsync-path=" + cfg.RsyncPath},
	} {
		if o.on {
			args = append(args, o.flag)
		}
	}
	if s.shell != nil {
		args = append(args, "--rsh="+joinShell(s.rsh()))
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
		sent:     true,
		unfolded: map[string]bool{},
	}
	for _, e := range entries {
		switch {
		case e.state.gone():
			j.gone = append(j.gone, e.path)
			j.told += e.told()
			continue
		case e.unfolded && e.state == stateDir:
			j.unfolded[e.path] = true
		}
		j.sent = false
	}
	// A file may grow after it was looked at.
	j.flags = append(j.flags, s.sizeArgs()...)
	if s.asked != nil {
		j.flags = append(j.flags, itemizeSame)
	}
	if !s.caps.nanoseconds {
		j.flags = append(j.flags, "--ignore-times")
	}
	if !s.req.Delete {
		return j
	}
	if s.caps.missingArgs {
		j.flags = append(j.flags, deleteMissing)
	}
	j.thorough = []string{"--force"}
	// With --delete the receiver gets the filter rules and protects what they exclude. No directory is
	// compared for it unless it is listed with a slash at its end.
	if j.compares || !s.filter.Empty() {
		j.thorough = append(j.thorough, "--delete")
	}
	return j
}

// treesJob compares subtrees in full: those in the list, or the whole root.
func (s *session) treesJob(list []string) job {
	j := job{flags: []string{"--recursive"}, list: list, full: list == nil, compares: s.req.Delete}
	j.flags = append(j.flags, s.sizeArgs()...)
	if j.full {
		j.flags = append(j.flags, "--stats") // tells the number of entries
	}
	if !s.caps.nanoseconds {
		// Not --ignore-times, which would write every file anew.
		j.flags = append(j.flags, "--checksum")
	}
	if s.req.Delete {
		// Deletions after all else, so that what was renamed is there under one name at least.
		j.thorough = []string{"--delete-delay", "--force"}
	}
	return j
}

// rootJob transfers the root's own attributes and nothing else.
func (s *session) rootJob() job {
	return job{flags: []string{"--dirs", "--exclude=/*"}, unfiltered: true}
}

// args returns rsync's arguments for a job, but for source and destination.
func (s *session) args(j job, m mode) []string {
	args := append(s.commonArgs(s.caps), j.flags...)
	if m.thorough {
		args = append(args, j.thorough...)
	}
	if m.limit >= 0 {
		args = append(args, "--max-delete="+strconv.Itoa(m.limit))
	}
	if m.dry {
		args = append(args, "--dry-run")
	}
	if !j.unfiltered {
		args = append(args, s.excludeArgs(j, m)...)
	}
	for _, rule := range j.rules {
		args = append(args, "--filter="+rule)
	}
	if j.list != nil {
		args = append(args, "--from0", "--files-from=-")
	}
	return args
}

// run runs a job. An error means that rsync could not be run at all.
func (s *session) run(ctx context.Context, j job, m mode) (*outcome, error) {
	out, err := s.runOn(ctx, s.args(j, m), j, m)
	if err != nil {
		return nil, err
	}
	if j.full && out.ran() {
		s.count.result.Entries = out.stdout.entries
	}
	return out, nil
}

// runOn runs a job on the standby, if there is one for it, or else on an rsync of its own. Those that a
// standby could have run are followed by one.
func (s *session) runOn(ctx context.Context, args []string, j job, m mode) (*outcome, error) {
	suits := j.suitsStandby(m)
	if suits {
		if out, err := s.runStandby(ctx, args, j, m); out != nil || err != nil {
			return out, err
		}
	}
	own := s.leavingVanished(args, j)
	if out, err := s.runPrestarted(ctx, own, j, m); out != nil || err != nil {
		return out, err
	}
	out := s.outcome(m)
	// What it removes in earnest was never the source's.
	out.stdout.listing = out.stdout.listing && !(j.sweeps && !m.dry)
	measured := func() {}
	if j.full && out.counted && !m.dry {
		measured = s.measured(ctx, &out.stdout)
	}
	err := s.rsync(ctx, own, j.list, out)
	measured()
	s.presume(j, out)
	if err != nil {
		return nil, err
	}
	if suits && out.ran() {
		s.prepare(ctx, args)
	}
	return out, nil
}

// outcome returns an outcome to be filled.
func (s *session) outcome(m mode) *outcome {
	out := &outcome{mode: m, counted: m.dry == s.req.DryRun}
	if s.sizeArgs() != nil {
		out.stdout.over = map[string]bool{}
	}
	out.stdout.keep = m.dry
	if out.counted && !m.dry {
		out.stdout.alike = s.alike
	}
	if out.counted {
		out.stdout.progress = s.count.report
		out.stdout.counted = s.presumed
		out.stdout.listing = s.req.List || s.req.DryRun
		out.stdout.asked = s.asked
	}
	return out
}

// rsync runs rsync from the root to the destination and tells in out how it ended. An error means that
// it could not be run at all, or that ctx has ended.
func (s *session) rsync(ctx context.Context, args, list []string, out *outcome) error {
	args = append(args, "--", withSlash(s.req.Source), target(s.req.Destination))
	var stdin io.Reader
	if len(list) > 0 {
		stdin = lines0(list)
	}
	sdk.Logger(ctx).Trace("run rsync", "args", args, "list", len(list))
	spool := newSpool(&out.stdout)
	p, err := s.start(ctx, run.Command{
		Path: s.t.program,
		Args: args,
		// The messages of rsync and ssh are read.
		Env:    []string{"LC_ALL=C"},
		Stdin:  stdin,
		Stdout: spool.stdout(),
		Stderr: &out.messages,
	})
	if err != nil {
		_ = spool.file.Close()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return startFailure(err)
	}
	if s.req.Beside {
		yield(p)
	}
	var following sync.WaitGroup
	following.Go(func() { spool.follow(p.Done()) })
	err = s.await(ctx, p, out)
	following.Wait()
	return err
}

// await waits for the end of a run. An error means that ctx has ended; then p has been told to end.
func (s *session) await(ctx context.Context, p *run.Process, out *outcome) error {
	stop := context.AfterFunc(ctx, p.Stop)
	defer stop()
	heard := time.Now()
	if stuck(p.PID(), s.config.Timeout, p.Done(), func() {
		s.look(p.PID(), &out.stdout)
		if s.conn != nil {
			s.conn.tend(&heard, s.t.maxSilence)
		}
	}) {
		out.stuck = true
		p.Stop()
	}
	out.exit = p.Wait()
	return ctx.Err()
}
