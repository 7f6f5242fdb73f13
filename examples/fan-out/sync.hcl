# One directory to several places. Each destination has its own dirty set: one that is away does not
# hold up the others, and catches up when it is back.

locals {
  web = ["web1", "web2", "web3"]
}

sync "site" {
  source      = "/srv/site/"
  destination = concat([for host in local.web : "deploy@${host}:/srv/site"], ["/mnt/backup/site"])
  exclude     = ["cache/", "*.tmp"]
  rescan      = "30m"
}
