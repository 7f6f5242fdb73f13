package rsync

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/filewatch/filewatch/sdk"
)

// What is seen of a file on its way and what rsync says of it afterwards count once, whichever comes first.
func TestCounter(t *testing.T) {
	t.Parallel()
	type told struct {
		Bytes   uint64
		Portion float64
	}
	open := func(wrote, read uint64) position { return position{wrote: wrote, open: true, read: read} }
	for _, tt := range []struct {
		name  string
		total uint64
		steps []any // a position, or bytes that are said to have been sent for a file
		want  []told
	}{
		{"whole file", 1000, []any{open(300, 250), open(760, 750), uint64(1010)}, []told{{250, 0.25}, {750, 0.75}, {1010, 1}}},
		{"seen once more after it was said", 0, []any{open(900, 900), uint64(1000), open(1010, 1000), position{wrote: 1010}}, []told{{900, 0}, {1000, 0}, {1000, 0}, {1000, 0}}},
		{"the far end has most of it", 1000, []any{open(50, 500), open(100, 900), uint64(110)}, []told{{50, 0.5}, {100, 0.9}, {110, 1}}},
		{"read anew", 1000, []any{open(500, 500), open(510, 10)}, []told{{500, 0.5}, {500, 0.5}}},
		{"the list of files comes before", 0, []any{position{wrote: 5000}, open(5100, 200)}, []told{{0, 0}, {100, 0}}},
		{"the list of files comes together with the file", 0, []any{open(5000, 200), open(5300, 500)}, []told{{200, 0}, {500, 0}}},
		{"second file", 0, []any{uint64(1000), open(1300, 300), open(1500, 500), uint64(700)}, []told{{1000, 0}, {1000, 0}, {1200, 0}, {1700, 0}}},
		{"second file seen before the first is said", 0, []any{open(900, 900), open(1300, 300), uint64(1000), open(1500, 500)}, []told{{900, 0}, {900, 0}, {1000, 0}, {1000, 0}}},
		{"what is written is not known", 1000, []any{open(0, 300)}, []told{{0, 0.3}}},
	} {
		var got []told
		c := counter{progress: func(p sdk.Progress) { got = append(got, told{p.Bytes, p.Portion}) }}
		c.expect(tt.total)
		o := &output{}
		for _, step := range tt.steps {
			switch step := step.(type) {
			case position:
				c.look(o, step, true)
			case uint64:
				o.bytes += step
				o.amount += 1000
				c.report(o)
			}
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", tt.name, diff)
		}
		c.add(&outcome{stdout: *o}, 0)
		if c.result.Bytes != o.bytes {
			t.Errorf("%s: %d bytes in the result, want %d", tt.name, c.result.Bytes, o.bytes)
		}
	}
}

// What is read before it is known whether it is sent tells nothing of the portion.
func TestCounterOfAnRsyncThatChecks(t *testing.T) {
	t.Parallel()
	var last sdk.Progress
	c := counter{progress: func(p sdk.Progress) { last = p }}
	c.expect(1000)
	c.look(&output{}, position{wrote: 10, open: true, read: 900}, false)
	if last.Portion != 0 || last.Bytes != 10 {
		t.Errorf("%+v", last)
	}
}
