package status

import (
	"fmt"
	"time"
)

// Text returns the progress as operators read it: "12 files and 3.4 MB in 2s, 1.7 MB/s", and where it is known how
// much is done and about how long the rest takes if it takes as long.
func (p Progress) Text(now time.Time) string {
	text := fmt.Sprintf("%s and %s in %s", count(p.Files, "file"), size(p.Bytes), age(now, p.Since))
	took := now.Sub(p.Since)
	if took >= time.Second && p.Bytes > 0 {
		text += ", " + Rate(p.Bytes, took)
	}
	if p.Portion > 0 {
		text += fmt.Sprintf(", %.0f%% done", 100*p.Portion)
	}
	if left, ok := p.Left(now); ok {
		text += ", about " + age(now.Add(left), now) + " left"
	}
	return text
}

// Left returns how long the rest takes if it goes on as until now; false = not known.
func (p Progress) Left(now time.Time) (time.Duration, bool) {
	took := now.Sub(p.Since)
	if p.Portion <= 0 || p.Portion >= 1 || took < time.Second {
		return 0, false
	}
	return time.Duration(min(float64(took)*(1-p.Portion)/p.Portion, float64(maxLeft))), true
}

// maxLeft bounds an estimate: a year is as good as any longer time.
const maxLeft = 365 * 24 * time.Hour

// Rate returns bytes in a time as a rate, as in "3.4 MB/s".
func Rate(bytes uint64, in time.Duration) string {
	return size(uint64(float64(bytes)/max(in, time.Millisecond).Seconds())) + "/s"
}
