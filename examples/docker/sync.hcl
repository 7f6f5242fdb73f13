# Three directories of one server, kept in step on another, as root over ssh.
#
#   filewatch validate -config sync.hcl                        what goes where
#   filewatch -config sync.hcl -var dest_host=192.168.56.12    run it

variable "dest_host" {
  default = "192.168.56.12"
}

defaults {
  user    = "root"
  exclude = ["*.swp", "*~"]

  transport "rsync" {
    timeout = "100s"
    ssh {
      identity_file = "~/.ssh/id_ed25519"
    }
  }
}

sync "docker" {
  source      = "/var/lib/docker"
  destination = "${var.dest_host}:/var/lib"

  transport "rsync" {
    compress   = true
    hard_links = true
    xattrs     = true
  }
}

sync "supervisor" {
  source      = "/etc/supervisord.d"
  destination = "${var.dest_host}:/etc"
}

sync "playbooks" {
  source      = "/home/ansible/playbooks"
  destination = "${var.dest_host}:/home/ansible"
  exclude     = ["*.swp", "*.retry", ".git/"]
}
