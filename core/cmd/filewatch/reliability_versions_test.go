package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
)

// versions is a tree of files of which each holds its name, the number of its version, and a checksum. A new
// version takes the place of the old one at once.
type versions struct {
	t           *testing.T
	dir, beside string
	random      *rand.Rand
	last        []atomic.Int64 // the newest version of each file that there may be
}

func newVersions(t *testing.T, seed uint64, dir string, n int) *versions {
	t.Helper()
	v := &versions{t: t, dir: dir, beside: dir + ".beside", random: rand.New(rand.NewPCG(seed, 0)), last: make([]atomic.Int64, n)}
	shell(t, "/", fmt.Sprintf("mkdir -p '%s' '%s/sub'", v.beside, dir))
	return v
}

// name is that of a file; every other one is in a directory.
func (v *versions) name(i int) string {
	if i%2 == 1 {
		return fmt.Sprint("sub/file-", i)
	}
	return fmt.Sprint("file-", i)
}

// write writes a new version of some file.
func (v *versions) write() { v.writeFile(v.random.IntN(len(v.last))) }

func (v *versions) writeFile(i int) (n int64) {
	n = v.last[i].Add(1)
	text := fmt.Appendf(nil, "%s %d\n", v.name(i), n)
	body := make([]byte, v.random.IntN(400_000))
	for j := range body {
		body[j] = byte(v.random.Uint32())
	}
	text = append(text, body...)
	sum := sha256.Sum256(text)
	temp := filepath.Join(v.beside, "next")
	if err := os.WriteFile(temp, append(text, sum[:]...), 0o644); err != nil {
		v.t.Fatal(err)
	}
	if err := os.Rename(temp, filepath.Join(v.dir, v.name(i))); err != nil {
		v.t.Fatal(err)
	}
	return n
}

// check returns the version in a file, and an error if it is none that there was.
func (v *versions) check(i int, text []byte) (n int64, err error) {
	if len(text) < sha256.Size {
		return 0, fmt.Errorf("%s has %d bytes", v.name(i), len(text))
	}
	end := len(text) - sha256.Size
	sum := sha256.Sum256(text[:end])
	var name string
	if _, err := fmt.Sscan(string(text[:min(end, 100)]), &name, &n); err != nil || !bytes.Equal(sum[:], text[end:]) {
		return 0, fmt.Errorf("%s is no complete version: %d bytes, %.40q", v.name(i), len(text), text)
	}
	if last := v.last[i].Load(); name != v.name(i) || n < 1 || n > last {
		return 0, fmt.Errorf("%s is version %d of %s, and there were %d", v.name(i), n, name, last)
	}
	return n, nil
}

// watch looks at the copies of all files, over and over, until the end of the test or until stop is called:
// each is a complete version, none older than what was there before, and none goes once it is there.
func (v *versions) watch(copies string) (stop func()) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	seen := make([]int64, len(v.last))
	looks := 0
	wg.Go(func() {
		for {
			for i := range v.last {
				text, err := os.ReadFile(filepath.Join(copies, v.name(i)))
				if os.IsNotExist(err) && seen[i] == 0 {
					continue
				}
				n := int64(0)
				if err == nil {
					n, err = v.check(i, text)
				}
				if err == nil && n < seen[i] {
					err = fmt.Errorf("%s was version %d and is version %d", v.name(i), seen[i], n)
				}
				if err != nil {
					v.t.Error(err)
					return
				}
				seen[i] = n
				looks++
			}
			select {
			case <-done:
				return
			default:
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(done)
		wg.Wait()
		v.t.Logf("%d looks", looks)
	})
	v.t.Cleanup(stop)
	return stop
}

// arrives writes a file and waits until that is at the destination.
func (v *versions) arrives(copies string) {
	v.t.Helper()
	const i = 0
	n := v.writeFile(i)
	eventually(v.t, fmt.Sprintf("version %d of %s arrives", n, v.name(i)), func() bool {
		text, err := os.ReadFile(filepath.Join(copies, v.name(i)))
		if err != nil {
			return false
		}
		got, err := v.check(i, text)
		return err == nil && got >= n
	})
}
