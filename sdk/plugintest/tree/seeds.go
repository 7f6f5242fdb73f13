package tree

import (
	"os"
	"strconv"
	"testing"
)

// Seeds returns how many seeds a random test runs with: few, or as many as the environment variable
// FILEWATCH_SEEDS says.
func Seeds(t testing.TB, few int) int {
	t.Helper()
	value, set := os.LookupEnv("FILEWATCH_SEEDS")
	if !set {
		return few
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		t.Fatalf("FILEWATCH_SEEDS is %q, not a number of seeds", value)
	}
	return n
}
