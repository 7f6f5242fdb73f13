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
		if ppid, live := parseStat(tt.line); ppid != tt.ppid || live != tt.live {
			t.Errorf("%q: got %d, %t", tt.line, ppid, live)
		}
	}
}

// FuzzParseStat tries names, which are for a process to choose.
func FuzzParseStat(f *testing.F) {
	f.Add("sh")
	f.Add(") Z 9 (")
	f.Add("\n")
	f.Fuzz(func(t *testing.T, name string) {
		if ppid, live := parseStat("7 (" + name + ") S 5 7 7 0 -1"); ppid != 5 || !live {
			t.Errorf("alive: got %d, %t", ppid, live)
		}
		if ppid, live := parseStat("7 (" + name + ") Z 5 7 7 0 -1"); ppid != 5 || live {
			t.Errorf("zombie: got %d, %t", ppid, live)
		}
		parseStat(name) // must not panic
	})
}
