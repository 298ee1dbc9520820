// What Docker's own code makes of patterns: one JSON question per line in, one answer per line out.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/moby/patternmatcher/ignorefile"
	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// Question has paths in the order of a walk, folders with a slash at their end, and either the text of a
// .dockerignore or patterns. The texts are bytes, since they need not be UTF-8.
type Question struct {
	Paths   [][]byte
	Text    []byte
	Include [][]byte
}

// Answer has the numbers of the paths that are sent, or an error.
type Answer struct {
	Sent []int
	Err  string
}

// tree is a file system of nothing but names.
type tree []string

func (t tree) Open(string) (io.ReadCloser, error) { return nil, os.ErrNotExist }

func (t tree) Walk(_ context.Context, _ string, fn fs.WalkDirFunc) error {
	skipped := ""
	for _, path := range t {
		if skipped != "" && strings.HasPrefix(path, skipped) {
			continue
		}
		skipped = ""
		stat := &types.Stat{Path: strings.TrimSuffix(path, "/"), Mode: 0o644}
		if strings.HasSuffix(path, "/") {
			stat.Mode = uint32(os.ModeDir | 0o755)
		}
		err := fn(stat.Path, &fsutil.DirEntryInfo{Stat: stat}, nil)
		if err == filepath.SkipDir && strings.HasSuffix(path, "/") {
			skipped = path
		} else if err == filepath.SkipDir {
			skipped = path[:strings.LastIndex(path, "/")+1]
		} else if err != nil {
			return err
		}
	}
	return nil
}

func texts(raw [][]byte) []string {
	var found []string
	for _, one := range raw {
		found = append(found, string(one))
	}
	return found
}

func answer(question Question) ([]int, error) {
	paths := texts(question.Paths)
	places := map[string]int{}
	for place, path := range paths {
		places[strings.TrimSuffix(path, "/")] = place
	}
	options := &fsutil.FilterOpt{IncludePatterns: texts(question.Include)}
	if question.Text != nil {
		var err error
		if options.ExcludePatterns, err = ignorefile.ReadAll(strings.NewReader(string(question.Text))); err != nil {
			return nil, err
		}
	}
	filtered, err := fsutil.NewFilterFS(tree(paths), options)
	if err != nil {
		return nil, err
	}
	sent := []int{}
	err = filtered.Walk(context.Background(), "/", func(path string, _ fs.DirEntry, err error) error {
		sent = append(sent, places[path])
		return err
	})
	return sent, err
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var question Question
		var found Answer
		if err = json.Unmarshal(line, &question); err == nil {
			found.Sent, err = answer(question)
		}
		if err != nil {
			found.Err = err.Error()
		}
		out.Encode(found)
	}
}
