package rsync

import (
	"fmt"
	"strings"
)

// partialDir is where --partial-dir keeps what arrived of a file. rsync itself excludes it.
const partialDir = ".filewatch-partial"

// allowArg says why an element of `args` cannot be passed to rsync, or "".
func allowArg(arg string) string {
	switch {
	case strings.ContainsAny(arg, "\x00\n"):
		return "It holds a line break or a NUL byte."
	case strings.HasPrefix(arg, "--") && len(arg) > 2:
		name, _, _ := strings.Cut(arg[2:], "=")
		return refused(name)
	case strings.HasPrefix(arg, "-") && len(arg) > 1 && arg != "--":
		return allowShort(arg[1:])
	}
	return `It is not an option. Write an option and its value as one element, such as "--chmod=F644".`
}

// allowShort judges a cluster of short options.
func allowShort(cluster string) string {
	for i := range len(cluster) {
		long, ok := shortOptions[cluster[i]]
		if !ok {
			return fmt.Sprintf("The short option -%c is not known here; write the long form.", cluster[i])
		}
		if text := refused(strings.TrimSuffix(long, "=")); text != "" {
			return text
		}
		if strings.HasSuffix(long, "=") {
			if i == len(cluster)-1 {
				return fmt.Sprintf("It lacks its value; write --%sVALUE as one element.", long)
			}
			return ""
		}
	}
	return ""
}

func refused(name string) string {
	// All of --delete, --delete-before …
	if strings.HasPrefix(name, "delete") || name == "del" {
		name = "delete"
	}
	reason, ok := refusedOptions[name]
	if !ok {
		reason, ok = refusedOptions[strings.TrimPrefix(name, "no-")]
		if !ok || !strings.HasPrefix(name, "no-") || harmlessNegations[strings.TrimPrefix(name, "no-")] {
			return ""
		}
	}
	return fmt.Sprintf("--%s cannot be used here: %s.", name, reason)
}

const (
	whyList    = "filewatch itself tells rsync which paths to look at"
	whyOutput  = "filewatch reads rsync's output"
	whyExclude = "use the sync block's exclude, which the watcher and the checks know too"
	whyLeaves  = "it leaves changed files as they are at the destination, while filewatch would report them in sync"
	whyMode    = "it makes rsync do something else than a transfer"
	whyLinks   = "changes behind symbolic links are not watched"
	whyDelete  = "use the sync block's delete"
)

// refusedOptions are rsync's options that would break what filewatch promises, with the reason.
var refusedOptions = map[string]string{
	"files-from": whyList, "from0": whyList, "recursive": whyList, "r": whyList, "inc-recursive": whyList,
	"i-r": whyList, "dirs": whyList, "d": whyList, "old-dirs": whyList, "old-d": whyList, "relative": whyList,
	"R": whyList, "implied-dirs": whyList, "archive": whyList, "one-file-system": whyList, "x": whyList,
	"prune-empty-dirs": whyList, "m": whyList, "list-only": whyList, "iconv": "the paths are lists of bytes",

	"out-format": whyOutput, "log-format": whyOutput, "verbose": whyOutput, "v": whyOutput, "quiet": whyOutput,
	"info": whyOutput, "debug": whyOutput, "itemize-changes": whyOutput, "i": whyOutput, "progress": whyOutput,
	"P": "use partial = true", "stats": whyOutput, "human-readable": whyOutput, "h": whyOutput,
	"8-bit-output": whyOutput, "8": whyOutput, "msgs2stderr": whyOutput, "stderr": whyOutput, "motd": whyOutput,

	"exclude": whyExclude, "include": whyExclude, "exclude-from": whyExclude, "include-from": whyExclude,
	"filter": whyExclude, "cvs-exclude": whyExclude, "C": whyExclude, "F": whyExclude,

	"existing": whyLeaves, "ignore-existing": whyLeaves, "ignore-non-existing": whyLeaves, "update": whyLeaves,
	"u": whyLeaves, "size-only": whyLeaves, "compare-dest": whyLeaves, "max-size": whyLeaves,
	"min-size": whyLeaves, "append": whyLeaves, "append-verify": whyLeaves, "times": whyLeaves, "t": whyLeaves,
	"stop-after": whyLeaves, "stop-at": whyLeaves, "time-limit": whyLeaves, "modify-window": whyLeaves,
	"ignore-missing-args": whyLeaves,

	"delete": whyDelete, "force": whyDelete, "max-delete": "use the sync block's max_delete",
	"ignore-errors":       "it deletes at the destination what could not be read at the source",
	"remove-source-files": "it deletes the source",
	"remove-sent-files":   "it deletes the source",
	"copy-links":          whyLinks,
	"L":                   whyLinks,
	"copy-dirlinks":       whyLinks,
	"k":                   whyLinks,
	"copy-unsafe-links":   whyLinks,
	"fuzzy":               "rsync fails when it is combined with deletions from a list",
	"y":                   "rsync fails when it is combined with deletions from a list",
	"old-args":            "a destination path with special characters would be split by the remote shell",
	"dry-run":             whyMode,
	"n":                   whyMode,
	"daemon":              whyMode,
	"server":              whyMode,
	"sender":              whyMode,
	"read-batch":          whyMode,
	"write-batch":         whyMode,
	"only-write-batch":    whyMode,
	"version":             whyMode,
	"V":                   whyMode,
	"help":                whyMode,
	"rsh":                 "use the ssh block",
	"rsync-path":          "use rsync_path",
	"timeout":             "use timeout",
	"partial":             "use partial",
	"partial-dir":         "use partial",
}

// harmlessNegations are refused options whose --no-NAME changes nothing for filewatch.
var harmlessNegations = map[string]bool{
	"fuzzy": true, "y": true, "copy-links": true, "L": true, "copy-dirlinks": true, "k": true, "inc-recursive": true, "i-r": true,
	"iconv": true, "motd": true, "update": true, "u": true, "append": true, "one-file-system": true, "x": true, "old-args": true,
	"prune-empty-dirs": true, "m": true,
}

// shortOptions names rsync's short options; those that take a value end in "=".
var shortOptions = map[byte]string{
	'v': "verbose", 'q': "quiet", 'c': "checksum", 'a': "archive", 'r': "recursive", 'R': "relative", 'b': "backup",
	'u': "update", 'd': "dirs", 'l': "links", 'L': "copy-links", 'k': "copy-dirlinks", 'K': "keep-dirlinks",
	'H': "hard-links", 'p': "perms", 'E': "executability", 'A': "acls", 'X': "xattrs", 'o': "owner", 'g': "group",
	'D': "devices", 't': "times", 'U': "atimes", 'N': "crtimes", 'O': "omit-dir-times", 'J': "omit-link-times",
	'S': "sparse", 'n': "dry-run", 'W': "whole-file", 'x': "one-file-system", 'B': "block-size=", 'e': "rsh=",
	'm': "prune-empty-dirs", 'I': "ignore-times", '@': "modify-window=", 'T': "temp-dir=", 'y': "fuzzy",
	'z': "compress", 'C': "cvs-exclude", 'f': "filter=", 'F': "F", '0': "from0", 's': "secluded-args",
	'h': "human-readable", 'P': "P", 'i': "itemize-changes", 'M': "remote-option=", '8': "8-bit-output",
	'4': "ipv4", '6': "ipv6", 'V': "version",
}
