package guard

import "testing"

func TestSame(t *testing.T) {
	sdb := Mount{Point: "/srv", Source: "/dev/sdb1", Root: "/"}
	sdc := Mount{Point: "/srv", Source: "/dev/sdc1", Root: "/"}
	ext4 := Identity{Type: "ext4", UUID: "aa", Inode: 2, Born: 5, Mount: sdb, Path: "/srv", Handle: "1:02"}
	with := func(id Identity, change func(*Identity)) Identity {
		change(&id)
		return id
	}
	old := with(ext4, func(id *Identity) { id.UUID, id.Born, id.Handle = "", 0, "" })
	fuse := Identity{Type: "fuse.sshfs", Inode: 1, Mount: Mount{Point: "/srv", Source: "h:/a", Root: "/"}, Path: "/srv/x", Handle: "129:07"}
	for _, test := range []struct {
		name string
		a, b Identity
		want bool
	}{
		{"itself", ext4, ext4, true},
		{"the disk has another device name", ext4, with(ext4, func(id *Identity) { id.Mount = sdc }), true},
		{"reached by another way", ext4, with(ext4, func(id *Identity) { id.Path, id.Mount.Point = "/mnt", "/mnt" }), true},
		{"another disk", ext4, with(ext4, func(id *Identity) { id.UUID = "bb" }), false},
		{"another type", ext4, with(ext4, func(id *Identity) { id.Type = "xfs" }), false},
		{"another inode of that number", ext4, with(ext4, func(id *Identity) { id.Handle = "1:03" }), false},
		{"made at another time", ext4, with(ext4, func(id *Identity) { id.Born = 6 }), false},
		{"an older kernel told less", old, ext4, true},
		{"an older kernel tells less", ext4, old, true},
		{"an older kernel and another disk", old, with(ext4, func(id *Identity) { id.Mount = sdc }), false},
		{"another inode", old, with(old, func(id *Identity) { id.Inode = 3 }), false},
		{"another inode, and no handle now", ext4, with(old, func(id *Identity) { id.Inode = 3 }), false},
		{"handles of two types", ext4, with(ext4, func(id *Identity) { id.Handle = "2:ff" }), true},
		{"handles of two types, another inode", ext4, with(ext4, func(id *Identity) { id.Handle, id.Inode = "2:ff", 3 }), false},
		{"no UUID, but a birth", with(ext4, func(id *Identity) { id.UUID = "" }), with(ext4, func(id *Identity) { id.Mount = sdc }), true},
		{"FUSE makes up inodes", fuse, with(fuse, func(id *Identity) { id.Inode, id.Handle = 9, "129:09" }), true},
		{"FUSE, another server", fuse, with(fuse, func(id *Identity) { id.Mount.Source = "h:/b" }), false},
		{"FUSE, another directory", fuse, with(fuse, func(id *Identity) { id.Path = "/srv/y" }), false},
	} {
		if test.a.same(test.b) != test.want || test.b.same(test.a) != test.want {
			t.Errorf("%s: want %v", test.name, test.want)
		}
		if test.want && !test.a.learn(test.b).same(test.a) {
			t.Errorf("%s: what was learnt is not the same", test.name)
		}
	}
}
