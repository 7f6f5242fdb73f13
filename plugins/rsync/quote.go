package rsync

import "strings"

// joinShell joins a command for rsync's --rsh option, which rsync splits by rules of its own: at
// spaces outside of quotes; inside quotes only a doubled quote of the same kind is special and stands
// for one (do_cmd in rsync's main.c).
func joinShell(command []string) string {
	quoted := make([]string, len(command))
	for i, arg := range command {
		quoted[i] = quoteShell(arg)
	}
	return strings.Join(quoted, " ")
}

func quoteShell(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, ` '"`) {
		return arg
	}
	return "'" + strings.ReplaceAll(arg, "'", "''") + "'"
}
