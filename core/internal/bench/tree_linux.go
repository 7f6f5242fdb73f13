package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// shape is that of a tree: so many directories, in each so many, and in each of these so many files. All
// files are empty at first, and of the same age in every tree of the same shape.
type shape struct{ top, sub, files int }

func (h shape) total() int { return h.top * h.sub * h.files }

// directory returns the path of the i-th directory that holds files; file that of its j-th file.
func (h shape) directory(i int) string {
	return fmt.Sprintf("directory-%d/directory-%d", i/h.sub, i%h.sub)
}

func (h shape) file(i, j int) string { return fmt.Sprintf("%s/file-%d.txt", h.directory(i), j) }

// some returns the path of a file. Those that follow each other are far apart.
func (h shape) some(i int) string {
	const stride = 7919 // prime
	k := i * stride % h.total()
	return h.file(k%(h.top*h.sub), k/(h.top*h.sub))
}

// old is when files were changed last that nobody has changed.
var old = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// make makes the tree.
func (h shape) make(s *scope, root string) {
	age := []unix.Timespec{unix.NsecToTimespec(old.UnixNano()), unix.NsecToTimespec(old.UnixNano())}
	s.parallel(h.top*h.sub, func(i int) error {
		if err := os.MkdirAll(filepath.Join(root, h.directory(i)), 0o755); err != nil {
			return err
		}
		for j := range h.files {
			path := filepath.Join(root, h.file(i, j))
			if err := unix.Mknod(path, unix.S_IFREG|0o644, 0); err != nil {
				return fmt.Errorf("make %s: %w", path, err)
			}
			if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, age, 0); err != nil {
				return err
			}
		}
		return nil
	})
}

// parallel calls f for 0 to n-1, on all processors.
func (s *scope) parallel(n int, f func(i int) error) {
	var wg sync.WaitGroup
	errs := make([]error, runtime.NumCPU())
	for worker := range errs {
		wg.Go(func() {
			for i := worker; i < n && errs[worker] == nil; i += len(errs) {
				if errs[worker] = s.ctx.Err(); errs[worker] == nil {
					errs[worker] = f(i)
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		s.check(err)
	}
}

// places makes an empty source and an empty destination in a new directory.
func (b *bench) newPlace(s *scope) place {
	dir := s.TempDir()
	p := place{host: b.host, source: filepath.Join(dir, "source"), destination: filepath.Join(dir, "destination")}
	s.check(os.Mkdir(p.source, 0o755))
	s.check(os.Mkdir(p.destination, 0o755))
	return p
}

// placeWith makes a source and a destination that both have a tree of that shape.
func (b *bench) placeWith(s *scope, h shape) place {
	p := b.newPlace(s)
	h.make(s, p.source)
	h.make(s, p.destination)
	return p
}

// writeFile makes a file of n bytes that cannot be compressed.
func (s *scope) writeFile(path string, n int, seed uint64) {
	f, err := os.Create(path)
	s.check(err)
	defer f.Close()
	source := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	buf := make([]byte, min(n, 1<<20))
	for n > 0 {
		s.check(s.ctx.Err())
		part := buf[:min(n, len(buf))]
		_, _ = source.Read(part) // never fails
		_, err := f.Write(part)
		s.check(err)
		n -= len(part)
	}
}

// entry is what is compared of a file that is in step.
type entry struct {
	mode  fs.FileMode
	size  int64
	mtime time.Time
}

// snapshot returns everything below root by path, but directories' times, which change by themselves.
func (s *scope) snapshot(root string) map[string]entry {
	all := map[string]entry{}
	s.check(filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		e := entry{mode: info.Mode()}
		if !d.IsDir() {
			e.size, e.mtime = info.Size(), info.ModTime()
		}
		all[name] = e
		return nil
	}))
	return all
}

// differing returns the paths that are in one only, or not alike.
func differing(before, after map[string]entry) (paths []string) {
	for path, e := range after {
		if was, ok := before[path]; !ok || was != e {
			paths = append(paths, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			paths = append(paths, path)
		}
	}
	return paths
}

// awaitPaths returns when each of the paths is at the destination as it is in the source, and whether it is before
// the timeout.
func (s *scope) awaitPaths(p place, paths []string, timeout time.Duration) bool {
	i := 0
	for deadline := time.Now().Add(timeout); ; s.sleep(2 * time.Millisecond) {
		for i < len(paths) && inStep(filepath.Join(p.source, paths[i]), filepath.Join(p.destination, paths[i])) {
			i++
		}
		if i == len(paths) {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// inStep reports whether both are alike, or neither exists. Files of the same time and size are not read.
func inStep(here, there string) bool {
	a, err := os.Lstat(here)
	b, err2 := os.Lstat(there)
	if err != nil || err2 != nil {
		return os.IsNotExist(err) && os.IsNotExist(err2)
	}
	if a.Mode() != b.Mode() || a.Mode().IsRegular() && a.Size() != b.Size() {
		return false
	}
	return !a.Mode().IsRegular() || a.ModTime().Equal(b.ModTime()) || sameContent(here, there)
}

func sameContent(here, there string) bool {
	a, err := os.ReadFile(here)
	b, err2 := os.ReadFile(there)
	return err == nil && err2 == nil && bytes.Equal(a, b)
}

// verify fails unless the destination has just what the source has, contents included.
func (s *scope) verify(p place) {
	here := s.snapshot(p.source)
	paths := slices.Collect(maps.Keys(here))
	for path := range s.snapshot(p.destination) {
		if _, ok := here[path]; !ok {
			paths = append(paths, path)
		}
	}
	for _, path := range paths {
		s.check(s.ctx.Err())
		a, b := filepath.Join(p.source, path), filepath.Join(p.destination, path)
		if !inStep(a, b) || here[path].mode.IsRegular() && !sameContent(a, b) {
			s.Fatalf("%q is not in step", path)
		}
	}
}
