package fstype

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestLocal(t *testing.T) {
	for _, path := range []string{t.TempDir(), "/proc"} {
		got, err := Of(path)
		if err != nil || got.Remote {
			t.Errorf("%s: %+v, %v", path, got, err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if of, err := OfFD(int(f.Fd())); err != nil || of != got {
			t.Errorf("%s: by descriptor %+v, %v", path, of, err)
		}
		_ = f.Close()
	}
	if _, err := Of("/no/such"); !os.IsNotExist(err) {
		t.Errorf("a missing path: %v", err)
	}
}

func TestRemote(t *testing.T) {
	for magic, name := range map[int64]string{
		unix.NFS_SUPER_MAGIC: "NFS", unix.CIFS_SUPER_MAGIC: "CIFS", unix.FUSE_SUPER_MAGIC: "FUSE",
		unix.V9FS_MAGIC: "9P", unix.CEPH_SUPER_MAGIC: "Ceph", unix.SMB2_SUPER_MAGIC: "SMB2",
	} {
		if got := fromStatfs(&unix.Statfs_t{Type: magic}); !got.Remote || got.Name != name {
			t.Errorf("%#x: %+v, want remote %s", magic, got, name)
		}
	}
	for _, magic := range []int64{unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.TMPFS_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.OVERLAYFS_SUPER_MAGIC} {
		if got := fromStatfs(&unix.Statfs_t{Type: magic}); got.Remote {
			t.Errorf("%#x counts as remote", magic)
		}
	}
}
