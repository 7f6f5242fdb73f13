package transfer

import (
	"time"

	"github.com/filewatch/filewatch/core/internal/guard"
	"github.com/filewatch/filewatch/sdk"
)

// placeOf returns where a destination on this machine is, nil for another machine's.
func placeOf(e sdk.Endpoint) *guard.Place {
	if e.Scheme != sdk.SchemeLocal {
		return nil
	}
	return guard.NewPlace(e.Path)
}

// enterPlace returns an error when the destination's file system is not mounted any more. Otherwise it stays
// mounted until leave is called.
func (d *Destination) enterPlace() (leave func(), err error) {
	leave, changed, err := d.place.Enter()
	_, err = d.judgePlace(changed, err)
	return leave, err
}

// checkPlace returns an error as enterPlace does. It reports whether the destination is another one than before;
// then everything is compared.
func (d *Destination) checkPlace() (changed bool, err error) { return d.judgePlace(d.place.Check()) }

func (d *Destination) judgePlace(changed bool, err error) (bool, error) {
	if changed {
		d.config.Logger.Warn("the destination is not the directory it was, everything is compared")
		d.queue.Add(time.Now(), everything)
	}
	if err != nil {
		return false, sdk.Unavailable(err)
	}
	return changed, nil
}

// placeAway returns why nothing can be written to the destination, if its file system is not mounted any more.
// Then there is something to do, so that it is tried, and told.
func (d *Destination) placeAway() error {
	err := d.place.Away()
	if err == nil {
		return nil
	}
	d.mu.Lock()
	told := d.away() != nil
	d.mu.Unlock()
	if !told {
		d.queue.Add(time.Now(), everything)
	}
	return err
}
