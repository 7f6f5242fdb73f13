package state

import (
	"reflect"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// noteEvery is how long what was noted may wait for the disk.
const noteEvery = time.Minute

// Keeper holds in memory what a Store keeps, so that nobody has to care whether the store works: without it
// things go on as well as memory allows. What is wrong with the store it logs once.
type Keeper struct {
	store  Store
	logger hclog.Logger

	mu      sync.Mutex
	failing map[string]bool    // names whose last Save failed
	records map[string]*Record // the last one opened of each name
}

// NewKeeper returns a keeper of what is in store.
func NewKeeper(store Store, logger hclog.Logger) *Keeper {
	return &Keeper{store: store, logger: logger, failing: map[string]bool{}, records: map[string]*Record{}}
}

// Record is what is remembered of one sync block. It is safe for concurrent use.
type Record struct {
	keeper *Keeper
	name   string

	saving sync.Mutex // held while a change is made and saved, so that they are saved in order

	mu    sync.Mutex
	sync  Sync
	dirty bool      // not all of it is in the store
	tried time.Time // when it was last saved, or failed to be
	over  bool      // nothing is saved any more
}

// Open returns the record of a sync block. What the one that was opened before for the same name knows, and
// the store may not, it takes over; the former one saves nothing from then on.
func (k *Keeper) Open(name string) *Record {
	k.mu.Lock()
	former := k.records[name]
	k.mu.Unlock()
	r := &Record{keeper: k, name: name}
	if former == nil || !former.handOver(r) {
		s, err := k.store.Load(name)
		if err != nil {
			k.logger.Error("nothing is remembered", "sync", name, "err", err)
		}
		r.sync = s
	}
	k.mu.Lock()
	k.records[name] = r
	k.mu.Unlock()
	return r
}

// handOver ends r for the next record of its name. It returns false when all is in the store, and whatever
// has become of that since Close counts.
func (r *Record) handOver(to *Record) bool {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over && !r.dirty {
		return false
	}
	r.over = true
	to.sync, to.dirty, to.tried = r.sync.clone(), r.dirty, r.tried
	return true
}

// Close saves what is not saved yet. After that nothing is saved any more.
func (r *Record) Close() {
	r.Flush()
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
}

// Get returns what is remembered. It does not wait for the disk.
func (r *Record) Get() Sync {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sync.clone()
}

// Update changes what is remembered and saves it before it returns, if it can be saved.
func (r *Record) Update(change func(*Sync)) { r.change(change, 0) }

// Note changes what is remembered, like the time of something that happens often. It is saved with the next
// Update, within a minute if there are further Notes, or by Flush.
func (r *Record) Note(change func(*Sync)) { r.change(change, noteEvery) }

// Flush saves what is not saved yet.
func (r *Record) Flush() { r.change(func(*Sync) {}, 0) }

// change changes what is remembered and saves it unless that was done not longer than wait ago.
func (r *Record) change(change func(*Sync), wait time.Duration) {
	r.saving.Lock()
	defer r.saving.Unlock()
	r.mu.Lock()
	next := r.sync.clone()
	change(&next)
	if r.over {
		r.sync = next
		r.mu.Unlock()
		return
	}
	now := time.Now()
	r.dirty = r.dirty || !reflect.DeepEqual(r.sync, next)
	r.sync = next
	save := r.dirty && now.Sub(r.tried) >= wait
	r.mu.Unlock()
	if !save {
		return
	}
	err := r.keeper.store.Save(r.name, next.clone())
	r.mu.Lock()
	r.dirty, r.tried = err != nil, now
	r.mu.Unlock()
	r.keeper.saved(r.name, err)
}

// saved logs when saving begins to fail, and when it works again.
func (k *Keeper) saved(name string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	before := len(k.failing)
	if err == nil {
		delete(k.failing, name)
	} else {
		k.failing[name] = true
	}
	switch now := len(k.failing); {
	case before == 0 && now > 0:
		k.logger.Error("the state cannot be saved: filewatch goes on, but after a restart it may not know what it knows now", "sync", name, "err", err)
	case before > 0 && now == 0:
		k.logger.Info("the state is saved again")
	}
}
