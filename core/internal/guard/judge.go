package guard

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// judge returns why the source, as it was seen, must not be acted on, or nil.
func (c *Config) judge(known Source, seen Sight, err error) *Hold {
	root := Path(c.Root)
	was := known.Identity
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if h := c.unmounted(known, Mount{}); h != nil {
			return h
		}
		return c.hold(Missing, known, fmt.Sprintf("source %s does not exist", root),
			"put it back and the sync goes on by itself; to begin anew, make the directory and then run `filewatch approve "+c.Sync+"`")
	case errors.Is(err, syscall.ENOTDIR):
		return c.hold(NotDirectory, known, fmt.Sprintf("source %s is not a directory, or something above it is not", root),
			"put the directory back and the sync goes on by itself")
	case err != nil:
		return c.hold(Unreadable, known, fmt.Sprintf("source %s cannot be read: %s", root, reason(err)),
			fmt.Sprintf("once `ls %s` works as the user of filewatch, the sync goes on by itself", root.shell()))
	case was.known() && !was.same(seen.Identity):
		if h := c.unmounted(known, seen.Identity.Mount); h != nil {
			return h
		}
		return c.hold(Replaced, known, fmt.Sprintf("source %s is not the directory it was: %s", root, difference(was, seen)),
			"put the former one back and the sync goes on by itself; `filewatch approve "+c.Sync+"` takes this one as the source")
	case seen.Empty && c.Delete && !known.MayBeEmpty && !(c.MayEmpty && was.known()):
		what, lost := "and nothing is known of it", "whatever is at the destination would be deleted"
		if was.known() {
			what, lost = "and was not", ""
		}
		h := c.hold(Empty, known, fmt.Sprintf("source %s is empty %s, as when a disk is not mounted or was wiped", root, what),
			"once there is something in it, the sync goes on by itself; `filewatch approve "+c.Sync+"` deletes everything at the destination")
		if h.Lost == "" {
			h.Lost = lost
		}
		return h
	}
	return nil
}

// hold returns a hold that says what would have been lost.
func (c *Config) hold(kind Kind, known Source, seen, remedy string) *Hold {
	h := &Hold{Kind: kind, Since: time.Now(), Seen: seen, Remedy: remedy}
	if known.Entries > 0 {
		h.Lost = fmt.Sprintf("at the last comparison it had %s", entries(known.Entries))
	}
	return h
}

// unmounted returns a hold when the mount that the source was on is gone; now is the one it is on, if any.
func (c *Config) unmounted(known Source, now Mount) *Hold {
	mount := known.Identity.Mount
	if mount.Point == "" || mount.Point == "/" || mount.Point == now.Point || c.Look.Mounted(mount.Point) {
		return nil
	}
	remedy := fmt.Sprintf("`mount %s` brings it back, and the sync goes on by itself", mount.Point.shell())
	if now != (Mount{}) {
		remedy += "; `filewatch approve " + c.Sync + "` takes what is there now as the source"
	}
	return c.hold(Unmounted, known, fmt.Sprintf("source %s is not there as it was: nothing is mounted on %s, where %s (%s) was",
		Path(c.Root), mount.Point, mount.Source, known.Identity.Type), remedy)
}

// difference says by what another directory is told from the known one.
func difference(was Identity, seen Sight) string {
	now := seen.Identity
	var what string
	switch {
	case was.Path != now.Path && was.Path != "" && now.Path != "":
		what = fmt.Sprintf("it leads to %s, and led to %s", now.Path, was.Path)
	case was.Mount != now.Mount:
		what = fmt.Sprintf("%s (%s) is mounted on %s; it was on %s (%s), mounted on %s",
			now.Mount.Source, now.Type, now.Mount.Point, was.Mount.Source, was.Type, was.Mount.Point)
	case differ(was.UUID, now.UUID) || differ(was.Type, now.Type):
		what = fmt.Sprintf("another file system is mounted on %s", now.Mount.Point)
	case differ(was.Born, now.Born):
		const layout = "2006-01-02 15:04:05"
		what = fmt.Sprintf("it was made on %s, the former one on %s", time.Unix(0, now.Born).Format(layout), time.Unix(0, was.Born).Format(layout))
	default:
		what = fmt.Sprintf("it has inode %d, the former one had %d", now.Inode, was.Inode)
		if now.Inode == was.Inode {
			what = "another one has taken its inode"
		}
	}
	if seen.Empty {
		what += "; it is empty"
	}
	return what
}

// reason returns what is wrong without the path, which is named before.
func reason(err error) string {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return strings.TrimSpace(err.Error())
}
