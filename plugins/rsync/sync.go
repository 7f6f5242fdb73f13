package rsync

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/filewatch/filewatch/sdk"
	"github.com/filewatch/filewatch/sdk/filter"
)

// maxRounds bounds how often paths that vanish during a transfer are looked at again within one
// request. A file that comes and goes faster than that is left to the next one.
const maxRounds = 3

// session is one request.
type session struct {
	t      *transport
	req    sdk.SyncRequest
	config *config
	filter *filter.Filter
	root   fs.FileInfo // what the root was when the request began
	places places
	conn   *conn    // nil unless the destination is reached through ssh
	shell  []string // the remote shell; nil unless the destination is reached through ssh
	caps   caps
	count  counter
	failed map[string]string // path → why
}

// peer is what the session's connection and probe are kept under.
func (s *session) peer() peer { return peer{s.req.Sync, s.req.Destination} }

// Sync implements sdk.Transport.
func (t *transport) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	s, err := t.open(req, progress)
	if err != nil {
		return sdk.Result{}, err
	}
	if err := s.sync(ctx); err != nil {
		if ctx.Err() == nil {
			// What was known about the far end may be what is wrong.
			t.forget(s, err)
		}
		return sdk.Result{}, err
	}
	for _, p := range slices.Sorted(maps.Keys(s.failed)) {
		s.count.result.Failed = append(s.count.result.Failed, sdk.PathError{Path: p, Text: s.failed[p]})
	}
	return s.count.result, nil
}

// open checks a request.
func (t *transport) open(req sdk.SyncRequest, progress func(sdk.Progress)) (*session, error) {
	cfg, ok := req.Config.(*config)
	if !ok {
		cfg = defaultConfig()
	}
	if text := checkEndpoint(req.Destination); text != "" {
		return nil, sdk.Misconfigured(fmt.Errorf("destination %s: %s", req.Destination, text))
	}
	patterns := req.Exclude
	if cfg.Partial {
		patterns = append(slices.Clone(patterns), partialDir+"/")
	}
	f, err := filter.Parse(patterns)
	if err != nil {
		return nil, sdk.Misconfigured(fmt.Errorf("exclude: %w", err))
	}
	s := &session{
		t:      t,
		req:    req,
		config: cfg,
		filter: f,
		count:  counter{progress: progress},
		failed: map[string]string{},
	}
	if s.root, err = statRoot(req.Source); err != nil {
		return nil, err
	}
	s.places = placesOf(req)
	return s, nil
}

// sync does the request, first round and further ones.
func (s *session) sync(ctx context.Context) error {
	if s.req.Destination.Scheme == sdk.SchemeSSH {
		c, err := s.t.connect(ctx, s)
		if err != nil {
			return err
		}
		s.conn, s.shell = c, c.shell()
	}
	changes := s.req.Changes
	for round := 1; len(changes) > 0; round++ {
		again, err := s.round(ctx, changes, round == maxRounds)
		if err != nil {
			return err
		}
		changes = again
	}
	return nil
}

// round transfers changes and returns those that have to be looked at again; none in the last round.
func (s *session) round(ctx context.Context, changes []sdk.Change, last bool) ([]sdk.Change, error) {
	b := builder{filter: s.filter, delete: s.req.Delete, lstat: s.lstat}
	w := b.build(changes)
	maps.Copy(s.failed, w.failed)
	var again []sdk.Change
	for _, step := range s.steps(w) {
		if err := s.probed(ctx); err != nil {
			return nil, err
		}
		more, err := s.do(ctx, step.job(), step.blame, last)
		if err != nil {
			return nil, err
		}
		again = append(again, more...)
	}
	return again, nil
}

// step is a run that a request needs. The job depends on what the far end can do, which is asked only
// when there is something to do.
type step struct {
	job func() job
	// blame names the changes that are not settled while path differs.
	blame func(path string) []string
}

func (s *session) steps(w work) []step {
	if w.full {
		return []step{{func() job { return s.treesJob(nil) }, func(p string) []string { return []string{p} }}}
	}
	// What appeared goes before what is gone, so that of a directory that was renamed there is always one
	// name at the destination. A tree needs nothing of the entries: the directories above it go along.
	var steps []step
	if len(w.trees) > 0 {
		var list []string
		for _, p := range w.trees {
			list = append(list, "./"+p)
		}
		steps = append(steps, step{func() job { return s.treesJob(list) }, blameTrees(w.trees)})
	}
	if len(w.entries) > 0 {
		steps = append(steps, step{func() job { return s.pathsJob(w.entries) }, blameEntries(w.entries)})
	}
	// The root's attributes go along with any other list.
	if w.root && len(steps) == 0 {
		steps = append(steps, step{s.rootJob, func(p string) []string { return []string{p} }})
	}
	return steps
}

// do runs a job and finds out what it settled.
func (s *session) do(ctx context.Context, j job, blame func(string) []string, last bool) ([]sdk.Change, error) {
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	out, err := s.run(ctx, j, false)
	if err != nil {
		return nil, err
	}
	doubts := s.doubts(j, out, last)
	if out.exit.OK() && !out.stuck {
		s.blameKept(out, blame)
		return doubts, nil
	}
	if err := s.checkRoot(); err != nil {
		return nil, err
	}
	if out.stuck && !last {
		return s.req.Changes, nil // a file became a FIFO under its feet
	}
	if out.stuck || !out.partial() {
		return nil, s.failure(out)
	}
	// When deletions were left out, more than the vanished paths may differ.
	if paths, ok := out.messages.vanished(s.places); ok && !last && !out.stdout.deletionsOff {
		again := doubts
		slices.Sort(paths)
		for _, p := range slices.Compact(paths) {
			again = append(again, sdk.Change{Path: p})
		}
		return again, nil
	}
	return doubts, s.examine(ctx, j, out, blame)
}

// doubts returns the directories that a shallow run had to create, to be compared with their contents: a
// directory that is new at the source is reported as a whole, so these were lost at the destination, and
// what was in them too.
func (s *session) doubts(j job, out *outcome, last bool) []sdk.Change {
	if !j.shallow {
		return nil
	}
	var doubts []sdk.Change
	created := slices.Sorted(slices.Values(out.stdout.created))
	for i, p := range created {
		if i > 0 && len(doubts) > 0 && doubts[len(doubts)-1].Covers(p) {
			continue
		}
		if last {
			s.failed[p] = "the destination had lost this directory: it is compared with the next try"
		}
		doubts = append(doubts, sdk.Change{Path: p, Scope: sdk.ScopeSubtree})
	}
	if last {
		return nil
	}
	return doubts
}

// blameKept notes directories that rsync left because they are not empty. Such a directory is as it
// should be when it holds what the filter protects.
func (s *session) blameKept(out *outcome, blame func(string) []string) {
	if !s.filter.Empty() {
		return
	}
	for _, p := range out.stdout.kept {
		for _, changed := range blame(p) {
			s.failed[changed] = "the directory at the destination is not empty and could not be removed"
		}
	}
}

// examine finds out, after a partial failure, which paths still differ: with a dry run of the same
// job. Only paths that it is silent about are settled.
func (s *session) examine(ctx context.Context, j job, out *outcome, blame func(string) []string) error {
	check, err := s.run(ctx, j, true)
	if err != nil {
		return err
	}
	if err := s.checkRoot(); err != nil {
		return err
	}
	if check.stuck || !check.exit.OK() && !check.partial() {
		return s.failure(check)
	}
	differs := check.stdout.paths
	if s.filter.Empty() {
		differs = append(differs, check.stdout.kept...)
	}
	if len(differs) > maxPaths || len(out.stdout.kept) > maxPaths {
		return fmt.Errorf("more than %d paths could not be brought in step; one is %q: %s", maxPaths, differs[0], s.explain(differs[0], out, check))
	}
	if check.partial() {
		// What a dry run stumbles over it does not report as a difference.
		stumbled, ok := s.stumbled(check, blame)
		if !ok {
			return s.unattributed(out)
		}
		differs = append(differs, stumbled...)
	}
	for _, p := range differs {
		for _, changed := range blame(p) {
			if _, ok := s.failed[changed]; !ok {
				s.failed[changed] = s.explain(p, out, check)
			}
		}
	}
	if j.compares && (out.stdout.deletionsOff || check.stdout.deletionsOff) {
		// A dry run leaves out the same deletions: nothing that was compared is settled.
		for _, c := range s.req.Changes {
			if _, ok := s.failed[c.Path]; !ok {
				s.failed[c.Path] = "deletions were left out, because a part of the source could not be read" + s.firstReason(out)
			}
		}
	}
	return nil
}

// stumbled returns the paths that a run could not look at, and the changes below them. It reports
// false when it cannot tell.
func (s *session) stumbled(check *outcome, blame func(string) []string) ([]string, bool) {
	var list []string
	for _, msg := range check.messages.list {
		p, ok := s.places.relative(msg)
		if !ok {
			return nil, false
		}
		n := len(list)
		if len(blame(p)) > 0 {
			list = append(list, p)
		}
		for _, c := range s.req.Changes {
			if _, ok := below(p, c.Path); ok && p != "" {
				list = append(list, c.Path)
			}
		}
		if len(list) == n {
			return nil, false
		}
	}
	return list, len(list) > 0 && !check.messages.other
}

// firstReason returns ": " and what rsync said first, or "".
func (s *session) firstReason(out *outcome) string {
	for _, msg := range out.messages.list {
		if p, ok := s.places.relative(msg); ok {
			return fmt.Sprintf(": %s: %s", p, msg.text())
		}
	}
	return ""
}

// explain says why p differs.
func (s *session) explain(p string, outs ...*outcome) string {
	for _, out := range outs {
		text := out.messages.textFor(s.places, p)
		if text == textWay {
			switch {
			case !s.req.Delete:
				text += ", because delete is off"
			case !s.filter.Empty():
				text += "; it may hold excluded files"
			}
		}
		if text != "" {
			return text
		}
	}
	return "it still differs after the transfer"
}

// blameEntries returns the function that names the changes behind a path of a run with a list. The
// directories above an entry are blamed themselves: their attributes go along.
func blameEntries(entries []entry) func(string) []string {
	byPath := map[string]*entry{}
	above := map[string]bool{"": true}
	for i := range entries {
		e := &entries[i]
		byPath[e.path] = e
		for p := path.Dir(e.path); p != "." && !above[p]; p = path.Dir(p) {
			above[p] = true
		}
	}
	return func(p string) []string {
		if e := byPath[p]; e != nil {
			return e.owners
		}
		for q := path.Dir(p); q != "."; q = path.Dir(q) {
			if e := byPath[q]; e != nil && e.state != stateDir {
				return e.owners // what has to go from the destination first
			}
		}
		if above[p] {
			return []string{p}
		}
		return nil // beside an entry, in a directory that was compared for another's sake
	}
}

// blameTrees is the same for subtrees, of which any path may be to blame.
func blameTrees(trees []string) func(string) []string {
	return func(p string) []string {
		for _, tree := range trees {
			if _, ok := below(tree, p); ok || p == "" || strings.HasPrefix(tree, p+"/") {
				return []string{p}
			}
		}
		return nil
	}
}

// excludeArgs are the filter's arguments. rsync itself excludes the directory of partial files.
func (s *session) excludeArgs() []string {
	args := s.filter.RsyncArgs()
	return args[:len(s.req.Exclude)]
}

// lstat implements lstat below the root.
func (s *session) lstat(p string) (fs.FileMode, error) {
	info, err := os.Lstat(withSlash(s.req.Source) + p)
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

// checkRoot returns an error unless the root is the directory that it was when the request began.
func (s *session) checkRoot() error {
	now, err := statRoot(s.req.Source)
	if err != nil {
		return err
	}
	if !os.SameFile(s.root, now) {
		return sdk.RootLost(fmt.Errorf("the source %s was replaced by another directory during a transfer", s.req.Source))
	}
	return nil
}

func statRoot(root string) (fs.FileInfo, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, sdk.RootLost(fmt.Errorf("source: %w", err))
	}
	if !info.IsDir() {
		return nil, sdk.RootLost(fmt.Errorf("the source %s is not a directory", root))
	}
	return info, nil
}

func placesOf(req sdk.SyncRequest) places {
	p := places{roots: []string{req.Source}}
	if real, err := filepath.EvalSymlinks(req.Source); err == nil && real != req.Source {
		p.roots = append(p.roots, real)
	}
	if e := req.Destination; e.Scheme != schemeDaemon && strings.HasPrefix(e.Path, "/") {
		p.destination = e.Path
	}
	return p
}
