package fstype

import (
	"os"

	"golang.org/x/sys/unix"
)

// remote are the file systems, by their magic number in statfs(2), whose content other hosts or a
// server change, and whose attributes the kernel caches: those that GNU tail polls, and 9P.
var remote = map[uint32]string{
	0x6969:     "NFS",
	0x6e667364: "NFSD",
	0x517b:     "SMB",
	0xff534d42: "CIFS",
	0xfe534d42: "SMB2",
	0x65735546: "FUSE", // and virtiofs
	0x01021997: "9P",
	0x00c36400: "Ceph",
	0x5346414f: "AFS",
	0x6b414653: "kAFS",
	0x73757245: "Coda",
	0x564c:     "NCP",
	0x0bd00bd0: "Lustre",
	0x47504653: "GPFS",
	0x01161970: "GFS2",
	0x7461636f: "OCFS2",
	0x19830326: "BeeGFS",
	0xaad7aaea: "PanFS",
	0x61636673: "ACFS",
	0x013111a8: "IBRIX",
	0xbeefdead: "SNFS",
	0xa501fcf5: "VxFS",
	0x786f4256: "vboxsf",
	0xbacbacbc: "vmhgfs",
	0x7c7c6673: "prl_fs",
}

// Of returns the type of the file system that path is on. It follows a symbolic link, and blocks as
// long as a server does not answer.
func Of(path string) (Type, error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(path, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Type{}, &os.PathError{Op: "statfs", Path: path, Err: err}
		}
		return fromStatfs(&st), nil
	}
}

// OfFD returns the type of the file system that an open file is on.
func OfFD(fd int) (Type, error) {
	var st unix.Statfs_t
	for {
		err := unix.Fstatfs(fd, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return Type{}, os.NewSyscallError("fstatfs", err)
		}
		return fromStatfs(&st), nil
	}
}

func fromStatfs(st *unix.Statfs_t) Type {
	name, ok := remote[uint32(st.Type)]
	return Type{Name: name, Remote: ok}
}
