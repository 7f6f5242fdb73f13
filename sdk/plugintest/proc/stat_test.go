package proc

import "testing"

func TestParseStat(t *testing.T) {
	tests := []struct {
		line string
		ppid int
		live bool
	}{
		{"7 (sh) S 5 7 7 0 -1", 5, true},
		{"7 (a) Z 9 (b) R 5 7", 5, true}, // a name with all that misleads
		{"7 (x\ny z) D 5 7", 5, true},
		{"7 (sh) Z 5 7", 5, false},
		{"7 (sh) X 5 7", 5, false},
		{"7 (sh) S", 0, false},
		{"7 (sh) S x", 0, false},
		{"", 0, false},
	}
	for _, tt := range tests {
		if st := parseStat(tt.line); st.ppid != tt.ppid || st.live() != tt.live {
			t.Errorf("%q: got %+v", tt.line, st)
		}
	}
}

// FuzzParseStat tries names, which are for a process to choose.
func FuzzParseStat(f *testing.F) {
	f.Add("sh")
	f.Add(") Z 9 (")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, name string) {
		for _, state := range []byte("SZ") {
			want := status{state: state, ppid: 5}
			if got := parseStat("7 (" + name + ") " + string(state) + " 5 7 7 0 -1"); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
		parseStat(name) // must not panic
	})
}
