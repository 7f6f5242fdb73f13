# Many directories, each with settings of its own. `filewatch -config DIRECTORY` reads all *.hcl files of
# a directory, so that each team can keep its blocks in a file of its own.

locals {
  backup = env("BACKUP_HOST", "backup.example.net")
}

defaults {
  user    = "backup"
  rescan  = "2h"
  settle  = "50ms" # files here are written slowly
  exclude = ["lost+found/"]
}

sync "home" {
  source      = "/home/"
  destination = "${local.backup}:/backup/home"
  exclude     = ["lost+found/", "/*/.cache/", "node_modules/"]
}

sync "etc" {
  source      = "/etc/"
  destination = "${local.backup}:/backup/etc"
}

sync "mail" {
  source      = "/var/mail/"
  destination = "rsync://${local.backup}/mail"
  user        = "mail"
  delete      = false # what is deleted here stays there
}
