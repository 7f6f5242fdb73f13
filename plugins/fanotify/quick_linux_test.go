package fanotify

import "time"

// quick is the production's tuning for tests: changes are made by this process.
func quick() tuning {
	t := production
	t.own = true
	t.check = 20 * time.Millisecond
	return t
}
