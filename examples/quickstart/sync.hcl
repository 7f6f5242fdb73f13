# Mirrors one local directory to another. Run it with: make run
#
# The paths are relative to this file. With the slash at the end of source, the contents of "source"
# become the contents of "mirror"; without it the result would be "mirror/source".

state_dir = "state" # what filewatch remembers; left out, /var/lib/filewatch

sync "quickstart" {
  source      = "source/"
  destination = "mirror"
  exclude     = ["*.swp", ".git/"]
}
