package sdk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk/wire"
)

// What happens at the names of a rename arrives in its order: before and after are not merged.
func TestRenamesStayInOrder(t *testing.T) {
	const away, here = OpRemove | OpRename, OpCreate | OpRename
	for _, test := range []struct {
		name   string
		told   []Change
		passed []Change
	}{
		{"a new file under the former name",
			[]Change{{Path: "a", Ops: OpWrite}, {Path: "a", Ops: away}, {Path: "b", Ops: here, From: "a"}, {Path: "a", Ops: OpCreate}, {Path: "a", Ops: OpClose}},
			[]Change{{Path: "a", Ops: OpWrite | away}, {Path: "b", Ops: here, From: "a"}, {Path: "a", Ops: OpCreate | OpClose}}},
		{"twice",
			[]Change{{Path: "a", Ops: away}, {Path: "b", Ops: here, From: "a"}, {Path: "b", Ops: away}, {Path: "c", Ops: here, From: "b"}},
			[]Change{{Path: "a", Ops: away}, {Path: "b", Ops: here | away, From: "a"}, {Path: "c", Ops: here, From: "b"}}},
		{"old, and new in its place",
			[]Change{{Path: "a", Ops: away}, {Path: "b", Ops: here, From: "a"}, {Path: "n", Ops: away}, {Path: "a", Ops: here, From: "n"}},
			[]Change{{Path: "a", Ops: away}, {Path: "b", Ops: here, From: "a"}, {Path: "n", Ops: away}, {Path: "a", Ops: here, From: "n"}}},
		{"written after",
			[]Change{{Path: "b", Ops: here, From: "a"}, {Path: "b", Ops: OpWrite}},
			[]Change{{Path: "b", Ops: here | OpWrite, From: "a"}}},
		{"replaced after",
			[]Change{{Path: "b", Ops: here, From: "a"}, {Path: "b", Ops: OpCreate}},
			[]Change{{Path: "b", Ops: here}}},
		{"in doubt after",
			[]Change{{Path: "b", Ops: here, From: "a"}, {Path: "b"}, {Path: "b", Ops: OpWrite}},
			[]Change{{Path: "b"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := newReports()
			r.Ready()
			for _, c := range test.told {
				r.Change(c)
			}
			if diff := cmp.Diff(test.passed, changesFromProto(changesToProto(r.takeBatch()))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A former name takes room in a message as well.
func TestRenamesFitIntoAMessage(t *testing.T) {
	r := newReports()
	r.Ready()
	long := make([]byte, 4000)
	for i := range long {
		long[i] = 'x'
	}
	for i := range 300 {
		r.Change(Change{Path: string(rune('a' + i)), Ops: OpCreate, From: string(long)})
	}
	size := 0
	for _, c := range r.takeBatch() {
		size += len(c.Path) + len(c.From)
	}
	if size == 0 || size > wire.MaxRequest {
		t.Errorf("%d bytes in one message, at most %d fit", size, wire.MaxRequest)
	}
}

// A former name of no valid form is no name.
func TestInvalidFormerName(t *testing.T) {
	for _, from := range []string{"../x", "/x", "x/", "a//b", "a\x00", "."} {
		got := changesFromProto(changesToProto([]Change{{Path: "p", From: from}}))
		if diff := cmp.Diff([]Change{{Path: "p"}}, got); diff != "" {
			t.Errorf("%q: %s", from, diff)
		}
	}
}
