package poll

import "golang.org/x/sys/unix"

// remoteTypes are the file systems, by their magic number in statfs(2), whose content other hosts or
// a server change, and whose attributes the kernel caches: those that GNU tail polls.
var remoteTypes = map[uint32]bool{
	0x6969:     true, // NFS
	0x6e667364: true, // NFSD
	0x517b:     true, // SMB
	0xff534d42: true, // CIFS
	0xfe534d42: true, // SMB2
	0x65735546: true, // FUSE, and virtiofs
	0x01021997: true, // 9P
	0x00c36400: true, // CEPH
	0x5346414f: true, // AFS
	0x6b414653: true, // KAFS
	0x73757245: true, // CODA
	0x564c:     true, // NCP
	0x0bd00bd0: true, // LUSTRE
	0x47504653: true, // GPFS
	0x01161970: true, // GFS2
	0x7461636f: true, // OCFS2
	0x19830326: true, // FHGFS, BeeGFS
	0xaad7aaea: true, // PANFS
	0x61636673: true, // ACFS
	0x013111a8: true, // IBRIX
	0xbeefdead: true, // SNFS
	0xa501fcf5: true, // VXFS
	0x786f4256: true, // VBOXSF
	0xbacbacbc: true, // VMHGFS
	0x7c7c6673: true, // PRL_FS
}

// remote reports whether f is on a file system whose attributes have to be asked for anew. When that
// cannot be told it says so: it costs time only.
func (f folder) remote() bool {
	var st unix.Statfs_t
	for {
		switch err := unix.Fstatfs(f.fd, &st); err {
		case nil:
			return remoteTypes[uint32(st.Type)]
		case unix.EINTR:
		default:
			return true
		}
	}
}
