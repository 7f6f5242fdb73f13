package sshd

import "testing"

func TestLocked(t *testing.T) {
	const shadow = "root:!:1::::::\nci:*:1::::::\nme:!!:1::::::\nyou:$6$x!:1::::::\n"
	for user, want := range map[string]bool{"root": true, "ci": false, "me": true, "you": false, "i": false, "oot": false} {
		if got := locked([]byte(shadow), user); got != want {
			t.Errorf("%s: %t", user, got)
		}
	}
	if locked(nil, "root") {
		t.Error("locked without a file")
	}
}
