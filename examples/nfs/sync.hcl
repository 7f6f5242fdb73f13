# Moving what is on an NFS server to a local disk of another machine, while others still write to it.
#
# The kernel does not report what other hosts change, so the source is polled: filewatch sees that from the
# file system and needs no word for it. The block below only says how often.

sync "archive" {
  source      = "/mnt/nfs/archive/"
  destination = "root@storage1:/srv/archive"
  rescan      = "6h" # a full comparison by rsync; polling finds the changes in between

  watcher "poll" {
    interval = "5s"
    max_load = "20%"
  }

  transport "rsync" {
    timeout = "10m" # the server may be slow
    partial = true  # large files go on where they were interrupted
    sparse  = true
  }
}
