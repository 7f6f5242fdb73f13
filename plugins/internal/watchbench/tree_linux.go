package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Each directory has filesPerDirectory files and, the deepest aside, fanOut directories.
const (
	filesPerDirectory = 4
	fanOut            = 8
)

// tree is a directory tree on the disk.
type tree struct {
	root        string
	directories []string // below the root, relative to it, parents first
}

// entries returns how many directories and files there are, the root included.
func (t *tree) entries() int { return (len(t.directories) + 1) * (1 + filesPerDirectory) }

// file returns the path of the i-th file, relative to the root. Files that follow each other are far apart.
func (t *tree) file(i int) string {
	const stride = 7919 // prime
	d := t.directories[i*stride%len(t.directories)]
	return fmt.Sprintf("%s/some-file-%d.txt", d, i/len(t.directories)%filesPerDirectory)
}

// makeTree makes a tree of n directories, its root included.
func makeTree(ctx context.Context, root string, n int) (*tree, error) {
	t := &tree{root: root, directories: make([]string, 0, n-1)}
	for i := range n {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var path string
		if i > 0 {
			path = fmt.Sprintf("directory-%d", i)
			if up := (i - 1) / fanOut; up > 0 {
				path = t.directories[up-1] + "/" + path
			}
			t.directories = append(t.directories, path)
		}
		path = filepath.Join(root, path)
		if err := os.Mkdir(path, 0o755); err != nil {
			return nil, err
		}
		for j := range filesPerDirectory {
			if err := os.WriteFile(fmt.Sprintf("%s/some-file-%d.txt", path, j), nil, 0o644); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}
