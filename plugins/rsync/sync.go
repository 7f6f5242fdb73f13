package rsync

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"os"
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
	died   bool // a run did not come to its end
	count  counter
	// presumed are the removals that count although nobody knows whether they were carried out.
	presumed   map[string]bool
	failed     map[string]string // path → why
	namesOnly  bool              // of the filter's patterns but those
	busy       int               // how many of the filter's patterns, the first ones, are about req.Busy
	large      map[string]bool   // files that are left out because of their size
	over       map[string]bool   // those of which nobody knows whether they differ
	overMore   bool              // there were too many to remember
	made       map[string]bool   // directories of subtrees that the destination did not have
	vanished   map[string]bool   // from the source, while they were looked at or sent
	asked      map[string]bool   // paths of the request, if it is to be told what is sdk.Same; else nil
	alike      map[string]bool   // what was written, and rsync has not sent so far
	renamed    map[string]bool   // what the destination has renamed itself, and nobody has written
	prestarted []*standby        // runs of this request that wait for their turn
}

// peer is what the session's connection and probe are kept under.
func (s *session) peer() peer { return peer{s.req.Sync, s.req.Destination, s.req.Beside} }

// Sync implements sdk.Transport.
func (t *transport) Sync(ctx context.Context, req sdk.SyncRequest, progress func(sdk.Progress)) (sdk.Result, error) {
	s, err := t.open(req, progress)
	if err != nil {
		return sdk.Result{}, err
	}
	defer s.dropPrestarted()
	if err := s.sync(ctx); err != nil {
		if ctx.Err() == nil {
			// What was known about the far end may be what is wrong.
			t.forget(s, err)
		}
		return sdk.Result{}, err
	}
	if len(req.Changes) > 0 {
		t.setKnown(s.peer(), true)
	}
	for _, p := range slices.Sorted(maps.Keys(s.failed)) {
		// rsync says that it creates a file before it fails to.
		s.count.result.Created -= min(s.count.result.Created, 1)
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
	if req.DryRun {
		req.MaxSize = 0
	}
	s := &session{
		t:      t,
		req:    req,
		config: cfg,
		large:  map[string]bool{},
		over:   map[string]bool{},
		made:   map[string]bool{},
		count:  counter{progress: progress},
		failed: map[string]string{},

		vanished: map[string]bool{},
		renamed:  map[string]bool{},
	}
	err := s.parseFilter()
	if err != nil {
		return nil, err
	}
	if s.root, err = statRoot(req.Source); err != nil {
		return nil, err
	}
	s.places = placesOf(req)
	s.presumed = t.presumed(s.peer())
	return s, nil
}

// parseFilter has the filter keep away what the request excludes and what it leaves to others.
func (s *session) parseFilter() error {
	busy := busyPatterns(s.req)
	patterns := append(slices.Clone(busy), s.req.Exclude...)
	if s.config.Partial {
		patterns = append(patterns, partialDir+"/")
	}
	f, err := filter.Parse(patterns)
	if err != nil {
		return sdk.Misconfigured(fmt.Errorf("exclude: %w", err))
	}
	own, _ := filter.Parse(patterns[len(busy):]) // as above
	s.filter, s.busy, s.namesOnly = f, len(busy), own.NamesOnly()
	return nil
}

// sync does the request, first round and further ones. One without changes is to save the next one the round trips
// before its first run; it changes nothing at the destination.
func (s *session) sync(ctx context.Context) error {
	if s.req.Destination.Scheme == sdk.SchemeSSH {
		c, err := s.t.connect(ctx, s)
		if err != nil {
			return err
		}
		s.conn, s.shell = c, c.shell()
	}
	if len(s.req.Changes) == 0 {
		return s.probed(ctx)
	}
	if err := s.rename(ctx); err != nil {
		return err
	}
	if err := s.deferNew(); err != nil {
		return err
	}
	s.asked = s.paths()
	s.alike = s.written()
	if err := s.beginAgain(ctx); err != nil {
		return err
	}
	if err := s.rounds(ctx, s.req.Changes); err != nil {
		return err
	}
	s.count.listRest()
	return s.leaveLarge(ctx)
}

// paths returns those of the request, nil if nobody wants to know which are the same.
func (s *session) paths() map[string]bool {
	if !s.req.List || s.req.DryRun {
		return nil
	}
	paths := make(map[string]bool, len(s.req.Changes))
	for _, c := range s.req.Changes {
		if c.Path != "" {
			paths[c.Path] = true
		}
	}
	return paths
}

// rounds transfers changes, and what has to be looked at again then.
func (s *session) rounds(ctx context.Context, changes []sdk.Change) error {
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
	b := builder{filter: s.filter, delete: s.req.Delete, limit: s.req.MaxSize, lstat: s.lstat}
	w := b.build(changes)
	w.entries = s.withoutVanished(w.entries)
	maps.Copy(s.failed, w.failed)
	for _, p := range w.large {
		if s.renamed[p] {
			s.over[p] = true // it does not differ, most likely
		} else {
			s.large[p] = true
		}
	}
	w, err := s.ahead(ctx, w)
	if err != nil {
		return nil, err
	}
	w = s.unfold(w)
	if s.asked != nil {
		s.count.saw(w.entries)
	}
	s.count.expect(w.amount())
	var again []sdk.Change
	steps := s.steps(w)
	for i, step := range steps {
		if err := s.probed(ctx); err != nil {
			return nil, err
		}
		j, needed := step.job()
		if !needed {
			continue
		}
		if i == 0 {
			s.prestartAll(ctx, steps[1:], len(w.entries))
		}
		more, err := s.do(ctx, j, step.blame, last)
		if err != nil {
			return nil, err
		}
		again = append(again, more...)
	}
	if s.req.Delete && (s.req.Attempt > 1 || s.died) {
		more, err := s.sweep(ctx, &b, changes, last)
		return append(again, more...), err
	}
	return again, nil
}

// excludeArgs are the filter's arguments for a run. rsync itself excludes the directory of partial files.
func (s *session) excludeArgs(j job, m mode) []string {
	args := s.filter.RsyncArgs()[:s.busy+len(s.req.Exclude)]
	if j.suitsStandby(m) {
		// It touches nothing but what its list names, and that is not busy. Its arguments must not change.
		return args[s.busy:]
	}
	return args
}

// lstat implements lstat below the root.
func (s *session) lstat(p string) (fs.FileMode, int64, error) {
	info, err := os.Lstat(withSlash(s.req.Source) + p)
	if err != nil {
		return 0, 0, err
	}
	return info.Mode(), info.Size(), nil
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
